"""Markov games of two players and many states: against independent solutions, dense matrices and the other solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from duopoly import GOLDEN, GRID, habit, price_game, solved, state_of

import bayescal as bc
from bayescal.policies.two_player_markov import solve_two_players
from bayescal.solvers.state_by_state import StateByState
from bayescal.solvers.unstable import negative_of_inverse

AHEAD = [case for case in GOLDEN["cases"] if case["delta"] > 0]
NEVER = [case for case in GOLDEN["cases"] if case["delta"] == 0]
TOLERANCE = 1e-8  # the file has ten digits


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def distance(case, solution):
    """From the golden policy and value of the first firm, in each state that the file has."""
    off = [np.abs(solution.strategies[0, state_of(key)] - np.array(row)).max() for key, row in case["policy"].items()]
    worth = [abs(float(solution.values[0, 0, state_of(key)]) - value) for key, value in case["value"].items()]
    return max(off), max(worth)


CASES = [*AHEAD, *(pytest.param(case, marks=pytest.mark.slow) for case in NEVER)]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['prior']} {c['cost']} {c['delta']}")
def test_the_price_game_is_the_golden_one(case):
    solution = solved(case)
    assert solution.converged and solution.stable, solution.message
    off, worth = distance(case, solution)
    assert off < TOLERANCE and worth < 10 * TOLERANCE


def test_another_habit_is_told_apart():
    """The planted error: imitation solved as inertia."""
    case = next(c for c in AHEAD if c["prior"] == "other" and c["cost"] == 0.05)
    off, worth = distance(case, solved({**case, "prior": "own"}))
    assert off > 0.01 and worth > 0.01


def random_system(rng, types=2, states=3, width=3):
    shapes = {"moves": (2, types, states, width, width), "spread": (2, types, states, width, width)}
    shapes |= {"weigh": (2, types, states, width), "later": (2, states, width, states)}
    parts = {name: 0.6 * rng.normal(size=shape) for name, shape in shapes.items()}
    return parts, np.nonzero(np.ones((2, types, states, width)))


def dense(parts, cells):
    """1 - N, one column for each unknown, by the definition in the module's docstring."""
    m, c, w, d = parts["moves"], parts["spread"], parts["weigh"], parts["later"]
    n = len(cells[0])
    out = np.zeros((n, n))
    for column in range(n):
        x = np.zeros(w.shape)
        x[tuple(cell[column] for cell in cells)] = 1.0
        moved = np.zeros(w.shape)
        for i in range(2):
            j = 1 - i
            for k in range(w.shape[1]):
                worth = np.array([w[i, k, t] @ x[i, k, t] for t in range(w.shape[2])])
                for s in range(w.shape[2]):
                    play = sum(c[j, other, s] @ x[j, other, s] for other in range(w.shape[1]))
                    moved[i, k, s] = m[i, k, s] @ play + d[i, s] @ worth
        out[:, column] = x[cells] - moved[cells]
    return out


@jax.jit
def solve_and_count(parts, rhs):
    cells = np.nonzero(np.ones(parts["weigh"].shape))
    solver, sign = StateByState(**parts, cells=cells).factor()
    start = jnp.sin(1.0 + jnp.arange(len(rhs)) ** 2)
    return solver(rhs), sign, negative_of_inverse(lambda x: solver(x[:, None])[:, 0], start, most=len(rhs))


def test_linear_systems_are_solved_as_by_a_dense_matrix():
    rng = np.random.default_rng(3)
    seen = set()
    for _ in range(8):
        parts, cells = random_system(rng)
        matrix = dense(parts, cells)
        rhs = rng.normal(size=(len(matrix), 2))
        x, sign, unstable = solve_and_count(parts, rhs)
        np.testing.assert_allclose(x, np.linalg.solve(matrix, rhs), rtol=1e-7, atol=1e-9)
        assert sign == np.sign(np.linalg.det(matrix))
        assert unstable == np.sum(np.linalg.eigvals(matrix).real < 0)
        seen.add(int(unstable))
        wrong = {**parts, "later": np.roll(parts["later"], 1, axis=0)}  # the planted error: the firms' values swapped
        assert np.abs(np.linalg.solve(dense(wrong, cells), rhs) - x).max() > 1e-3
    assert len(seen) > 2  # stable and unstable ones


def small_game(rng):
    payoffs, transitions = rng.normal(size=(3, 2, 3, 2)), rng.dirichlet(np.ones(3), size=(3, 3, 2))
    return bc.MarkovGame(payoffs, transitions, 0.8)


@pytest.mark.slow
@pytest.mark.parametrize("concept", ["trajectory", "agent"])
def test_private_costs_and_unequal_actions_are_as_in_the_other_solver(concept):
    game, costs, weights = small_game(np.random.default_rng(0)), np.array([0.4, 1.5]), np.array([0.3, 0.7])
    policy = bc.ExactPolicy(game, population=bc.populations.Discrete(costs, weights), concept=concept)
    want = policy.solve()

    @jax.jit
    def solve(costs):
        both = jnp.broadcast_to(costs, (2, 2))
        log_q, params = policy.log_prior(), policy.all_params(None)
        return solve_two_players(game, log_q, both, jnp.asarray(weights), params, concept, jnp.ones(()))

    q, values, path = solve(costs)
    exists = np.isfinite(want.log_by_type)
    assert want.converged and path.status == 0 and int(want.unstable) == int(path.unstable)
    np.testing.assert_allclose(costs.min() * q[exists], want.q[exists], atol=1e-9)
    np.testing.assert_allclose(costs.min() * values, want.values, atol=1e-8)
    other, _, _ = solve(np.array([0.4, 1.6]))  # the planted error: another cost
    assert np.abs(other - q)[exists].max() > 1e-3


@pytest.mark.slow
def test_derivatives_are_those_of_finite_differences():
    game, belief = price_game(GRID, 0.95), habit("other", 0.15, GRID)
    policy = bc.ExactPolicy(game, belief)

    def chosen(cost):
        return policy.solve(cost).log_strategies[0, 10, 3]

    at, h = 0.05, 1e-5
    slope = jax.jit(jax.grad(chosen))(at)
    np.testing.assert_allclose(slope, (chosen(at + h) - chosen(at - h)) / (2 * h), rtol=1e-5)
    assert abs(slope) > 0.1
