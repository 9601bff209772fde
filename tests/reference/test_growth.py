"""A soft growth model (112 states, 31 savings rates) against NumPy and against golden figures, in both precisions.

Values are near 100 and the differences that matter near the cost. Solving in float32 from the values themselves was
wrong by 5.9e-3 (cost 0.0002), 1.1e-3 (0.001), 1.5e-4 (0.005) and 1.3e-5 (0.05) in probability, "converged" each time.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.environments.markov import MarkovGame
from bayescal.policies.exact import ExactPolicy

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "economies" / "growth_soft_mdp.json"
FILE = json.loads(GOLDEN.read_text())
# By cost: the error that a float32 trace may have in any probability (measured: 2.3e-4, 5.4e-5, 1.2e-5, 1.1e-6).
TRACED = {0.0002: 5e-4, 0.001: 1e-4, 0.005: 3e-5, 0.05: 5e-6}
each_cost = pytest.mark.parametrize("cost", TRACED)


def growth_tables():
    """(payoffs by state and rate, transitions); a state is a shock and a point of the capital grid."""
    alpha, delta, z, chances = (np.asarray(FILE["parameters"][n]) for n in ("alpha", "delta", "z", "P"))
    capital, rate = np.asarray(FILE["k_grid"]), np.asarray(FILE["s_grid"])
    output = (z[:, None] * capital**alpha)[..., None]
    after = np.clip((1 - delta) * capital[None, :, None] + rate * output, capital[0], capital[-1])
    below = np.clip(np.searchsorted(capital, after, side="right") - 1, 0, len(capital) - 2)
    upper = (after - capital[below]) / np.diff(capital)[below]
    transitions = np.zeros((*after.shape, len(z), len(capital)))
    shock, k, s = np.indices(after.shape)
    for z_after in range(len(z)):
        transitions[shock, k, s, z_after, below] += chances[shock, z_after] * (1 - upper)
        transitions[shock, k, s, z_after, below + 1] += chances[shock, z_after] * upper
    states = len(z) * len(capital)
    payoffs = np.log((1 - rate) * output).reshape(states, -1)
    return payoffs, transitions.reshape(states, len(rate), states)


PAYOFFS, TRANSITIONS = growth_tables()
DISCOUNT = float(FILE["parameters"]["beta"])
GAME = MarkovGame(PAYOFFS[:, None], TRANSITIONS, DISCOUNT)


def reference(cost):
    """Soft policy iteration in NumPy's float64."""
    values = np.zeros(len(PAYOFFS))
    for _ in range(50):
        q = PAYOFFS + DISCOUNT * TRANSITIONS @ values
        logits = (q - q.max(axis=1, keepdims=True)) / cost
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        p = np.exp(log_p)
        income = np.sum(p * (PAYOFFS - cost * (log_p + np.log(PAYOFFS.shape[1]))), axis=1)
        moves = np.einsum("sa,sat->st", p, TRANSITIONS)
        before, values = values, np.linalg.solve(np.eye(len(values)) - DISCOUNT * moves, income)
        if np.abs(values - before).max() < 1e-12:
            break
    return p


@pytest.fixture(scope="module")
def traced():
    """One compiled solver of each precision."""
    solve = lambda cost: ExactPolicy(GAME).solve(cost).strategies[0]
    return {on: jax.jit(solve) for on in (False, True)}


@each_cost
@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
def test_an_eager_solution_is_that_of_numpy_whatever_the_precision(cost, x64):
    with jax.enable_x64(x64):
        solved = ExactPolicy(GAME).solve(cost)
    assert solved.strategies.dtype == (jnp.float64 if x64 else jnp.float32)
    assert solved.message == "converged"
    # What is stored in float32 is rounded, a seventeen-millionth of a probability.
    np.testing.assert_allclose(solved.strategies[0], reference(cost), atol=1e-9 if x64 else 1e-7)


@each_cost
@pytest.mark.parametrize("x64", [False, True], ids=["float32", "float64"])
def test_a_traced_solution_is_as_good_as_its_precision(cost, x64, traced):
    with jax.enable_x64(x64):
        found = traced[x64](jnp.asarray(cost))
    np.testing.assert_allclose(found, reference(cost), atol=1e-9 if x64 else TRACED[cost])


@pytest.mark.parametrize("case", FILE["cases"][1:], ids=lambda case: str(case["cost"]))
def test_the_golden_states(case):
    solved = ExactPolicy(GAME).solve(case["cost"])
    for state in case["states"]:
        index = FILE["parameters"]["z"].index(state["z"]) * len(FILE["k_grid"]) + state["k_index"]
        np.testing.assert_allclose(solved.strategies[0, index], state["probabilities"], atol=1e-7)
