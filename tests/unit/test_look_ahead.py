"""LookAhead's games: where they are played, and from whom what is learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.domain import Domain
from bayescal.policies.learned import with_network
from bayescal.training.points import sample_points

BOX = {"cost": (50.0, 5000.0), "phi.log_mean": (5.0, 7.0), "phi.log_sd": (0.1, 0.5), "psi.pull": (0.0, 10.0)}
NEAR = Domain.from_dict(
    {"cost": (100.0, 200.0), "phi.log_mean": (5.5, 5.6), "phi.log_sd": (0.2, 0.3), "psi.pull": (2, 3)}
)


@pytest.fixture(scope="module")
def policy():
    market = bc.Cobweb(rounds=6, forecasts=np.linspace(0, 10, 11), window=1)
    population = bc.populations.LogNormal(8)
    blank = bc.StagedPolicy(market, BOX, prior=bc.priors.Naive(), population=population, width=8, depth=1)
    return with_network(blank, blank.fresh(jax.random.key(0)))


def test_points_lie_in_the_part_that_is_asked_for_and_more_often_near_its_faces(policy):
    points = sample_points(policy, jax.random.key(0), 4000, faces=True, box=NEAR)
    named = {"phi.log_mean": points.phi["log_mean"], "phi.log_sd": points.phi["log_sd"], "psi.pull": points.psi["pull"]}
    for name, box in NEAR.intervals:
        if name != "cost":
            unit = (np.asarray(named[name]) - box.low) / (box.high - box.low)
            assert unit.min() >= 0 and unit.max() <= 1 + 1e-6
            assert np.mean((unit < 0.1) | (unit > 0.9)) > 0.25  # 0.2 if they were spread evenly


def test_half_of_the_learners_have_a_cost_from_anywhere(policy):
    games = jax.jit(lambda key: bc.LookAhead(policy, games=2000).init(key))(jax.random.key(1)).games
    log_cost, player = np.log(np.asarray(games.point.cost)), np.asarray(games.player)
    own = log_cost[np.arange(2000), player]
    away = np.abs(own - np.asarray(games.point.phi["log_mean"])) > 5 * np.asarray(games.point.phi["log_sd"])
    odd = np.asarray(games.odd)
    assert 0.45 < odd.mean() < 0.55
    assert away[odd].mean() > 0.3 and not away[~odd].any()
    assert set(player.tolist()) == set(range(6))


def test_the_others_learn_nothing_from_meeting_somebody_odd(policy):
    trainer = bc.LookAhead(policy, games=64, branched=2)
    state = jax.jit(lambda key: trainer.init(key))(jax.random.key(1))
    _, (met, _) = jax.jit(lambda key, state: trainer.experience(key, state))(jax.random.key(2), state)
    weight, games = np.asarray(met.weight), state.games
    for game in range(64):
        alone = np.arange(6) == int(games.player[game])
        expected = alone if games.odd[game] else np.ones(6, bool)
        assert np.array_equal(weight[game].astype(bool), np.broadcast_to(expected, weight[game].shape))


def test_a_focus_begins_with_the_weights_that_are_there(policy):
    focused = bc.LookAhead(policy, games=500, focus=NEAR)
    state = jax.jit(lambda key: focused.init(key))(jax.random.key(1))
    same = lambda a, b: all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))
    assert same(state.learner.network, policy.network)
    assert not same(
        jax.jit(lambda key: bc.LookAhead(policy).init(key))(jax.random.key(1)).learner.network, policy.network
    )
    odd = np.asarray(state.games.point.cost)[np.arange(500), state.games.player][np.asarray(state.games.odd)]
    assert odd.min() >= 100 * (1 - 1e-5) and odd.max() <= 200 * (1 + 1e-5)
    log_mean = jnp.asarray(state.games.point.phi["log_mean"])
    assert log_mean.min() >= 5.5 - 1e-5 and log_mean.max() <= 5.6 + 1e-5
