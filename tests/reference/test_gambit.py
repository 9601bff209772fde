"""The exact policy against pygambit 16.7: every solution in ../shared/golden, in float64 and mostly in float32.

Gambit traces the same branch with its own path follower (Turocy 2005). Targets: 1e-6 in float64, 1e-4 in float32.
"""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.environments.normal_form import NormalForm
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.discrete import Discrete
from bayescal.priors.empirical import Empirical

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"
QRE = json.loads((GOLDEN / "gambit_qre.json").read_text())
EXT = json.loads((GOLDEN / "gambit_ext.json").read_text())
SOLVED = {name: game for name, game in QRE["games"].items() if game.get("qre")}
# The types were solved for a game whose payoffs the golden file does not repeat: Stahl & Wilson (1995), game 5.
TYPED = [name for name in EXT["hqre_types"]["games"] if name in QRE["games"]]


TOLERANCES = {"float64": 1e-6, "float32": 1e-4}
SHAPES = sorted({str(np.shape(game["payoffs"])) for game in SOLVED.values()})
# In float32 the shapes with the most games and with the most actions, of two and of three players.
IN_FLOAT32 = ("(2, 13, 13)", "(2, 2, 2)", "(3, 11, 11, 11)")


def distance(found, golden) -> float:
    """Largest difference between a padded array of strategies and Gambit's ragged lists."""
    return max(float(np.abs(np.asarray(found)[i, : len(row)] - row).max()) for i, row in enumerate(golden))


def golden_of(name):
    """[(costs by player, strategies)] of a game: at precisions that all share, and at one for each player."""
    players = len(QRE["games"][name]["payoffs"])
    shared = [(np.full(players, 1 / float(p)), found["strategies"]) for p, found in SOLVED[name]["qre"].items()]
    apart = EXT["per_player_lambda"].get(name, {"qre": []})["qre"]
    return shared + [(1 / np.array(found["lambdas"]), found["strategies"]) for found in apart]


@pytest.mark.parametrize(
    ("shape", "precision"), [*((s, "float64") for s in SHAPES), *((s, "float32") for s in IN_FLOAT32)]
)
def test_quantal_response_equilibrium(shape, precision):
    """All games of a shape at all precisions, in one vmapped solve."""
    names = [n for n, g in SOLVED.items() if str(np.shape(g["payoffs"])) == shape]
    cells = [(name, cost, golden) for name in names for cost, golden in golden_of(name)]
    policy = ExactPolicy(NormalForm(SOLVED[names[0]]["payoffs"]))
    solve = lambda u, cost: policy.solve(cost, params={"payoffs": u})
    with jax.enable_x64(precision == "float64"):
        payoffs = np.array([SOLVED[name]["payoffs"] for name, _, _ in cells], precision)
        solved = jax.jit(jax.vmap(solve))(payoffs, np.array([cost for _, cost, _ in cells], precision))
    assert solved.strategies.dtype == precision and np.all(np.asarray(solved.converged))
    for found, (name, cost, golden) in zip(np.asarray(solved.strategies), cells, strict=True):
        assert distance(found, golden) <= TOLERANCES[precision], (name, cost)


@pytest.mark.parametrize("name", EXT["kl_prior"])
def test_kl_to_a_prior(name):
    golden = EXT["kl_prior"][name]
    with jax.enable_x64(True):
        policy = ExactPolicy(NormalForm(QRE["games"][name]["payoffs"]), Empirical(golden["priors"]))
        for precision, strategies in golden["qre"].items():
            assert distance(policy.solve(1 / float(precision)).strategies, strategies) <= 1e-6, precision


@pytest.mark.parametrize("name", TYPED)
def test_private_types(name):
    for golden in EXT["hqre_types"]["games"][name]:
        with jax.enable_x64(True):
            types = Discrete(1 / np.array(golden["types"]), golden["probs"])
            solved = ExactPolicy(NormalForm(QRE["games"][name]["payoffs"]), population=types).solve()
        assert distance(solved.strategies, golden["population"]) <= 1e-6
        for role, by_type in enumerate(golden["strategies_by_type"]):
            assert distance(solved.strategies_by_type[role], by_type) <= 1e-6


def test_the_golden_file_is_whole():
    assert len(SOLVED) == 21 and len(TYPED) == 2
    assert set(EXT["per_player_lambda"]) <= set(SOLVED)
