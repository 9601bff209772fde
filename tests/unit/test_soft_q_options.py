"""SoftQ that tries some actions, averages chance, lets people explore and learns from one player a role."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.training.rounds import evenly_spread_actions

QUANTITIES = np.arange(0, 61, 10)
COSTS = jnp.asarray([120.0, 250.0, 500.0])


@pytest.mark.slow
def test_it_learns_the_equilibrium_all_the_same():
    """A round of Cournot between three firms. Half of the firms explore, which moves the game on, but is not what the
    others reply to: with them in it, every probability would be another."""
    game = bc.RepeatedCournot(3, QUANTITIES, rounds=1)
    policy = bc.AmortisedPolicy(game, {"cost": (100.0, 600.0)}, width=32)
    options = {"tries": 3, "draws": 2, "everyone": False, "explore": 0.5, "lag": 30}
    learned = bc.train(bc.SoftQ(policy, steps=1500, games=64, **options)).policy
    start = game.observe(game.reset(jax.random.key(0), game.params), 0)
    found = jax.vmap(lambda c: learned.log_prob((0, start), c[None], None, None, None))(COSTS)
    exact = bc.ExactPolicy(bc.Cournot(3, QUANTITIES))
    truth = jax.vmap(lambda c: exact.log_prob_all(c, None, None, None)[0])(COSTS)
    assert 0.5 * np.abs(np.exp(found) - np.exp(truth)).sum(axis=1).max() < 0.03


def test_tries_are_spread_evenly_and_reach_every_action():
    keys = jax.random.split(jax.random.key(0), 2000)
    tried = np.asarray(jax.vmap(lambda k: evenly_spread_actions(k, 101, 7))(keys))
    assert all(len(set(row)) == 7 for row in tried)
    gaps = np.diff(np.sort(tried, axis=1), axis=1)
    assert gaps.min() >= 14
    assert gaps.max() <= 15
    share = np.bincount(tried.ravel(), minlength=101) / 2000  # each 7/101 of the time, within four standard errors
    assert np.abs(share - 7 / 101).max() < 4.5 * np.sqrt(7 / 101 / 2000)
    assert np.asarray(evenly_spread_actions(jax.random.key(0), 5, 7)).tolist() == [0, 1, 2, 3, 4]
