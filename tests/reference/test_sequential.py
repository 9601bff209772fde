"""Games over time against other programs: sgamesolver 1.0.2 (Markov games) and published concepts in extensive form.

Concept a is agent quantal response equilibrium; b, the trajectory-KL concept, is ours. Target: 1e-6 in float64.
"""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from bayescal.environments.extensive import centipede, kuhn_poker
from bayescal.environments.markov import MarkovGame, dynamic_cournot
from bayescal.policies.exact import ExactPolicy

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"
MARKOV = json.loads((GOLDEN / "markov_qre.json").read_text())["games"]
TREES = json.loads((GOLDEN / "sequential_concepts.json").read_text())["games"]
CONCEPTS = {"a": "agent", "b": "trajectory"}


@pytest.mark.parametrize("name", MARKOV)
@pytest.mark.parametrize("concept", CONCEPTS)
def test_markov_games(name, concept):
    golden = MARKOV[name]
    with jax.enable_x64(True):
        game = MarkovGame(golden["U"], golden["PHI"], golden["delta"])
        policy = ExactPolicy(game, concept=CONCEPTS[concept])
        for precision, want in golden[concept].items():
            solution = policy.solve(1 / float(precision))
            assert solution.converged, solution.message
            np.testing.assert_allclose(solution.strategies, want["strategies"], atol=1e-6)
            np.testing.assert_allclose(solution.values[:, 0].T, want["values"], atol=1e-6)


def test_the_named_market_is_the_golden_one():
    game, golden = dynamic_cournot(), MARKOV["dynamic_cournot"]
    np.testing.assert_allclose(game.default_payoffs, golden["U"], atol=1e-12)
    np.testing.assert_allclose(game.default_transitions, golden["PHI"], atol=1e-12)


@pytest.mark.parametrize(("name", "build"), [("kuhn_poker", kuhn_poker), ("centipede4_mckp92", centipede)])
@pytest.mark.parametrize("concept", CONCEPTS)
def test_extensive_games(name, build, concept):
    game = build()
    with jax.enable_x64(True):
        policy = ExactPolicy(game, concept=CONCEPTS[concept])
        for precision, concepts in TREES[name].items():
            solution = policy.solve(1 / float(precision))
            assert solution.converged, solution.message
            compared = 0
            for player, names in enumerate(game.tree.situations):
                for i, situation in enumerate(names):
                    want = concepts[concept]["policy"][situation]
                    np.testing.assert_allclose(solution.strategies[player, i, : len(want)], want, atol=1e-6)
                    compared += 1
            assert compared == len(concepts[concept]["policy"])
