"""Game trees against a walk from node to node (`trees.Walk`): information sets that span depths, private costs, habits,
both concepts, and the audit that refuses a solver with wrong beliefs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from trees import HORSE, Walk, by_set, horse, horse_root, random_tree

import bayescal as bc
from bayescal.environments.extensive import Chance, End, ExtensiveForm, Move
from bayescal.errors import InputError
from bayescal.policies import audit as audits
from bayescal.policies import sequential

COSTS, SHARES = np.array([0.8, 2.0]), np.array([0.4, 0.6])


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def test_selten_horse():
    """The third player's two nodes are at depths 1 and 2. In this game nobody moves twice: both concepts agree."""
    solved = bc.ExactPolicy(horse()).solve(0.4)
    walk = Walk(horse_root(), 3, np.full((3, 1), 0.4), [1.0], "trajectory")
    found = {at: p[None] for at, p in by_set(horse(), solved.strategies).items()}
    reply = walk.reply(found)
    assert bool(solved.converged) and bool(solved.stable) and not bool(solved.forked)
    for at in found:
        np.testing.assert_allclose(found[at], reply[at], atol=1e-9)
    assert float(solved.residual) < 1e-9 and abs(found[2, "third"][0, 0] - 0.45796) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("concept", ["trajectory", "agent"])
def test_a_random_tree_with_private_costs(concept):
    game, root = random_tree(8)
    policy = bc.ExactPolicy(game, population=bc.populations.Discrete(COSTS, SHARES), concept=concept)
    solved = policy.solve(phi={})
    play = Walk(root, 3, np.tile(COSTS, (3, 1)), SHARES, concept).solve()
    assert bool(solved.converged)
    for at, p in by_set(game, np.exp(solved.log_by_type)).items():
        np.testing.assert_allclose(p, play[at], atol=1e-9)


@pytest.mark.slow
def test_slopes_where_an_information_set_spans_depths():
    """In the cost and in a payoff, against differences of the walk's solutions."""
    game, pays, bump = horse(), np.array(HORSE, float), np.eye(5, 3)

    def found(x):
        solved = bc.ExactPolicy(game).solve(x[0], params={"payoffs": pays + x[1] * bump})
        return solved.strategies[2, 0, 0]

    def walked(cost, bonus):
        walk = Walk(horse_root(pays + bonus * bump), 3, np.full((3, 1), cost), [1.0], "trajectory")
        return walk.solve()[2, "third"][0, 0]

    at, h = np.array([1.0, 0.1]), 1e-4
    slopes = [(walked(*(at + h * d)) - walked(*(at - h * d))) / (2 * h) for d in np.eye(2)]
    value, gradient = jax.jit(jax.value_and_grad(found))(jnp.asarray(at))
    np.testing.assert_allclose(value, walked(*at), atol=1e-9)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5)


def test_wrong_beliefs_are_not_certified(monkeypatch):
    """The planted error is the one that once was: beliefs that are Bayes' rule within each depth only."""

    def by_depth(env, player, others):
        mine = np.flatnonzero(env.tree.mover == player)
        key = env.tree.situation[mine] * 100 + env.tree.depth[mine]
        odds = jnp.exp(others[mine])
        return odds / jax.ops.segment_sum(odds, key, int(key.max()) + 1)[key]

    monkeypatch.setattr(sequential, "_beliefs", by_depth)
    game, solve = horse(), sequential.solve_sequential.__wrapped__  # not the compiled one
    given = (np.full((3, 1, 2), np.log(0.5)), np.full((3, 1), 0.4), np.ones(1), game.params)
    solved = jax.jit(lambda *given: solve(game, *given, "agent", jnp.ones(())))(*given)
    assert float(solved.residual) > 0.5 and not bool(solved.converged)
    assert solved.message.startswith("not confirmed") and np.isnan(np.asarray(solved.strategies)).all()


def audited(game, concept, *given):
    return jax.jit(lambda params, *given: audits.audit(game, *given, params, concept))(game.params, *given)


def test_the_audit_measures_how_far_play_is_from_the_reply():
    """Of play that is no equilibrium, in a tree, in a Markov game and at once, against NumPy."""
    game, root = random_tree(8)
    rng = np.random.default_rng(2)
    log_q = np.where(game.possible, -np.log(game.possible.sum(axis=-1, keepdims=True).clip(1)), -1e30)
    play = np.where(game.possible, rng.uniform(0.2, 1.0, game.possible.shape), 0.0)
    play = play / play.sum(axis=-1, keepdims=True).clip(1e-9)
    for concept in ("trajectory", "agent"):
        walk = Walk(root, 3, np.full((3, 1), 0.7), [1.0], concept)
        mine = {at: p[None] for at, p in by_set(game, play).items()}
        reply = walk.reply(mine)
        expected = max(np.abs(reply[at] - mine[at]).max() for at in mine)
        log_play = np.where(game.possible, np.log(np.where(play > 0, play, 1)), -1e30)[:, None]
        found = audited(game, concept, log_play, log_q, np.full((3, 1), 0.7), np.ones(1))
        np.testing.assert_allclose(found.residual, expected, atol=1e-10)
        assert not bool(found.passed)

    states, discount, cost = 3, 0.8, 0.5
    costs = np.full((2, 1), cost)
    money, moves = rng.normal(size=(states, 2, 2, 2)), rng.dirichlet(np.ones(states), size=(states, 2, 2))
    market = bc.MarkovGame(money, moves, discount)
    p = rng.dirichlet(np.ones(2), size=(2, states))
    for concept in ("trajectory", "agent"):
        off = 0.0
        for i, (now, after) in enumerate([("sab,sb->sa", "sabt,sb->sat"), ("sab,sa->sb", "sabt,sa->sbt")]):
            u, move = np.einsum(now, money[:, i], p[1 - i]), np.einsum(after, moves, p[1 - i])
            paid = cost * np.sum(p[i] * np.log(2 * p[i]), axis=1) if concept == "trajectory" else 0.0
            v = np.zeros(states)
            for _ in range(400):
                v = np.sum(p[i] * (u + discount * move @ v), axis=1) - paid
            x = np.exp((u + discount * move @ v) / cost)
            off = max(off, np.abs(x / x.sum(axis=1, keepdims=True) - p[i]).max())
        flat = np.log(np.full((2, states, 2), 0.5))
        found = audited(market, concept, np.log(p)[:, None], flat, costs, np.ones(1))
        np.testing.assert_allclose(found.residual, off, atol=1e-10)

    at_once = bc.NormalForm(money[0])
    x = np.exp(np.stack([money[0, 0] @ p[1, 0], p[0, 0] @ money[0, 1]]) / cost)
    off = np.abs(x / x.sum(axis=1, keepdims=True) - p[:, 0]).max()
    found = audited(at_once, "trajectory", np.log(p)[:, None, :1], np.log(np.full((2, 1, 2), 0.5)), costs, np.ones(1))
    np.testing.assert_allclose(found.residual, off, atol=1e-12)


def test_whoever_forgets_their_own_moves_is_refused():
    end = End((1.0, 0.0))
    later = Move(0, "later", {"x": end, "y": end})
    forgets = Move(0, "begin", {"left": later, "right": Chance(((0.5, end), (0.5, later)))})
    with pytest.raises(InputError, match=r"situation 'later'.*'left' in 'begin'.*'right' in 'begin'"):
        ExtensiveForm(forgets, role_names=("one", "two"))
    absent_minded = Move(0, "exit", {"off": end, "on": Move(0, "exit", {"off": end, "on": end})})
    with pytest.raises(InputError, match=r"'exit'.*no own move.*'on' in 'exit'"):
        ExtensiveForm(absent_minded, role_names=("driver", "nobody"))
    reply = Move(1, "reply", {"x": end, "y": end})  # what the other one did may be unknown, at any depth
    fine = Move(0, "begin", {"left": reply, "right": Chance(((0.5, end), (0.5, reply)))})
    assert ExtensiveForm(fine, role_names=("one", "two")).players == 2
