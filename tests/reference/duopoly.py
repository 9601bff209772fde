"""The price game of golden/economies/logit_bertrand_markov.json: two firms that see the last prices of both."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import bayescal as bc
from bayescal.environments.markov import MarkovGame
from bayescal.policies.sequential import SequentialSolution
from bayescal.priors.base import Known

_FILE = Path(__file__).parents[2].parent / "shared" / "golden" / "economies" / "logit_bertrand_markov.json"
GOLDEN = json.loads(_FILE.read_text())
GRID = np.array(GOLDEN["grid"])


class InStates(Known):
    """A habit as a table: log-probabilities by role, state and action."""

    rows: np.ndarray

    def log_prob(self, observation, psi, *, role, action_values):
        return jnp.asarray(self.rows)[role, observation["state"]]


def price_game(grid: np.ndarray, discount: float) -> MarkovGame:
    """The state is own price of the first firm · number of prices + price of the second."""
    n, weight = len(grid), np.exp((2 - grid) / 0.25)
    first = (grid[:, None] - 1) * weight[:, None] / (1 + weight[:, None] + weight[None, :])
    payoffs = np.broadcast_to(np.stack([first, first.T]), (n * n, 2, n, n))
    transitions = np.broadcast_to(np.eye(n * n).reshape(n, n, n * n), (n * n, n, n, n * n))
    return MarkovGame(payoffs, transitions, discount, name="price-game")


def habit(kind: str, width: float, grid: np.ndarray) -> InStates:
    """Uniform, near the own last price ("own") or near the other's ("other")."""
    n = len(grid)
    first, second = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)

    def near(last):
        weight = np.zeros((n * n, n)) if kind == "uniform" else -0.5 * ((grid - grid[last][:, None]) / width) ** 2
        return weight - np.log(np.exp(weight).sum(axis=1, keepdims=True))

    return InStates(np.stack([near(first), near(second)] if kind == "own" else [near(second), near(first)]))


def solved(case: dict) -> SequentialSolution:
    policy = bc.ExactPolicy(price_game(GRID, case["delta"]), habit(case["prior"], case["width"], GRID))
    return policy.solve(case["cost"])


def state_of(key: str) -> int:
    """Of "own3_rival6"."""
    own, rival = (int(part[-1]) for part in key.split("_"))
    return own * len(GRID) + rival
