"""PPO's bookkeeping in NumPy: what is seen of a game, what is earned, and the loss of an update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.training.kl_ppo import KLPPO, Batch
from bayescal.training.points import new_games
from bayescal.training.views import discounted_rounds, log_policy, look_all, value_of

RNG = np.random.default_rng(6)
PAYOFFS = np.array([[[9.0, 0.0], [0.0, 1.0]], [[0.0, 9.0], [1.0, 0.0]]])
PENNIES = bc.NormalForm(PAYOFFS, role_names=("row", "column"))
BOX = {"cost": (1.0, 4.0)}
HABIT = np.array([[0.7, 0.3], [0.4, 0.6]])


def trainer(unit="cost", private=False, **settings):
    box = BOX | {"phi.log_mean": (0.2, 1.0), "phi.log_sd": (0.1, 0.4)} if private else BOX
    skeleton = bc.AmortisedPolicy(
        PENNIES, box, prior=bc.priors.Empirical(HABIT), width=4, depth=1, unit=unit,
        population=bc.populations.LogNormal(4) if private else None,
    )  # fmt: skip
    return KLPPO(skeleton, **({"steps": 3, "games": 5, "rollout": 2, "epochs": 1, "minibatches": 1} | settings))


@pytest.mark.parametrize(("unit", "private"), [("cost", False), ("payoff", False), ("payoff", True)])
def test_what_is_seen_of_a_game(unit, private):
    learner = trainer(unit, private)
    worlds, games = new_games(learner.skeleton, jax.random.key(0), 5)
    view, cost = look_all(learner.skeleton, worlds, games), np.asarray(games.cost)
    scale = np.array([float(PENNIES.stake_scale(PENNIES.params, r)) for r in range(2)])
    np.testing.assert_allclose(view.scale, np.tile(scale, (5, 1)), rtol=1e-6)
    np.testing.assert_allclose(view.charge, cost / scale, rtol=1e-5)
    np.testing.assert_allclose(view.place, 2 * np.log(cost) / np.log(4) - 1, atol=1e-5)
    np.testing.assert_allclose(view.tilt, scale / (cost + scale if unit == "cost" else cost), rtol=1e-5)
    np.testing.assert_allclose(view.log_q, np.tile(np.log(HABIT), (5, 1, 1)), rtol=1e-5)


def test_what_is_earned_is_net_of_information():
    """A game of one round: nothing is carried over its end, so that surprises are rewards less values."""
    learner = trainer()
    state = learner.init(jax.random.key(1))
    networks = learner.weights(state)
    _, seen = jax.jit(lambda key, state: learner.experience(key, state))(jax.random.key(2), state)
    action, log_p = np.asarray(seen.action), np.asarray(log_policy(learner.skeleton, networks.actor, seen.view))
    assert action.shape == (10, 2)  # five games, two rounds
    taken = np.take_along_axis(log_p, action[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(seen.log_p, taken, rtol=1e-5, atol=1e-6)
    money = np.stack([PAYOFFS[i, action[..., 0], action[..., 1]] for i in range(2)], axis=-1)
    habit = np.log(HABIT)[np.arange(2), action]
    earned = money / np.asarray(seen.view.scale) - np.asarray(seen.view.charge) * (taken - habit)
    np.testing.assert_allclose(seen.reward, earned, rtol=1e-4, atol=1e-5)
    values = np.asarray(value_of(learner.skeleton, networks.critic, seen.view))
    np.testing.assert_allclose(seen.advantage, earned - values, atol=1e-4)
    np.testing.assert_allclose(seen.aim, earned, atol=1e-4)


def test_the_loss_of_an_update():
    """Clipped ratios times advantages in units of their spread, and half the square of the critic's error."""
    learner = trainer(clip=0.2)
    networks = learner.weights(learner.init(jax.random.key(1)))
    worlds, games = new_games(learner.skeleton, jax.random.key(0), 40)
    view = look_all(learner.skeleton, worlds, games)
    log_p = np.asarray(log_policy(learner.skeleton, networks.actor, view), float)
    action, log_ratio = RNG.integers(0, 2, (40, 2)), RNG.normal(0, 0.4, (40, 2))
    taken = np.take_along_axis(log_p, action[..., None], axis=-1)[..., 0]
    advantage, aim = RNG.normal(0.5, 3.0, (40, 2)), RNG.normal(size=(40, 2))
    batch = Batch(view, jnp.asarray(action), *(jnp.asarray(x) for x in (taken - log_ratio, advantage, aim, aim)))
    loss, measures = learner.loss(networks, batch)
    ratio, standard = np.exp(log_ratio), (advantage - advantage.mean()) / advantage.std()
    gain = np.minimum(ratio * standard, np.clip(ratio, 0.8, 1.2) * standard).mean()
    values = np.asarray(value_of(learner.skeleton, networks.critic, view))
    error = 0.5 * np.mean(((values - aim) / discounted_rounds(learner.skeleton)) ** 2)
    np.testing.assert_allclose(loss, error - gain, rtol=1e-4)
    np.testing.assert_allclose(measures["kl"], np.mean(ratio - 1 - log_ratio), rtol=1e-3)
    np.testing.assert_allclose(measures["entropy"], -np.mean(np.sum(np.exp(log_p) * log_p, axis=-1)), rtol=1e-4)
