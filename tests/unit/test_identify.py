"""A pair that the data cannot tell apart is caught, before and after them; one that they can is not."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from bayescal.diagnostics.identify import identify
from bayescal.errors import InputError
from bayescal.posterior.identifiability import after
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS

SEEN = np.random.default_rng(0).normal(1.0, 1.0, 30)
X = np.random.default_rng(1).normal(size=30)


class Line:
    """y = a + 2 b + slope x: only a sum of a and b is known. `apart` sees b alone as well; `told` has no part."""

    def __init__(self, apart=False):
        self.apart = apart

    def __call__(self):
        a = numpyro.sample("a", dist.Normal(0.0, 1.0))
        b = numpyro.sample("b", dist.Normal(0.0, 1.0))
        slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
        numpyro.sample("unseen", dist.HalfNormal(2.0))
        with numpyro.plate("person", 30):
            numpyro.sample("y", dist.Normal(a + 2 * b + slope * X, 1.0), obs=SEEN)
            if self.apart:
                numpyro.sample("z", dist.Normal(b, 1.0), obs=SEEN / 3)


@pytest.fixture(scope="module")
def fits():
    method = NUTS(draws=500, warmup=300, chains=2)
    return infer(Line(), method), infer(Line(apart=True), method)


def test_after_the_data(fits):
    together, apart = (f.identifiability() for f in fits)
    (ridge,) = together.ridges.itertuples()
    assert {ridge.first, ridge.second} == {"a", "b"} and ridge.correlation < -0.95
    first, coefficient, second = ridge.known.replace(" + ", " ").split()
    assert (first, second) == ("b", "a")
    np.testing.assert_allclose(float(coefficient), 0.5, atol=0.06)  # b + 0.5 a, two digits
    assert together.table.loc["unseen", "verdict"] == "not moved by the data"
    assert together.table.loc["slope", "verdict"] == "determined by the data"
    ridge_told, unseen_told = together.sentences[::-1]
    assert unseen_told.startswith("The data do not inform unseen:") and "cannot separate" in ridge_told
    assert len(together.sentences) == 2
    assert apart.ridges.empty and len(apart.sentences) == 1
    # Normal posteriors: the contraction is known. a and 2 b with unit priors: var(a | y) is 4.03/5.03 at n = 30.
    share = lambda n, h: 1 - n * h**2 / (1 + 5 * n)
    exact = {"a": 1 - share(30, 1), "b": 1 - share(30, 2)}
    for name, value in exact.items():
        # Of the width of 500 prior draws' middle 90 %: about 5 %, of its square 10 %.
        assert abs(fits[0].contraction[name] - value) < 3 * 0.10 * (1 - value) + 0.02
    assert abs(fits[0].contraction["unseen"]) < 0.3


def test_before_the_data():
    together, apart = identify(Line()), identify(Line(apart=True))
    assert together.table.loc["unseen", "contraction"] == pytest.approx(0.0, abs=0.01)
    (unknown,) = together.unknown  # 2 a - b, on which nothing depends
    first, sign, *rest = unknown.split()
    names, coefficient = (first, rest[-1]), float(rest[0]) if len(rest) == 2 else 1.0
    assert names == ("a", "b") and sign == "−"
    np.testing.assert_allclose(coefficient, 0.5, atol=0.06)
    assert len(together.sentences) == 2 and "unseen" in together.sentences[0]
    assert apart.unknown == () and apart.table.loc["b", "contraction"] > 0.9
    # Linear and normal: what is to be expected is known, up to 200 simulations' error in the information.
    design = np.stack([np.ones(30), 2 * np.ones(30), X], axis=1)
    exact = 1 - np.diag(np.linalg.inv(design.T @ design + np.eye(3)))
    got = together.table.loc[["a", "b", "slope"], "contraction"].to_numpy()
    np.testing.assert_allclose(1 - got, 1 - exact, rtol=0.25)
    assert "almost nothing" in str(together)


def test_people_are_left_out_and_integrated():
    """Thirty people with an effect each: of their mean as much is to be expected as the variances say."""

    def model():
        mean = numpyro.sample("mean", dist.Normal(0.0, 2.0))
        with numpyro.plate("participant", 30):
            own = numpyro.sample("own", dist.Normal(mean, 1.0))
            numpyro.sample("y", dist.Normal(own, 1.0), obs=SEEN)

    table = identify(model).table
    assert list(table.index) == ["mean"]
    exact = 1 / (30 / 2 + 1 / 4)  # posterior variance
    np.testing.assert_allclose(table.loc["mean", "posterior sd"] ** 2, exact, rtol=0.35)


def test_the_spread_of_people_is_to_be_known():
    """Of the sd of forty people whose means are seen well: a variance of 1/80 on the log scale, whatever its place."""

    def model():
        spread = numpyro.sample("spread", dist.LogNormal(0.0, 1.0))
        with numpyro.plate("participant", 40):
            own = numpyro.sample("own", dist.Normal(0.0, spread))
            numpyro.sample("y", dist.Normal(own, 1e-3), obs=np.zeros(40))

    table = identify(model).table
    assert list(table.index) == ["spread"]
    np.testing.assert_allclose(table.loc["spread", "posterior sd"] ** 2, 1 / (2 * 40 + 1), rtol=0.35)


def test_bad_requests(fits):
    def many():
        numpyro.sample("x", dist.Normal(0.0, 1.0).expand([600]).to_event(1))

    with pytest.raises(InputError, match="this model has 600 numbers, more than 500"):
        identify(many)

    def broken():
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(np.nan * x, 1.0), obs=np.zeros(3))

    with pytest.raises(InputError, match="no finite gradient"):
        identify(broken)
    # A posterior that is not narrower, elsewhere.
    tree = fits[0].tree.copy(deep=True)
    tree["posterior"]["unseen"] = tree["posterior"]["unseen"] + 5
    assert after(tree).table.loc["unseen", "verdict"] == "moved, not narrowed"
    assert any("without narrowing it" in s for s in after(tree).sentences)
