"""The picture of what is believed before the data: every kind of data, with and without a fit."""

import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray as xr

from bayescal.environments.named import get_game
from bayescal.model.build import build_model
from bayescal.policies.exact import ExactPolicy
from bayescal.populations import Homogeneous
from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Status
from bayescal.report import prior_picture
from bayescal.table.decisions import Decisions

RNG = np.random.default_rng(0)


def titles(fig):
    return [t for ax in fig.axes if (t := ax.get_title(loc="left"))]


def lines_at(ax, label):
    return next(x for x in ax.get_lines() if x.get_label() == label)


def test_of_a_model_before_its_data(tmp_path):
    rows = [("stag-hunt", "row", "stag", 30), ("stag-hunt", "row", "hare", 10), ("stag-hunt", "column", "stag", 20)]
    table = pd.DataFrame(rows, columns=["game", "role", "action", "n"])
    decisions = Decisions.from_table(table, {"stag-hunt": get_game("stag-hunt")})
    fig = prior_picture(build_model(ExactPolicy(get_game("stag-hunt")), Homogeneous(), decisions), units="cents")
    assert titles(fig) == ["cost"] and fig.axes[0].get_xscale() == "log"
    (shares,) = [ax for ax in fig.axes if ax.get_xlabel() == "share of the first action"]
    seen = dict(
        zip([t.get_text() for t in shares.get_yticklabels()], lines_at(shares, "observed").get_xdata(), strict=True)
    )
    assert seen == {"stag-hunt · row": 0.75, "stag-hunt · column": 1.0}
    fig.savefig(tmp_path / "prior.png")
    assert (tmp_path / "prior.png").stat().st_size > 5000


def test_of_any_model():
    def model():
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mean, 1.0), obs=np.zeros(3))

    assert titles(prior_picture(model)) == ["mean"]


def fit(kind):
    """Draws of a fit of choices among four actions, as `infer` names them."""
    draws = lambda *shape: RNG.normal(size=(2, 100, *shape))
    phi = {"log_mean": (("chain", "draw"), draws()), "log_sd": (("chain", "draw"), abs(draws()))}
    if kind == "counted":
        counts = (("chain", "draw", "cell", "action"), RNG.multinomial(10, [0.1, 0.2, 0.3, 0.4], size=(2, 100, 3)))
        predicted, observed = {"choices": counts}, {"choices": (("cell", "action"), np.full((3, 4), [1, 2, 3, 4]))}
        constant = {
            "total": ("cell", np.full(3, 10)), "available": (("cell", "action"), np.ones((3, 4), bool)),
            "cell_game": ("cell", ["b", "a", "b"]),
        }  # fmt: skip
    else:
        predicted = {"choice": (("chain", "draw", "decision"), RNG.integers(0, 4, (2, 100, 12)))}
        observed = {"choice": ("decision", np.arange(12) % 4)}
        constant = {"round": ("decision", np.repeat([1, 2, 3], 4))}
    groups = {
        "posterior": phi, "prior": phi, "log_prior": phi, "prior_predictive": predicted, "observed_data": observed,
        "constant_data": constant,
    }  # fmt: skip
    return Fit(xr.DataTree.from_dict({n: xr.Dataset(x) for n, x in groups.items()}), Status(), {})


@pytest.mark.parametrize(("kind", "named"), [("counted", ["b", "a"]), ("over time", ["all decisions"])])
def test_of_a_fit(kind, named):
    fig = prior_picture(fit(kind))
    assert titles(fig) == ["typical cost", "log_sd", *named]
    assert [x.get_label() for x in fig.axes[0].get_lines()] == ["prior", "posterior"]
    shares = next(ax for ax in fig.axes if ax.get_title(loc="left") == named[0])
    expected = [0.1, 0.2, 0.3, 0.4] if kind == "counted" else [0.25] * 4
    np.testing.assert_allclose(lines_at(shares, "observed").get_ydata(), expected)
    bands = {c.get_label() for c in shares.collections}
    assert bands == {"predicted, 90%", "predicted, 50%"}
