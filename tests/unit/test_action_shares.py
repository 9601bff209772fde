"""A model that is right on average and wrong about every action is caught: expectations by NumPy and SciPy alone."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.optimize import fsolve
from scipy.stats import chi2, power_divergence

import bayescal as bc
from bayescal.diagnostics.predictive import compared, predictive, predicts
from bayescal.environments.shares import g_squared
from bayescal.environments.statistics import Statistic
from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Status

# Arad & Rubinstein (2012), Table 1: 108 people, in whole per cent; people are the nearest whole numbers. Rounding
# leaves two of the three shares of 6 % open by one person.
PER_CENT = (4, 0, 3, 6, 1, 6, 32, 30, 12, 6)
REQUESTS = np.array([4, 0, 3, 7, 1, 6, 35, 32, 13, 7])
SHARES = "action shares (G²)"


def equilibrium(cost):
    """The logit equilibrium of the 11-20 game, by SciPy."""
    asked = np.arange(11.0, 21.0)

    def reply(p):
        value = asked + 20 * np.append(p[1:], 0.0)  # a bonus of 20 if the other asks for one more
        weight = np.exp((value - value.max()) / cost)
        return weight / weight.sum()

    p = np.full(10, 0.1)
    for smooth in np.geomspace(200, cost, 60):  # follow the branch from uniform play
        value = lambda q, c=smooth: np.exp((v := asked + 20 * np.append(q[1:], 0.0)) / c - v.max() / c)
        p = fsolve(lambda q, f=value: q - f(q) / f(q).sum(), p)
    np.testing.assert_allclose(p, reply(p), atol=1e-8)
    return p


@pytest.fixture(scope="module")
def posterior():
    """(probabilities of each action, posterior weights) at costs on a grid, for the people's requests."""
    likely = np.array([equilibrium(c) for c in np.geomspace(2, 30, 80)])
    log_likelihood = np.log(likely) @ REQUESTS
    return likely, np.exp(log_likelihood - log_likelihood.max())


def fitted(counts, likely, weights, draws=1000):
    """(a fit with one cost of these counts, its decisions)."""
    rng = np.random.default_rng(5)
    chosen = rng.choice(len(likely), draws, p=weights / weights.sum())
    drawn = rng.multinomial(counts.sum(), likely[chosen])[None, :, None]
    label = lambda text: (("cell",), np.array([text]))
    tree = {
        "observed_data": xr.Dataset({"choices": (("cell", "action"), counts[None])}),
        "posterior_predictive": xr.Dataset({"choices": (("chain", "draw", "cell", "action"), drawn)}),
        "constant_data": xr.Dataset({"cell_game": label("request-11-20"), "cell_role": label("player")}),
    }
    rows = pd.DataFrame({"action": np.repeat(np.arange(11, 21).astype(str), counts)})
    decisions = bc.Decisions.from_table(rows, {"request-11-20": bc.get_game("request-11-20")})
    return Fit(xr.DataTree.from_dict(tree), Status(), {}), decisions


def test_requests_from_11_to_20_under_one_cost_fail(posterior):
    assert REQUESTS.sum() == 108 and np.all(np.abs(100 * REQUESTS / 108 - PER_CENT) < 0.6)
    likely, weights = posterior
    table = predictive(*fitted(REQUESTS, likely, weights))
    said = predicts(table, over_time=False)
    # The mean and the standard deviation alone notice nothing.
    assert (table.drop(SHARES)["p"] > 0.05).all() and said.failed and SHARES in said.found
    # The textbook: the best cost, eight degrees of freedom.
    expected = 108 * likely[weights.argmax()]
    textbook = power_divergence(REQUESTS, expected, ddof=1, lambda_="log-likelihood")
    assert table.loc[SHARES, "observed"] == pytest.approx(textbook.statistic, rel=0.05)
    assert textbook.pvalue < 1e-4 and table.loc[SHARES, "p"] < 0.005


def test_play_of_the_model_itself_passes(posterior):
    likely, weights = posterior
    rng = np.random.default_rng(6)
    p = []
    for _ in range(60):
        counts = rng.multinomial(108, likely[weights.argmax()])
        log_likelihood = np.log(likely) @ counts
        fit, decisions = fitted(counts, likely, np.exp(log_likelihood - log_likelihood.max()), 400)
        p.append(predictive(fit, decisions).loc[SHARES, "p"])
    assert np.mean(np.array(p) < 0.05) < 0.15 and 0.35 < np.mean(p) < 0.75


def test_the_statistic_is_that_of_scipy():
    """Of many tables of one law the mean is the expectation, and the statistic has its chi-square law."""
    p = np.array([0.1, 0.2, 0.3, 0.4])
    counts = np.random.default_rng(7).multinomial(200, p, (4000, 1))
    found = g_squared(counts)[:, 0]
    expected = power_divergence(counts[:5, 0], counts.mean(axis=0), axis=1, lambda_="log-likelihood").statistic
    np.testing.assert_allclose(found[:5], expected, rtol=1e-12)
    assert np.mean(found > chi2.ppf(0.95, 3)) == pytest.approx(0.05, abs=0.015)


def test_what_was_never_drawn_is_far_and_too_good_a_fit_is_no_failure():
    drawn = np.random.default_rng(8).multinomial(50, [0.5, 0.5, 0.0], (400, 1))
    distance = Statistic("distance", "", lambda x: g_squared(x).sum(axis=1), large_only=True)
    impossible = compared(distance, np.concatenate([[[[24, 24, 2]]], drawn]))
    exact = compared(distance, np.concatenate([[[[25, 25, 0]]], drawn]))
    assert impossible is not None and exact is not None
    (far, *_, p_far, inside_far, _), (near, *_, p_near, inside_near, _) = impossible, exact
    assert far > 20 and p_far < 0.003 and not inside_far
    assert near < 0.1 and p_near > 0.9 and inside_near
