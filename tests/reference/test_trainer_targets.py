"""What trainers aim at and how far they say they are, worked out in NumPy from the network's own values.

A trainer's first step tells the loss of its first network, so that nothing has to be trained.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.environments.markov import MarkovGame
from bayescal.training.kl_ppo import advantages, at, choose_rows
from bayescal.training.mixtures import replies, types_of
from bayescal.training.points import corner_points, new_games, sample_points
from bayescal.training.rounds import soft_value
from bayescal.training.soft_q_expected import aim
from bayescal.training.views import discounted_rounds

RNG = np.random.default_rng(5)
PAYOFFS = RNG.normal(size=(2, 2, 3))
GAME = bc.NormalForm([PAYOFFS[0], PAYOFFS[1]], role_names=("row", "column"))
SHARES = np.array([[0.7, 0.3, 0.0], [0.2, 0.5, 0.3]])
LOG_Q = np.where(SHARES > 0, np.log(np.where(SHARES > 0, SHARES, 1)), -1e30)
COSTS, WEIGHTS = np.array([[0.9, 3.0], [1.2, 2.0]]), np.array([0.3, 0.7])


@pytest.fixture(autouse=True)
def precision(request):
    """Double, but for trainers that play, which do so in single precision."""
    with jax.enable_x64("from_play" not in request.node.name):
        yield


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def reply(q, costs=COSTS, weights=WEIGHTS):
    """(what each action brings where everybody plays as the values q say, mixtures)."""
    p = np.einsum("k,rka->ra", weights, softmax(LOG_Q[:, None] + q[:, None] / costs[..., None]))
    return np.stack([np.append(PAYOFFS[0] @ p[1], 0.0), p[0, :2] @ PAYOFFS[1]]), p


# --- Expected replies and Newton targets ------------------------------------------------------------------------------


def test_replies_are_payoffs_against_the_mixtures():
    q = RNG.normal(size=(2, 3))
    u, p, by_type = replies(GAME, *map(jnp.asarray, (q, LOG_Q, COSTS, WEIGHTS)), GAME.params)
    expected, mixtures = reply(q)
    np.testing.assert_allclose(u, expected, atol=1e-12)
    np.testing.assert_allclose(p, mixtures, atol=1e-12)
    np.testing.assert_allclose(by_type[1, 0], softmax(LOG_Q[1] + q[1] / 1.2), atol=1e-12)


def test_the_aim_is_newtons():
    """(1 - J)⁻¹ of the gap, J by differences; where the step is long or turns the wrong way, the gap itself."""
    q = 0.3 * RNG.normal(size=(2, 3))
    q[0, 2] = 0.0
    u, p = reply(q)
    there = SHARES > 0
    centred = lambda x: np.where(there, x - np.sum(p * x, axis=1, keepdims=True), 0.0)
    gap = centred(u - q)
    steps = np.eye(6).reshape(6, 2, 3) * 1e-6
    jacobian = np.stack([(reply(q + s)[0] - reply(q - s)[0]).ravel() / 2e-6 for s in steps], axis=1)
    newton = centred(np.linalg.solve(np.eye(6) - jacobian, gap.ravel()).reshape(2, 3))
    assert np.linalg.det(np.eye(6) - jacobian) > 0
    ask = lambda q=q, newton=True, stride=50.0: aim(
        GAME, *map(jnp.asarray, (q, LOG_Q, COSTS, WEIGHTS)), GAME.params, newton=newton, stride=stride
    )
    found, size = ask()
    np.testing.assert_allclose(found, q + newton, atol=1e-8)
    np.testing.assert_allclose(size, np.abs(gap).max(), atol=1e-12)
    plain, _ = ask(newton=False)
    np.testing.assert_allclose(plain, q + gap, atol=1e-12)
    typical = np.exp(np.log(COSTS) @ WEIGHTS)[:, None]
    longest = np.max(np.abs(newton) / typical)
    np.testing.assert_allclose(ask(stride=0.99 * longest)[0], plain, atol=1e-12)
    np.testing.assert_allclose(ask(stride=1.01 * longest)[0], found, atol=1e-12)
    for _ in range(6):  # and it is quadratic
        found, size = ask(q=found)
    assert float(size) < 1e-12
    np.testing.assert_allclose(centred(reply(np.asarray(found))[0] - np.asarray(found)), 0.0, atol=1e-12)


def test_beyond_a_fold_nobody_steps_to_the_unstable_equilibrium():
    """Coordination at a small cost, near its middle equilibrium: replies lead away from there."""
    game = bc.NormalForm([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    q, log_q, cost = np.array([[0.51, 0.49], [0.51, 0.49]]), np.full((2, 2), -np.log(2)), np.full((2, 1), 0.2)
    given = map(jnp.asarray, (q, log_q, cost, np.ones(1)))
    found, _ = aim(game, *given, game.params, newton=True, stride=50.0)
    p = softmax(q / 0.2)
    np.testing.assert_allclose(found[:, 0] - found[:, 1], p[:, 0] - p[:, 1], atol=1e-12)


def test_types_of_a_game():
    known = bc.AmortisedPolicy(GAME, {"cost": (0.5, 2.0)}, width=4, depth=1)
    points = jax.tree.map(lambda x: x[0], sample_points(known, jax.random.key(0), 3))
    costs, weights = types_of(known, points)
    np.testing.assert_allclose(costs, np.asarray(points.cost)[:, None])
    assert weights.tolist() == [1.0]
    box = {"cost": (0.5, 2.0), "phi.log_mean": (-0.5, 0.5), "phi.log_sd": (0.1, 0.4)}
    private = bc.AmortisedPolicy(GAME, box, population=bc.populations.LogNormal(5), width=4, depth=1)
    points = jax.tree.map(lambda x: x[0], sample_points(private, jax.random.key(0), 3))
    costs, weights = types_of(private, points)
    z, w = np.polynomial.hermite_e.hermegauss(5)
    expected = np.exp(float(points.phi["log_mean"]) + float(points.phi["log_sd"]) * z)
    np.testing.assert_allclose(costs, np.tile(expected, (2, 1)), rtol=1e-6)
    np.testing.assert_allclose(weights, w / w.sum(), rtol=1e-9)


def divergence(log_q, target, q, cost):
    """Kullback-Leibler divergence of the choices that values make from those that they should make."""
    t, p = softmax(log_q + target / cost), softmax(log_q + q / cost)
    return np.sum(np.where(t > 0, t * np.log(np.where(t > 0, t, 1) / np.where(t > 0, p, 1)), 0.0), axis=-1)


@pytest.mark.parametrize("curriculum", [0.0, 0.5])
def test_the_loss_of_expected_soft_q(curriculum):
    """At the first step of a curriculum everybody's cost is the highest."""
    skeleton = bc.AmortisedPolicy(
        GAME, {"cost": (0.5, 2.0)}, prior=bc.priors.Empirical([[0.7, 0.3], SHARES[1]]), width=4
    )
    trainer = bc.SoftQExpected(skeleton, steps=40, batch=6, newton=False, outlier=0.01, curriculum=curriculum)
    state, key = trainer.init(jax.random.key(1)), jax.random.key(2)
    after, info = jax.jit(lambda key, state: trainer.step(key, state))(key, state)
    points = sample_points(skeleton, jax.random.split(key, 3)[1], 6)
    cost = np.full((6, 2), 2.0) if curriculum else np.asarray(points.cost, float)
    losses, gaps = [], []
    for c in cost:
        q = np.asarray(trainer.policy(state).values(jnp.asarray(c), None, None, None), float)
        u, p = reply(q, c[:, None], np.ones(1))
        gap = np.where(SHARES > 0, (u - q) - np.sum(p * (u - q), axis=1, keepdims=True), 0.0)
        kl = divergence(LOG_Q, q + gap, q, c[:, None])
        losses.append(np.mean(0.01 * np.log1p(kl / 0.01)))
        gaps.append(np.abs(gap).max() / float(GAME.payoff_scale(GAME.params)))
    np.testing.assert_allclose([info["loss"], info["gap"]], [np.mean(losses), np.mean(gaps)], rtol=1e-4)
    assert int(after.count) == 1


# --- Decision problems of finitely many states ------------------------------------------------------------------------


def test_the_loss_of_soft_q_in_a_decision_problem():
    """Choices against those that are best where one's own policy is followed ever after, by a linear system."""
    money, moves = RNG.normal(size=(3, 2)), RNG.dirichlet(np.ones(3), size=(3, 2))
    game = MarkovGame(money[:, None], moves, 0.9)
    skeleton = bc.AmortisedPolicy(game, {"cost": (0.5, 2.0)}, prior=bc.priors.Empirical([[0.7, 0.3]]), width=4, depth=1)
    trainer = bc.SoftQMarkov(skeleton, steps=40, batch=3)
    state, key = trainer.init(jax.random.key(1)), jax.random.key(2)
    _, info = jax.jit(lambda key, state: trainer.step(key, state))(key, state)
    policy, log_q, losses = trainer.policy(state), np.log([0.7, 0.3]), []
    for cost in np.asarray(sample_points(skeleton, key, 3).cost, float)[:, 0]:
        q = np.stack([policy.values_of(0, {"state": s}, jnp.asarray([cost]), None, None, None) for s in range(3)])
        pi = softmax(log_q + q / cost)
        income = np.sum(pi * (money - cost * (np.log(pi) - log_q)), axis=1)
        v = np.linalg.solve(np.eye(3) - 0.9 * np.einsum("sa,sat->st", pi, moves), income)
        kl = divergence(log_q, money + 0.9 * moves @ v, q, cost)
        losses.append(np.mean(trainer.outlier * np.log1p(kl / trainer.outlier)))
    np.testing.assert_allclose(info["loss"], np.mean(losses), rtol=1e-3)


# --- Play -------------------------------------------------------------------------------------------------------------


class Doors(bc.Environment):
    """Two players who have nothing to do with each other: going in costs 1, and inside it pays 2 to do the right
    thing. Outside nothing pays."""

    name: str = eqx.field(static=True, default="doors")
    role_names: tuple[str, ...] = eqx.field(static=True, default=("guest",))
    role_counts: tuple[int, ...] = eqx.field(static=True, default=(2,))
    action_values: tuple[tuple[float, ...], ...] = eqx.field(static=True, default=((0.0, 1.0),))
    action_labels: tuple[tuple[str, ...], ...] = eqx.field(static=True, default=(("no", "yes"),))
    ordered: bool = eqx.field(static=True, default=True)
    horizon: int = eqx.field(static=True, default=2)
    discount: float = eqx.field(static=True, default=0.9)

    @property
    def params(self):
        return {}

    def reset(self, key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros(2)

    def step(self, key, state, joint_action, params):
        time, inside = state
        chosen = joint_action.astype(inside.dtype)
        payoffs = jnp.where(time == 0, -chosen, 2 * inside * chosen)
        return (time + 1, chosen), payoffs, time + 1 >= self.horizon

    def observe(self, state, player):
        return state[0], state[1][player]

    def replay(self, table):
        raise NotImplementedError

    def payoff_scale(self, params):
        return jnp.asarray(2.0)


@pytest.mark.parametrize("level", [None, 0.25])
def test_the_loss_of_soft_q_from_play(level):
    """First every game is at its doors, then inside or not; what both actions bring is certain."""
    habit = np.array([0.3, 0.7])
    skeleton = bc.AmortisedPolicy(Doors(), {"cost": (0.4, 2.5)}, prior=bc.priors.Empirical([habit]), width=4, depth=1)
    trainer = bc.SoftQ(skeleton, steps=40, games=3, level=level)
    step = jax.jit(lambda key, state: trainer.step(key, state))
    state = trainer.init(jax.random.key(1))
    for key in jax.random.split(jax.random.key(2)):
        learner, kept = (eqx.tree_at(lambda p: p.network, skeleton, w) for w in (trainer.weights(state), state.target))
        costs, (times, inside) = np.asarray(state.games.costs, float), state.games.state
        losses = []
        for g in range(3):
            for i in range(2):
                cost, known = costs[g, i], state.games.point.cost[g]
                ask = lambda policy, seen, known=known: np.asarray(
                    policy.values_of(0, seen, known, None, None, None), float
                )
                q = ask(learner, (times[g], inside[g, i]))
                if int(times[g]) == 0:
                    ahead = [ask(kept, (times[g] + 1, jnp.asarray(a, inside.dtype))) for a in (0.0, 1.0)]
                    worth = [cost * np.log(habit @ np.exp(x / cost)) for x in ahead]
                    target = np.array([0.0, -1.0]) + 0.9 * np.array(worth)
                else:
                    target = 2 * float(inside[g, i]) * np.array([0.0, 1.0])
                error = (q - target) / 2.0
                spread = np.mean((error - error.mean()) ** 2)
                shared = 0.5 if level is None else level  # one over the two rounds that matter
                losses.append((spread + shared * error.mean() ** 2) / (0.1 + cost / 2.0))
        state, info = step(key, state)
        np.testing.assert_allclose(info["loss"], np.mean(losses), rtol=1e-3)


def test_the_soft_value_is_the_worth_of_a_choice():
    q, habit, cost = np.array([1.0, -2.0, 0.5]), np.array([0.5, 0.0, 0.5]), 0.7
    log_q = jnp.asarray(np.where(habit > 0, np.log(0.5), -1e30))
    p = habit * np.exp(q / cost) / (habit @ np.exp(q / cost))
    worth = p @ q - cost * np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / 0.5), 0))
    np.testing.assert_allclose(soft_value(log_q, jnp.asarray(q), cost), worth, rtol=1e-12)
    np.testing.assert_allclose(soft_value(log_q, jnp.asarray(q + 1e3), 1e-3), 1001.0 - 1e-3 * np.log(2), rtol=1e-12)


def test_advantages_are_sums_of_what_comes_as_a_surprise():
    """Over one game of four decisions, the second of two that follow each other: no sum goes over an end."""
    rewards, values, last = RNG.normal(size=(6, 1, 2)), RNG.normal(size=(6, 1, 2)), RNG.normal(size=(1, 2))
    done = np.array([0, 1, 0, 0, 0, 0], bool)[:, None]
    following = np.concatenate([values[1:], last[None]])
    on = 0.9 * ~done[..., None]
    surprise = rewards + on * following - values
    expected = np.zeros_like(rewards)
    for t in range(6):
        weight = 1.0
        for u in range(t, 6):
            expected[t] += weight * surprise[u]
            weight = weight * on[u, 0, 0] * 0.8
    found = advantages(*map(jnp.asarray, (rewards, values, done, last)), 0.9, 0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_small_parts_of_ppo():
    table, action = RNG.normal(size=(2, 3, 4)), RNG.integers(0, 4, (2, 3))
    np.testing.assert_allclose(
        at(jnp.asarray(table), jnp.asarray(action)), np.take_along_axis(table, action[..., None], 2)[..., 0]
    )
    new, old = {"a": np.ones((3, 2))}, {"a": np.zeros((3, 2))}
    assert np.asarray(choose_rows(jnp.array([True, False, True]), new, old)["a"]).tolist() == [[1, 1], [0, 0], [1, 1]]
    assert discounted_rounds(bc.AmortisedPolicy(Doors(), {"cost": (0.4, 2.5)}, width=4, depth=1)) == pytest.approx(1.9)


# --- Points -----------------------------------------------------------------------------------------------------------


def test_points_of_a_box():
    """Costs are even in their logarithm, half of the games have one cost for all; corners are all there, once."""
    policy = bc.AmortisedPolicy(GAME, {"cost": (0.5, 8.0)}, prior=bc.priors.LogLinear(), width=4, depth=1)
    cost = np.asarray(sample_points(policy, jax.random.key(0), 600).cost)
    assert cost.shape == (600, 2) and cost.min() >= 0.5 and cost.max() <= 8.0
    together = cost[:, 0] == cost[:, 1]
    assert abs(together.mean() - 0.5) < 0.09
    place = np.log(cost / 0.5) / np.log(16)
    assert abs(np.corrcoef(place[~together].T)[0, 1]) < 0.25  # else they have nothing to do with each other
    assert abs(place.mean() - 0.5) < 0.05 and abs(place.var() - 1 / 12) < 0.015
    box = {"cost": (0.5, 8.0), "phi.log_mean": (-1.0, 1.0), "phi.log_sd": (0.1, 0.4)}
    private = bc.AmortisedPolicy(GAME, box, population=bc.populations.LogNormal(5), width=4, depth=1)
    corners = corner_points(private)
    rows = {
        tuple(map(float, r)) for r in zip(corners.cost, corners.phi["log_mean"], corners.phi["log_sd"], strict=True)
    }
    assert rows == {(c, m, s) for c in (0.5, 8.0) for m in (-1.0, 1.0) for s in (0.1, 0.4)}
    _, games = new_games(private, jax.random.key(1), 400)
    own = (np.log(np.asarray(games.cost)) - np.asarray(games.phi["log_mean"])[:, None]) / np.asarray(
        games.phi["log_sd"]
    )[:, None]
    inside = (np.asarray(games.cost) > 0.5) & (np.asarray(games.cost) < 8.0)
    assert inside.mean() > 0.7 and abs(np.median(own[inside & (np.abs(own) < 2)])) < 0.25
    assert np.ptp(np.asarray(games.cost), axis=1).min() >= 0 and len(np.unique(np.asarray(games.cost))) > 500
