"""People with private costs in matching pennies against NumPy and SciPy alone: what they believe of each other, what
groups, covariates and learning do to it, and everybody's likelihood with the cost integrated out.

In a game of two actions a role's mixture is one number, and an equilibrium one root of one equation.
"""

from math import comb

import jax
import numpy as np
import pandas as pd
import pytest
from numpyro.infer import log_likelihood
from scipy.optimize import brentq
from scipy.special import expit, log_expit, logsumexp
from scipy.stats import norm

import bayescal as bc

GAME = bc.get_game("matching-pennies-asymmetric")
PEOPLE, ROUNDS = 8, 4
ROLE = np.arange(PEOPLE) % 2
GROUP = np.array([0, 0, 1, 0, 1, 1, 0, 1])  # 4 people each, both roles in each
AGE = np.array([20.0, 25.0, 31.0, 38.0, 22.0, 47.0, 55.0, 61.0])
URBAN = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0])
LAMBDA = {"log_mean": -0.4, "log_sd": 0.5}
HEADS = np.random.default_rng(5).random((PEOPLE, ROUNDS)) < 0.6


def table():
    rows = [
        {"participant": f"p{i}", "role": GAME.role_names[ROLE[i]], "round": t + 1,
         "action": "heads" if HEADS[i, t] else "tails", "place": "ab"[GROUP[i]], "age": AGE[i], "urban": URBAN[i]}
        for i in range(PEOPLE) for t in range(ROUNDS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def decisions():
    return bc.Decisions.from_table(table(), {"pennies": GAME}, covariates=("place", "age", "urban"))


def gains(mean, sd):
    """What heads brings more than tails to each role, where everybody's log cost is believed Normal(mean, sd²)."""
    (a, b), (c, d) = np.asarray(GAME.params["payoffs"])[0]
    (e, f), (g, h) = np.asarray(GAME.params["payoffs"])[1]  # of the column player; rows are still the row player's
    z, w = np.polynomial.hermite_e.hermegauss(100)
    cost, w = np.exp(mean + sd * z), w / w.sum()
    mixture = lambda gain: w @ expit(gain / cost)
    of_row = lambda q: q * (a - c) + (1 - q) * (b - d)
    of_column = lambda p: p * (e - f) + (1 - p) * (g - h)
    p = brentq(lambda p: mixture(of_row(mixture(of_column(p)))) - p, 0.0, 1.0, xtol=1e-14)
    return np.array([of_row(mixture(of_column(p))), of_column(p)])


def by_hand(shift=0.0, belief_mean=LAMBDA["log_mean"], belief_sd=LAMBDA["log_sd"], drift=None, lapse=1e-9):
    """Everybody's log-likelihood, of counted choices in any order.

    Args:
        shift: of each person's log cost from the population's.
        belief_mean, belief_sd: of what each person takes others' log costs to be in the first round.
        drift: of everybody's log cost from the first round to the last, and of what is believed.
    """
    shift, belief_mean, belief_sd = (np.broadcast_to(x, PEOPLE) for x in (shift, belief_mean, belief_sd))
    x = np.linspace(-7.0, 6.0, 4001)
    out = np.zeros(PEOPLE)
    for i in range(PEOPLE):
        curve = np.zeros_like(x)
        for t in range(ROUNDS):
            moved = (drift or 0.0) * t / (ROUNDS - 1)
            gain = gains(belief_mean[i] + moved, belief_sd[i])[ROLE[i]]
            chosen = log_expit((gain if HEADS[i, t] else -gain) / np.exp(x + moved))
            curve += np.logaddexp(np.log1p(-lapse) + chosen, np.log(lapse / 2))
        density = norm.logpdf(x, LAMBDA["log_mean"] + shift[i], LAMBDA["log_sd"])
        out[i] = logsumexp(curve + density) + np.log(x[1] - x[0])
    if drift is not None:  # at costs that differ from round to round decisions are not counted together
        return out
    return out + [np.log(comb(ROUNDS, heads)) for heads in HEADS.sum(axis=1)]


def by_model(decisions, cases, **options):
    """The same of a model at these values of its sites, case by case."""
    population = bc.populations.LogNormal(32)
    with jax.enable_x64(True):
        model = bc.build_model(
            bc.ExactPolicy(GAME, population=population), population, decisions, method="marginal", **options
        )
        each = [LAMBDA | case for case in cases]
        (found,) = log_likelihood(model, {n: np.stack([np.asarray(c[n]) for c in each]) for n in each[0]}).values()
    return np.asarray(found)


def test_covariates_move_what_is_believed(decisions):
    """Others' log costs are believed to be spread by the covariates too: by their variance, about the same mean.
    Nobody reckons with others' lapses."""
    effects = np.array([0.7, -0.5])  # for one sd of each covariate
    cases = [
        {"effect_per_sd": 0 * effects, "lapse": 1e-9},
        {"effect_per_sd": 0 * effects, "lapse": 0.15},
        {"effect_per_sd": effects, "lapse": 1e-9},
    ]
    alike, lapsing, found = by_model(decisions, cases, covariates="~ age + urban", lapse=True)
    np.testing.assert_allclose(alike, by_hand(), atol=1e-4)
    np.testing.assert_allclose(lapsing, by_hand(lapse=0.15), atol=1e-4)
    standard = np.stack([(x - x.mean()) / np.sqrt(np.mean((x - x.mean()) ** 2)) for x in (AGE, URBAN)], axis=1)
    shift = standard @ effects
    sd = np.sqrt(LAMBDA["log_sd"] ** 2 + np.mean((shift - shift.mean()) ** 2))
    np.testing.assert_allclose(found, by_hand(shift, belief_sd=sd), atol=1e-4)
    assert np.abs(found - by_hand(shift)).max() > 0.01  # beliefs matter
    assert np.abs(found - by_hand(0.0, belief_sd=sd)).max() > 0.1  # and so does one's own cost


def test_groups_meet_their_own_people_and_learn_with_them(decisions):
    """Of a group the mean is its effect and that of its people's covariates, and the spread only theirs. Over the
    rounds everybody's cost drifts, and so does what is believed."""
    values = {"group_sd": 0.6, "group_offset": np.array([0.9, -1.2]), "effect_per_sd": np.array([0.8])}
    cases = [values | {"drift": 0.0}, values | {"drift": -0.8}]
    found = by_model(decisions, cases, groups="place", covariates="~ age", learning=True)
    moved = 0.8 * (AGE - AGE.mean()) / AGE.std()
    effect = 0.6 * np.array([0.9, -1.2])
    by_group = [moved[place == GROUP] for place in range(2)]
    mean = LAMBDA["log_mean"] + effect + [np.mean(x) for x in by_group]
    sd = np.sqrt(LAMBDA["log_sd"] ** 2 + np.array([np.mean((x - x.mean()) ** 2) for x in by_group]))
    for one, drift in zip(found, (0.0, -0.8), strict=True):
        expected = by_hand(effect[GROUP] + moved, mean[GROUP], sd[GROUP], drift=drift)
        np.testing.assert_allclose(one, expected, atol=1e-4)


def test_beliefs_that_are_given_or_inferred_apart_do_not_move_with_the_population(decisions):
    expected = by_hand(belief_mean=0.3, belief_sd=0.9)
    given = by_model(decisions, [{}], beliefs={"log_mean": 0.3, "log_sd": 0.9})
    np.testing.assert_allclose(given[0], expected, atol=1e-4)
    free = by_model(decisions, [{"belief_log_mean": 0.3, "belief_log_sd": 0.9}], beliefs="free")
    np.testing.assert_allclose(free[0], expected, atol=1e-4)
