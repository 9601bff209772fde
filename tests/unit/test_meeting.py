"""The policy for games of two players with private costs: names, units and constants do not matter; slopes."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayescal as bc
from bayescal.errors import DomainError, InputError
from bayescal.policies.equivariant import Equivariant
from bayescal.policies.learned import with_network
from bayescal.policies.store import load_policy, save_policy

BOX = {
    "cost": (0.1, 100.0), "phi.log_mean": (-1.0, 3.0), "phi.log_sd": (0.1, 1.5), "psi.tilt": (-2.0, 2.0),
    "params.payoffs": (-25.0, 25.0),
}  # fmt: skip
GAME = bc.NormalForm(np.zeros((2, 3, 3)))
HABIT = bc.priors.LogLinear(features=((1, 0, 0), (1, 0, 0)))
PHI = {"log_mean": jnp.asarray(0.7), "log_sd": jnp.asarray(0.8)}
PAYOFFS = np.random.default_rng(0).uniform(-9, 9, (2, 3, 3))
LOG_Q = np.log(np.random.default_rng(1).dirichlet(np.ones(3), 2))


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def skeleton(game=GAME, **given):
    return bc.MeetingPolicy(game, BOX, **{"prior": HABIT, "width": 8, "depth": 2, **given})


def random_policy(game=GAME, **given):
    """Not trained; weights of a size that moves play."""
    policy = skeleton(game, **given)
    return with_network(policy, jax.tree.map(lambda w: 2 * w, policy.fresh(jax.random.key(3))))


@eqx.filter_jit
def meet(policy, payoffs, log_q):
    costs, weights = policy.population.quadrature(PHI)
    return jnp.stack(policy.meet((payoffs[0], payoffs[1].T), (log_q[0], log_q[1]), costs, weights))


def names_do_not_matter(policy):
    """All 72 ways to rename the actions of a 3x3 game and to swap its players."""
    own = np.asarray(meet(policy, jnp.asarray(PAYOFFS), jnp.asarray(LOG_Q)))
    assert np.abs(own - LOG_Q).max() > 0.1  # it is not the habit that is compared
    for rows, columns in itertools.product(itertools.permutations(range(3)), repeat=2):
        u, q = PAYOFFS[:, rows][:, :, columns], np.stack([LOG_Q[0, rows], LOG_Q[1, columns]])
        expected = np.stack([own[0, rows], own[1, columns]])
        np.testing.assert_allclose(meet(policy, jnp.asarray(u), jnp.asarray(q)), expected, atol=1e-6)
        swapped = meet(policy, jnp.asarray(u[::-1].swapaxes(1, 2)), jnp.asarray(q[::-1]))
        np.testing.assert_allclose(swapped, expected[::-1], atol=1e-6)


def test_names_do_not_matter():
    names_do_not_matter(random_policy())


class Partial(Equivariant):
    """Likes the first action a little more."""

    def __call__(self, one, two):
        first, second = super().__call__(one, two)
        return first.at[0].add(1e-4), second.at[0].add(1e-4)


class Unequal(Equivariant):
    """Gives the players weights that differ a little."""

    def __call__(self, one, two):
        return super().__call__(one, two)[0], super().__call__(two, 1.001 * one)[0]


@pytest.mark.parametrize("kind", [Partial, Unequal])
def test_a_preference_for_a_name_is_caught(kind):
    policy = random_policy()
    with pytest.raises(AssertionError):
        names_do_not_matter(with_network(policy, kind(policy.network.weights, policy.network.biases)))


@eqx.filter_jit
def choices(policy, payoffs, log_mean, cost):
    return policy.log_prob_all(cost, {"log_mean": log_mean, "log_sd": 0.8}, {"tilt": 0.4}, {"payoffs": payoffs})


def play(policy, payoffs, log_mean=0.7, cost=2.0):
    return np.exp(choices(policy, *map(jnp.asarray, (payoffs, log_mean, cost))))


def test_units_and_constants_do_not_matter():
    """Tenfold payoffs and costs; a number added to all payoffs at one action of the other player."""
    policy = random_policy()
    own = play(policy, PAYOFFS)
    np.testing.assert_allclose(play(policy, PAYOFFS * 2, 0.7 + np.log(2), cost=4.0), own, atol=1e-12)
    moved = PAYOFFS + 100 * np.array([[[1, 2, -3]], [[4, 5, 6]]]) * np.array([[[1]], [[0]]])
    moved = moved + 100 * np.array([[[0], [0], [0]], [[1], [-2], [3]]])
    np.testing.assert_allclose(play(policy, moved), own, atol=1e-9)
    assert np.abs(play(policy, PAYOFFS * 2) - own).max() > 0.01


def test_without_stakes_there_is_the_habit():
    costs = np.exp(PHI["log_mean"] + 20)
    policy = random_policy()
    found = meet(policy, jnp.asarray(PAYOFFS / costs), jnp.asarray(LOG_Q))
    np.testing.assert_allclose(found, LOG_Q, atol=1e-6)


def test_payoffs_are_checked_where_they_are_centred():
    policy = random_policy()
    policy.check(None, None, None, {"payoffs": PAYOFFS + 1000})
    with pytest.raises(DomainError, match="payoffs"):
        policy.check(None, None, None, {"payoffs": PAYOFFS * 6})
    with pytest.raises(DomainError, match="log_sd"):
        policy.log_prob_all(1.0, {"log_mean": 0.0, "log_sd": 3.0}, None, None)


@jax.jit
def slope_and_differences():
    """Of a random person's log-probability in the population, the habit and a payoff."""
    policy, h = random_policy(), 1e-6

    def f(x):
        params = {"payoffs": jnp.asarray(PAYOFFS).at[1, 0, 2].set(x[3])}
        return policy.log_prob_all(None, {"log_mean": x[0], "log_sd": x[1]}, {"tilt": x[2]}, params)[0]

    at = jnp.array([0.7, 0.8, 0.4, 2.0])
    both = jax.vmap(f)(jnp.concatenate([at + h * jnp.eye(4), at - h * jnp.eye(4)]))
    return jax.jacfwd(f)(at), (both[:4] - both[4:]).T / (2 * h)


def slopes_are_right(slope, found):
    np.testing.assert_allclose(slope, found, rtol=1e-5, atol=1e-8)


def test_slopes_are_right():
    slope, found = map(np.asarray, slope_and_differences())
    slopes_are_right(slope, found)
    for i in range(4):  # as if one of the numbers moved nobody by what it moves the others by
        with pytest.raises(AssertionError):
            slopes_are_right(slope * np.where(np.arange(4) == i, 0.999, 1.0), found)


def test_it_survives_being_saved(tmp_path):
    policy = random_policy()
    save_policy(policy, tmp_path)
    back, _ = load_policy(skeleton(), tmp_path)
    np.testing.assert_array_equal(play(back, PAYOFFS), play(policy, PAYOFFS))
    with pytest.raises(InputError, match="layers"):
        load_policy(skeleton(width=9), tmp_path)


def test_other_games_are_refused():
    with pytest.raises(InputError, match="two players in normal form"):
        skeleton(bc.NormalForm(np.zeros((3, 2, 2, 2))))
    with pytest.raises(InputError, match="private costs"):
        bc.DistilOneShot(bc.AmortisedPolicy(bc.get_game("stag-hunt"), {"cost": (0.1, 1.0)}, width=8, depth=1))


def test_every_game_of_a_study_must_be_inside():
    """Games of one shape are solved together; the first alone says nothing of the others."""
    game = lambda name, size: bc.NormalForm(size * PAYOFFS, name=name)
    games = {"small": game("small", 1.0), "large": game("large", 9.0)}
    rows = [{"participant": "p", "game": g, "role": "player 1", "action": "0", "round": 1} for g in games]
    decisions = bc.Decisions.from_table(pd.DataFrame(rows), games)
    model = lambda own: bc.build_model(random_policy(), bc.populations.LogNormal(), own, method="joint")
    with pytest.raises(DomainError, match="payoffs"):
        model(decisions)
    assert model(bc.Decisions.from_table(pd.DataFrame(rows[:1]), {"small": games["small"]})).spec.personal
