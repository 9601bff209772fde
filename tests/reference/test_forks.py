"""The principal branch where a careless tracer loses it, and where it forks, against NumPy and SciPy."""

import jax
import numpy as np
import pytest
from scipy.optimize import brentq

import bayescal as bc


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def coordination(bonus: float) -> bc.NormalForm:
    u = np.eye(3) + bonus * np.diag([0.0, 0.0, 1.0])
    return bc.NormalForm([u, u], name="coordination")


def followed(u, cost):
    """Damped replies, while the cost falls in small steps: they follow a branch as long as it is stable."""
    p = np.full(3, 1 / 3)
    for c in np.geomspace(3.0, cost, 400):
        for _ in range(100):
            x = np.exp(u @ p / c - np.max(u @ p / c))
            p = 0.5 * p + 0.5 * x / x.sum()
    return p


def test_a_branch_that_bends_off_where_two_directions_become_unstable():
    """Three ways to coordinate, of which the last pays a little more. Near a third each is an equilibrium at every
    cost, but the branch from the habit goes to the last."""
    game = coordination(0.01)
    solved = bc.equilibrium(game, 0.1)
    p = followed(np.asarray(game.params["payoffs"])[0], 0.1)
    np.testing.assert_allclose(solved.strategies, [p, p], atol=1e-9)
    assert bool(solved.converged) and bool(solved.stable) and not bool(solved.forked) and p[2] > 0.99


def test_three_ways_to_coordinate_that_are_alike():
    """A fork with many arms: the one that is taken is an equilibrium, and stable."""
    solved = bc.equilibrium(coordination(0.0), 0.1)
    assert bool(solved.converged) and bool(solved.stable) and bool(solved.forked)
    x = brentq(lambda x: np.log(2 * x / (1 - x)) - (1.5 * x - 0.5) / 0.1, 0.9, 1 - 1e-12, xtol=1e-14)
    np.testing.assert_allclose(np.sort(solved.strategies, axis=1), [[(1 - x) / 2] * 2 + [x]] * 2, atol=1e-9)


@pytest.mark.slow
def test_arms_that_do_not_pay_the_same(unchecked):
    """In both rows one gains 1 by doing as the other does, but to be met by A is worth 6 more than by B: the
    arms are alike in play, and pay 5 and -1. The first is the one on which the first role leaves A."""
    u = np.array([[5.0, -2.0], [4.0, -1.0]])
    game = bc.NormalForm([u, u.T], action_labels=[("A", "B")] * 2)
    high = brentq(lambda p: np.log(p / (1 - p)) - (2 * p - 1) / 0.3, 0.6, 1 - 1e-12, xtol=1e-14)
    for arm, p, pays in (("first", 1 - high, -1), ("other", high, 5)):
        solved = bc.equilibrium(game, 0.3, arm=arm)
        assert bool(solved.forked) and bool(solved.stable) and bool(solved.converged)
        np.testing.assert_allclose(solved.strategies[:, 0], [p, p], atol=1e-9)
        assert abs(float(solved.strategies[0] @ u @ solved.strategies[1]) - pays) < 0.5
    with unchecked(), pytest.raises(bc.errors.InputError, match="the arm is 'left'"):
        bc.ExactPolicy(game, arm="left")
