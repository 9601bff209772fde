"""Level-k and the Poisson cognitive hierarchy against ../shared/golden/cognitive_hierarchy.json (NumPy, not ours)."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import bayescal as bc
from bayescal.policies.level_k import LevelKPolicy

FOLDER = Path(__file__).parents[3] / "shared" / "golden"
GOLDEN = json.loads((FOLDER / "cognitive_hierarchy.json").read_text())["games"]
PAYOFFS = json.loads((FOLDER / "gambit_qre.json").read_text())["games"]


def game(name):
    return bc.NormalForm(PAYOFFS[name]["payoffs"], name=name)


def padded(rows):
    width = max(map(len, rows))
    return np.array([[*row, *[0.0] * (width - len(row))] for row in rows])


@pytest.mark.parametrize("name", GOLDEN)
def test_the_cognitive_hierarchy_is_that_of_the_reference(name):
    points = GOLDEN[name]["qch"]
    tau, precision = (np.array([p[k] for p in points]) for k in ("tau", "lam"))
    policy = LevelKPolicy(game(name), "cognitive hierarchy")  # levels 0 to 10, as the reference has them
    with jax.enable_x64(True):
        run = jax.jit(jax.vmap(lambda t, lam: policy.log_prob_all(1 / lam, {"tau": t}, None, None)))
        found = np.exp(np.asarray(run(tau, precision)))
    expected = np.stack([padded(p["prediction"]) for p in points])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", GOLDEN)
def test_quantal_level_k_is_that_of_the_reference(name):
    points = GOLDEN[name]["levelk"]
    precision = np.array([p["lam"] for p in points])
    policy = LevelKPolicy(game(name), "quantal level-k", levels=len(points[0]["levels"]) - 1)
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(lambda lam: policy.log_prob_by_level(1 / lam, {}, None, None)))(precision)
    expected = np.stack([[padded(level) for level in p["levels"]] for p in points])
    np.testing.assert_allclose(np.exp(np.asarray(found)), expected, rtol=0, atol=1e-10)
