"""The exact policy against pygambit 16.7: every solution in ../shared/golden, both float types.

Gambit traces the same branch with its own path follower (Turocy 2005). Targets: 1e-6 in float64, 1e-4 in float32.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
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


@pytest.fixture(params=["float64", "float32"])
def tolerance(request):
    with jax.enable_x64(request.param == "float64"):
        yield 1e-6 if request.param == "float64" else 1e-4


def distance(found, golden) -> float:
    """Largest difference between a padded array of strategies and Gambit's ragged lists."""
    return max(float(np.abs(np.asarray(found)[i, : len(row)] - row).max()) for i, row in enumerate(golden))


@pytest.mark.parametrize("shape", sorted({str(np.shape(game["payoffs"])) for game in SOLVED.values()}))
def test_quantal_response_equilibrium(shape, tolerance):
    """All games of a shape at all precisions, in one vmapped solve."""
    games = {n: g for n, g in SOLVED.items() if str(np.shape(g["payoffs"])) == shape}
    payoffs = jnp.asarray([g["payoffs"] for g in games.values()], float)
    precisions = list(next(iter(games.values()))["qre"])
    policy = ExactPolicy(NormalForm(payoffs[0]))

    def solve(u, cost):
        return policy.solve(cost, params={"payoffs": u})

    costs = 1 / jnp.asarray([float(p) for p in precisions])
    solved = jax.jit(jax.vmap(jax.vmap(solve, (None, 0)), (0, None)))(payoffs, costs)
    assert np.all(np.asarray(solved.converged))
    for i, (name, game) in enumerate(games.items()):
        for k, precision in enumerate(precisions):
            golden = game["qre"][precision]["strategies"]
            assert distance(solved.strategies[i, k], golden) <= tolerance, (name, precision)


@pytest.mark.parametrize("name", EXT["kl_prior"])
def test_kl_to_a_prior(name, tolerance):
    golden = EXT["kl_prior"][name]
    policy = ExactPolicy(NormalForm(QRE["games"][name]["payoffs"]), Empirical(golden["priors"]))
    for precision, strategies in golden["qre"].items():
        assert distance(policy.solve(1 / float(precision)).strategies, strategies) <= tolerance, precision


@pytest.mark.parametrize("name", EXT["per_player_lambda"])
def test_costs_by_player(name, tolerance):
    policy = ExactPolicy(NormalForm(QRE["games"][name]["payoffs"]))
    for golden in EXT["per_player_lambda"][name]["qre"]:
        solved = policy.solve(1 / np.array(golden["lambdas"]))
        assert distance(solved.strategies, golden["strategies"]) <= tolerance


@pytest.mark.parametrize("name", TYPED)
def test_private_types(name, tolerance):
    for golden in EXT["hqre_types"]["games"][name]:
        types = Discrete(1 / np.array(golden["types"]), golden["probs"])
        solved = ExactPolicy(NormalForm(QRE["games"][name]["payoffs"]), population=types).solve()
        assert distance(solved.strategies, golden["population"]) <= tolerance
        for role, by_type in enumerate(golden["strategies_by_type"]):
            assert distance(solved.strategies_by_type[role], by_type) <= tolerance


def test_the_golden_file_is_whole():
    assert len(SOLVED) == 21 and len(TYPED) == 2
