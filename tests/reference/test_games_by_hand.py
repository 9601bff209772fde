"""Solved games against damped replies in NumPy: one-shot games, Markov games and trees, with costs that are known and
private, and habits that are not uniform.

At these costs replies to replies settle down, so that iterating them is a solution by other means.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.environments.extensive import Chance, End, ExtensiveForm, Move
from bayescal.environments.markov import MarkovGame

RNG = np.random.default_rng(3)
TYPES = bc.populations.Discrete([0.9, 3.0], [0.3, 0.7])
COSTS, SHARES = np.array([0.9, 3.0]), np.array([0.3, 0.7])


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def choices(log_q, q, cost):
    """q(a) exp(Q(a) / cost) / Z over the last axis."""
    x = np.exp(log_q + (q - q.max(axis=-1, keepdims=True)) / cost)
    return x / x.sum(axis=-1, keepdims=True)


def inclusive(log_q, q, cost):
    best = q.max(axis=-1, keepdims=True)
    return best[..., 0] + cost[..., 0] * np.log(np.sum(np.exp(log_q + (q - best) / cost), axis=-1))


# --- One-shot games ---------------------------------------------------------------------------------------------------

PAYOFFS = RNG.normal(size=(2, 2, 3))  # [player][row][column]: the row player has two actions, the column player three
HABIT = bc.priors.Empirical([[0.7, 0.3], [0.2, 0.5, 0.3]])
LOG_Q = [np.log([0.7, 0.3]), np.log([0.2, 0.5, 0.3])]


def matrix():
    return bc.NormalForm([PAYOFFS[0], PAYOFFS[1]], role_names=("row", "column"))


def settled(costs, shares, payoffs=PAYOFFS):
    """(mixtures, payoffs of actions, choices by type) of both roles; costs by role and type."""
    p = [np.exp(x) for x in LOG_Q]
    for _ in range(600):
        u = [payoffs[0] @ p[1], p[0] @ payoffs[1]]
        by_type = [choices(LOG_Q[r], u[r], costs[r][:, None]) for r in range(2)]
        p = [0.5 * p[r] + 0.5 * shares @ by_type[r] for r in range(2)]
    return p, u, by_type


def test_costs_that_all_know_in_a_game_of_two_and_three_actions():
    cost = np.array([0.8, 1.7])
    solved = bc.ExactPolicy(matrix(), HABIT).solve(cost)
    p, u, _ = settled(cost[:, None], np.ones(1))
    assert bool(solved.converged) and float(solved.residual) < 1e-9
    np.testing.assert_allclose(solved.strategies, [[*p[0], 0.0], p[1]], atol=1e-9)
    assert float(solved.log_strategies[0, 2]) == -np.inf
    np.testing.assert_allclose(solved.log_strategies[1], np.log(p[1]), atol=1e-9)
    np.testing.assert_allclose(solved.expected_payoffs[0, :2], u[0], atol=1e-9)
    np.testing.assert_allclose(solved.expected_payoffs[1], u[1], atol=1e-9)
    np.testing.assert_allclose(solved.exploitability, [u[r].max() - p[r] @ u[r] for r in range(2)], atol=1e-9)
    np.testing.assert_allclose(solved.type_costs, cost[:, None])


def test_costs_that_are_private():
    policy = bc.ExactPolicy(matrix(), HABIT, population=TYPES)
    solved = policy.solve(phi={})
    p, u, by_type = settled(np.tile(COSTS, (2, 1)), SHARES)
    np.testing.assert_allclose(solved.strategies, [[*p[0], 0.0], p[1]], atol=1e-9)
    np.testing.assert_allclose(solved.strategies_by_type[1], by_type[1], atol=1e-9)
    np.testing.assert_allclose(np.exp(policy.log_prob_by_type({}, None, None))[0, :, :2], by_type[0], atol=1e-9)
    np.testing.assert_allclose(solved.type_costs, np.tile(COSTS, (2, 1)))
    np.testing.assert_allclose(solved.type_weights, SHARES)
    own = choices(LOG_Q[1], u[1], 0.4)  # of somebody whose cost we know, and whom others take for anybody
    np.testing.assert_allclose(np.exp(policy.log_prob(1, 0.4, {}, None, None)), own, atol=1e-9)
    np.testing.assert_allclose(np.exp(policy.log_prob_all(0.4, {}, None, None))[1], own, atol=1e-9)
    np.testing.assert_allclose(np.exp(policy.log_prob(1, None, {}, None, None)), p[1], atol=1e-9)
    np.testing.assert_allclose(policy.values(None, {}, None, None)[1], u[1], atol=1e-9)


def test_slopes_of_an_equilibrium_are_differences():
    policy = bc.ExactPolicy(matrix(), HABIT)
    table = lambda x: PAYOFFS + x * np.array([1.0, -2.0])[:, None, None] * np.arange(6.0).reshape(2, 3)
    f = lambda t: policy.solve(jnp.stack([t[0], 1.7]), params={"payoffs": table(t[1])}).strategies[1, 0]
    by_hand = lambda cost, x: settled(np.array([[cost], [1.7]]), np.ones(1), table(x))[0][1][0]
    by_cost = [by_hand(0.8 + h, 0.0) for h in (1e-5, -1e-5)]
    by_payoff = [by_hand(0.8, h) for h in (1e-5, -1e-5)]
    expected = [(by_cost[0] - by_cost[1]) / 2e-5, (by_payoff[0] - by_payoff[1]) / 2e-5]
    np.testing.assert_allclose(jax.jit(jax.grad(f))(np.array([0.8, 0.0])), expected, rtol=1e-5)


def test_a_market_whose_slopes_are_few():
    """Three firms of which only the sum matters: solved in one unknown direction."""
    market = bc.Cournot(3, np.linspace(0.0, 60.0, 7))
    types = bc.populations.Discrete([60.0, 200.0], SHARES)
    solved = bc.ExactPolicy(market, population=types).solve(phi={})
    p = np.full((1, 7), 1 / 7)
    for _ in range(500):
        u = np.asarray(market.expected_payoffs(jnp.asarray(p), market.params))
        p = 0.7 * p + 0.3 * SHARES @ choices(0.0, u[0], np.array([[60.0], [200.0]]))
    np.testing.assert_allclose(solved.strategies, p, atol=1e-9)


def test_another_equilibrium_from_another_start():
    """A game of coordination has two that are strict; the principal branch goes to one."""
    stag = bc.NormalForm([[[3.0, 0.0], [2.0, 2.0]], [[3.0, 2.0], [0.0, 2.0]]])
    policy = bc.ExactPolicy(stag)
    found = [np.asarray(policy.solve(0.2, start=np.array([[a, 1 - a]] * 2)).strategies)[:, 0] for a in (0.99, 0.01)]
    for p in found:
        own = 1 / (1 + np.exp(-(3 * p[::-1] - 2) / 0.2))
        np.testing.assert_allclose(p, own, atol=1e-9)
    assert found[0].min() > 0.9 and found[1].max() < 0.1


# --- Games over time --------------------------------------------------------------------------------------------------

STATES, DISCOUNT, TILT = 3, 0.7, 0.4
MONEY = RNG.normal(size=(STATES, 2, 2, 2))  # [state][player][a1][a2]
MOVES = RNG.dirichlet(np.ones(STATES), size=(STATES, 2, 2))
LEANING = np.array([-TILT, TILT]) - np.log(2 * np.cosh(TILT))


def forever(costs, shares, concept, rounds=3000):
    """(values of states by player and type, Q, choices by type): costs by player and type."""
    log_q, v = LEANING, np.zeros((2, costs.shape[1], STATES))
    pi = np.broadcast_to(np.exp(log_q), (2, costs.shape[1], STATES, 2))
    for _ in range(rounds):
        average = np.einsum("k,iksa->isa", shares, pi)
        q = np.empty((2, costs.shape[1], STATES, 2))
        for i, (now, after) in enumerate([("sab,sb->sa", "sabt,sb,kt->ksa"), ("sab,sa->sb", "sabt,sa,kt->ksb")]):
            other = average[1 - i]
            q[i] = np.einsum(now, MONEY[:, i], other) + DISCOUNT * np.einsum(after, MOVES, other, v[i])
        new = choices(log_q, q, costs[:, :, None, None])
        v = inclusive(log_q, q, costs[:, :, None, None]) if concept == "trajectory" else np.sum(new * q, axis=-1)
        pi = 0.7 * pi + 0.3 * new
    return v, q, pi


def test_a_markov_game_of_two_players_with_private_costs():
    game = MarkovGame(MONEY, MOVES, DISCOUNT)
    policy = bc.ExactPolicy(game, bc.priors.LogLinear(), population=TYPES)
    solved = policy.solve(phi={}, psi={"tilt": TILT})
    _, q, pi = forever(np.tile(COSTS, (2, 1)), SHARES, "trajectory")
    assert bool(solved.converged)
    np.testing.assert_allclose(np.exp(solved.log_by_type), pi, atol=1e-8)
    np.testing.assert_allclose(solved.strategies, np.einsum("k,iksa->isa", SHARES, pi), atol=1e-8)
    # What actions bring is known up to a constant for each player, type and state.
    np.testing.assert_allclose(solved.q - solved.q[..., :1], q - q[..., :1], atol=1e-7)
    # People whose costs we know play against the population; nobody expects them.
    tables = np.exp(policy.tables(jnp.asarray([0.9, 2.0]), {}, {"tilt": TILT}, None))
    np.testing.assert_allclose(tables[0], pi[:, 0], atol=1e-8)
    odd = forever(np.tile([0.9, 3.0, 2.0], (2, 1)), np.array([0.3, 0.7, 0.0]), "trajectory")[2][:, 2]
    np.testing.assert_allclose(tables[1], odd, atol=1e-8)


@pytest.mark.parametrize("concept", ["trajectory", "agent"])
def test_a_markov_game_at_costs_that_all_know(concept):
    game, cost = MarkovGame(MONEY, MOVES, DISCOUNT), np.array([0.7, 2.5])
    solved = bc.ExactPolicy(game, bc.priors.LogLinear(), concept=concept).solve(cost, psi={"tilt": TILT})
    v, _, pi = forever(cost[:, None], np.ones(1), concept)
    np.testing.assert_allclose(solved.strategies, pi[:, 0], atol=1e-8)
    np.testing.assert_allclose(solved.values[:, 0], v[:, 0], atol=1e-7)


def test_one_person_who_moves_twice_pays_for_both():
    """First stop for 1 or go on; then, by chance, one of two questions."""
    question = lambda name, right, wrong: Move(0, name, {"x": End((right,)), "y": End((wrong,))})
    chance = Chance(((0.25, question("easy", 4.0, 0.0)), (0.75, question("hard", 0.0, 2.0))))
    game = ExtensiveForm(Move(0, "first", {"stop": End((1.0,)), "go": chance}), role_names=("one",))
    first, easy, hard = (game.tree.situations[0].index(s) for s in ("first", "easy", "hard"))
    cost, log_q = 1.3, LEANING
    log_z = lambda u: cost * np.log(np.sum(np.exp(log_q + np.array(u) / cost)))
    mean = lambda u: choices(log_q, np.array(u), cost) @ u
    for concept, later in (("trajectory", log_z), ("agent", mean)):
        policy = bc.ExactPolicy(game, bc.priors.LogLinear(), concept=concept)
        found = np.asarray(policy.solve(cost, psi={"tilt": TILT}).strategies)[0]
        on = 0.25 * later([4.0, 0.0]) + 0.75 * later([0.0, 2.0])
        np.testing.assert_allclose(found[first], choices(log_q, np.array([1.0, on]), cost), atol=1e-9)
        np.testing.assert_allclose(found[easy], choices(log_q, np.array([4.0, 0.0]), cost), atol=1e-9)
        np.testing.assert_allclose(found[hard], choices(log_q, np.array([0.0, 2.0]), cost), atol=1e-9)


def test_what_nature_did_is_inferred_from_what_somebody_did():
    """The first player sees the state and acts; the second sees the act only. Bayes' rule over states."""
    pay = RNG.normal(size=(2, 2, 2, 2))  # [state][act][reply][player]
    odds = np.array([0.6, 0.4])
    reply = lambda s, a: Move(1, f"after {a}", {"l": End(tuple(pay[s, a, 0])), "r": End(tuple(pay[s, a, 1]))})
    act = lambda s: Move(0, f"state {s}", {"u": reply(s, 0), "d": reply(s, 1)})
    game = ExtensiveForm(Chance(((0.6, act(0)), (0.4, act(1)))), role_names=("one", "two"))
    solved = bc.ExactPolicy(game, population=TYPES).solve(phi={})
    acts, replies = np.full((2, 2, 2), 0.5), np.full((2, 2, 2), 0.5)  # [type][state or act][action]
    flat = np.full(2, -np.log(2))
    for _ in range(800):
        mean_reply, mean_act = SHARES @ replies.reshape(2, -1), SHARES @ acts.reshape(2, -1)
        mean_reply, mean_act = mean_reply.reshape(2, 2), mean_act.reshape(2, 2)
        worth = np.einsum("sar,ar->sa", pay[..., 0], mean_reply)
        belief = odds[:, None] * mean_act
        belief = belief / belief.sum(axis=0)
        gain = np.einsum("sar,sa->ar", pay[..., 1], belief)
        acts = 0.5 * acts + 0.5 * choices(flat, worth, COSTS[:, None, None])
        replies = 0.5 * replies + 0.5 * choices(flat, gain, COSTS[:, None, None])
    at = [[game.tree.situations[i].index(n) for n in names] for i, names in
          enumerate([("state 0", "state 1"), ("after 0", "after 1")])]  # fmt: skip
    np.testing.assert_allclose(np.exp(solved.log_by_type)[0][:, at[0]], acts, atol=1e-8)
    np.testing.assert_allclose(np.exp(solved.log_by_type)[1][:, at[1]], replies, atol=1e-8)
    np.testing.assert_allclose(solved.strategies[1][jnp.array(at[1])], SHARES @ replies.transpose(1, 0, 2), atol=1e-8)
