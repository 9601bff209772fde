"""Units with numbers of their own, left out by integrals: against the normal model, where everything is known."""

import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro import distributions as dist
from scipy.stats import multivariate_normal, norm

from bayescal.comparison.loo import smoothed
from bayescal.comparison.own_numbers import without_own_numbers
from bayescal.posterior.psis import k_hat_limit

UNITS, EACH, SPREAD = 15, 10, 1.5
RNG = np.random.default_rng(3)
UNIT = np.repeat(np.arange(UNITS), EACH)
Y = (0.7 + SPREAD * RNG.normal(size=UNITS))[UNIT] + RNG.normal(size=len(UNIT))
# The covariance of decisions: of the common mean, of their unit's own number, and their own.
COVARIANCE = 4.0 + SPREAD**2 * (UNIT[:, None] == UNIT) + np.eye(len(UNIT))


def model(centred):
    mean = numpyro.sample("mean", dist.Normal(0.0, 2.0))
    with numpyro.plate("game", UNITS):
        own = numpyro.sample("own", dist.Normal(mean, SPREAD) if centred else dist.Normal(0.0, 1.0))
    at = own if centred else mean + SPREAD * own
    with numpyro.plate("decision", len(UNIT)):
        numpyro.sample("y", dist.Normal(at[UNIT], 1.0), obs=jnp.asarray(Y))


def exact_draws(count, seed=1):
    """(of the common mean, of the units' means) from the posterior, which is normal."""
    loading = np.column_stack([np.ones(UNITS), np.eye(UNITS)])[UNIT]
    precision = loading.T @ loading + np.diag([1 / 4, *np.full(UNITS, SPREAD**-2)])
    middle = np.linalg.solve(precision, loading.T @ Y)
    drawn = np.random.default_rng(seed).multivariate_normal(middle, np.linalg.inv(precision), size=count)
    return drawn[:, 0], drawn[:, :1] + drawn[:, 1:]


def exact_left_out():
    """log p(decisions of a unit | all others'), by unit."""
    out = []
    for u in range(UNITS):
        a, b = np.flatnonzero(u == UNIT), np.flatnonzero(u != UNIT)
        gain = np.linalg.solve(COVARIANCE[np.ix_(b, b)], COVARIANCE[np.ix_(b, a)])
        spread = COVARIANCE[np.ix_(a, a)] - COVARIANCE[np.ix_(a, b)] @ gain
        out.append(multivariate_normal(Y[b] @ gain, spread).logpdf(Y[a]))
    return np.array(out)


@pytest.mark.parametrize("centred", [True, False])
def test_units_are_left_out_as_in_the_normal_model(centred):
    mean, own = exact_draws(1000)
    site = own if centred else (own - mean[:, None]) / SPREAD
    posterior = {"mean": mean[None], "own": site[None]}
    values = without_own_numbers(lambda: model(centred), "own", posterior, {"y": UNIT}, UNITS)
    # At each draw of the mean, the density of a unit's decisions without its own number.
    some = np.linspace(0, 999, 500).round().astype(int)
    block = SPREAD**2 + np.eye(EACH)
    alone = lambda m: [multivariate_normal(np.full(EACH, m), block).logpdf(y) for y in Y.reshape(UNITS, EACH)]
    known = [alone(m) for m in mean[some]]
    np.testing.assert_allclose(values, known, atol=1e-4)
    elpd, k_hat = smoothed(values, values, 1.0)
    np.testing.assert_allclose(elpd, exact_left_out(), atol=0.15)
    assert (k_hat <= k_hat_limit(len(values))).all()
    # Planted: weights that take away the likelihood at the unit's own number are wrong by several times that.
    inside = norm(own[:, :, None], 1.0).logpdf(Y.reshape(UNITS, EACH)).sum(axis=2)
    assert np.abs(smoothed(inside, inside, 1.0)[0] - exact_left_out()).max() > 3


def test_what_is_not_one_integral_for_each_unit_is_left_to_others():
    posterior = {"mean": np.zeros((1, 50)), "own": RNG.normal(size=(1, 50, UNITS))}
    mixed = np.arange(len(UNIT)) % UNITS  # every unit has decisions with each number
    assert without_own_numbers(lambda: model(True), "own", posterior, {"y": mixed}, UNITS) is None

    def of_units_in_two_rows():
        own = numpyro.sample("own", dist.Normal(0.0, 1.0).expand([UNITS, 2]).to_event(1))
        with numpyro.plate("decision", len(UNIT)):
            numpyro.sample("y", dist.Normal(own[UNIT].sum(axis=1), 1.0), obs=jnp.asarray(Y))

    two = {"own": np.zeros((1, 50, UNITS, 2))}
    assert without_own_numbers(of_units_in_two_rows, "own", two, {"y": UNIT}, UNITS) is None
