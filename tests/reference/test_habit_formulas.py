"""Habits against their formulas, written in NumPy: on a grid that does not begin at zero and whose steps differ."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.priors.fixed import Fixed

GRID = np.array([3.0, 4.0, 6.0, 10.0, 13.0])
WIDTH = 10.0
SEEN = {"own": 6.0, "seen": 11.0, "usual": 4.5, "began": 1.0}
P = bc.priors


def near(target, pull, corner=0.01):
    """Minus `pull` nats for each width of the grid between an action and the target; the corner is round."""
    return -pull * np.hypot((GRID - target) / WIDTH, corner)


def log_softmax(x):
    return x - np.log(np.sum(np.exp(x)))


SHARES = np.array([[0.1, 0.2, 0.3, 0.4, 0.0], [0.25, 0.25, 0.0, 0.25, 0.25]])
FIRST, SECOND = np.exp(log_softmax(near(6.0, 2.0))), np.exp(log_softmax(0.7 * np.array([1, 0, 1, 0, 0])))
FEATURE = (1, -1, 2, 0, 5)
STANDARD = (np.arange(5) - 2) / np.sqrt(2.0)  # the index, with mean 0 and variance 1

# name: (prior, psi, the weights of actions in nats after SEEN, and before the first decision)
CASES = {
    "uniform": (P.Uniform(), {}, np.zeros(5), np.zeros(5)),
    "empirical": (P.Empirical(SHARES), {}, *[np.log(SHARES[1] + 1e-300)] * 2),
    "log-linear": (P.LogLinear(), {"tilt": 0.8}, *[0.8 * STANDARD] * 2),
    "log-linear of features": (P.LogLinear([[0] * 5, FEATURE]), {"tilt": 0.4}, *[0.4 * np.array(FEATURE)] * 2),
    "anchored": (P.Anchored(), {"anchor": 0.2, "pull": 3.0}, *[near(3.0 + 0.2 * WIDTH, 3.0)] * 2),
    "centre": (P.Centre(), {"pull": 2.5}, *[near(8.0, 2.5)] * 2),
    "centre elsewhere": (P.Centre(at=9.5), {"pull": 2.5}, *[near(9.5, 2.5)] * 2),
    "focal": (P.Focal(3.0), {"bonus": 1.3}, *[1.3 * np.array([1, 0, 1, 0, 0])] * 2),
    "focal halves": (P.Focal(0.5), {"bonus": 1.3}, np.zeros(5), np.zeros(5)),
    "previous": (P.Previous(), {"pull": 4.0}, near(6.0, 4.0), np.zeros(5)),
    "naive": (P.Naive(), {"pull": 4.0}, near(11.0, 4.0), np.zeros(5)),
    "usual": (P.Usual(), {"pull": 4.0}, near(4.5, 4.0), np.zeros(5)),
    "adaptive": (P.Adaptive(), {"gain": 0.3, "pull": 4.0}, near(6.0 + 0.3 * 5.0, 4.0), np.zeros(5)),
    "repeat": (P.Repeat(), {"bonus": 1.7}, 1.7 * np.array([0, 0, 1, 0, 0]), np.zeros(5)),
    "mixture": (
        P.Mixture((P.Previous(), P.Focal(3.0), P.Uniform())),
        {"weight_1": 0.5, "weight_2": -0.4, "pull_0": 2.0, "bonus_1": 0.7},
        np.log(np.array([1.0, np.exp(0.5), np.exp(-0.4)]) @ [FIRST, SECOND, np.full(5, 0.2)]),
        np.log(np.array([1.0, np.exp(0.5), np.exp(-0.4)]) @ [np.full(5, 0.2), SECOND, np.full(5, 0.2)]),
    ),
    "product": (
        P.Product((P.Previous(), P.Focal(3.0), P.Centre())),
        {"pull_0": 2.0, "bonus_1": 0.7, "pull_2": 1.5},
        near(6.0, 2.0) + 0.7 * np.array([1, 0, 1, 0, 0]) + near(8.0, 1.5),
        0.7 * np.array([1, 0, 1, 0, 0]) + near(8.0, 1.5),
    ),
    "fixed": (Fixed(P.Anchored(), {"anchor": 0.2, "pull": 3.0}), {}, *[near(5.0, 3.0)] * 2),
}  # fmt: skip
each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_a_habit_is_its_formula(name):
    """Of the second role, by `log_prob` and, but for a constant, by `log_weight` and by the sum of `terms`."""
    prior, psi, after, before = CASES[name]
    with jax.enable_x64(True):
        grid = jnp.asarray(GRID)
        for began, expected in ((1.0, after), (0.0, before)):
            seen = SEEN | {"began": began}
            log_q = prior.log_prob(seen, psi, role=1, action_values=grid)
            np.testing.assert_allclose(np.exp(log_q), np.exp(log_softmax(expected)), rtol=1e-9, atol=1e-12)
            weight = np.maximum(prior.log_weight(seen, psi, role=1, action_values=grid), -1e3)
            terms = np.maximum(sum(t(seen) for t in prior.terms(psi, role=1, action_values=grid)), -1e3)
            for same in (weight, terms):
                np.testing.assert_allclose(np.exp(log_softmax(same)), np.exp(log_q), rtol=1e-9, atol=1e-12)


def test_what_a_component_rules_out():
    """A mixture lets the other component decide it; a product rules it out. Slopes stay finite."""
    parts = (P.Empirical(SHARES), P.LogLinear())
    with jax.enable_x64(True):
        grid, tilted = jnp.asarray(GRID), np.exp(log_softmax(0.3 * STANDARD))
        mix = lambda psi: P.Mixture(parts).log_prob(None, psi, role=0, action_values=grid)
        found = np.exp(mix({"weight_1": np.log(3.0), "tilt_1": 0.3}))
        np.testing.assert_allclose(found, 0.25 * SHARES[0] + 0.75 * tilted, rtol=1e-9)
        product = lambda psi: P.Product(parts).log_prob(None, psi, role=0, action_values=grid)
        found = np.exp(product({"tilt_1": 0.3}))
        np.testing.assert_allclose(found, SHARES[0] * tilted / (SHARES[0] @ tilted), rtol=1e-9, atol=1e-200)
        for f, psi in ((mix, {"weight_1": 1.0, "tilt_1": 0.3}), (product, {"tilt_1": 0.3})):
            assert all(np.isfinite(x).all() for x in jax.tree.leaves(jax.jacobian(f)(psi)))


def test_shares_that_are_rounded_are_normalised():
    shares = np.array([0.3, 0.3, 0.4 + 8e-7])
    with jax.enable_x64(True):
        found = np.exp(P.Empirical([shares]).log_prob(None, {}, role=0, action_values=jnp.arange(3.0)))
    np.testing.assert_allclose(found, shares / shares.sum(), rtol=1e-12)


def test_defaults_are_flat_or_in_the_middle():
    """Where nothing is given a habit is as weak as it may be, and parts of a mixture weigh the same."""
    for prior in (P.LogLinear(), P.Focal(), P.Repeat()):
        assert set(prior.defaults.values()) == {0.0}
    assert P.Mixture((P.Uniform(), P.Uniform(), P.Focal())).defaults == {
        "weight_1": 0.0,
        "weight_2": 0.0,
        "bonus_2": 0.0,
    }
