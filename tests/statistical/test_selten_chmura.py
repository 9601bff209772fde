"""Selten & Chmura's posterior against the reference in ../shared/golden/selten_chmura_posteriors.json.

The reference is itself a Monte-Carlo estimate (NumPyro, 2 x 1000 draws): its figures carry an error of their own.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from bayescal.model.build import build_model
from bayescal.policies.exact import ExactPolicy
from bayescal.populations import Homogeneous
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS
from bayescal.study import load_study

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden"
REFERENCE = json.loads((GOLDEN / "selten_chmura_posteriors.json").read_text())


def fit(by, draws, chains):
    study = load_study("selten-chmura")
    sites = ("log_cost_mean", "log_cost_sd") if by else ("log_cost",)
    policy = ExactPolicy(next(iter(study.environments.values())))
    hyperpriors = {s: study.hyperpriors[s] for s in sites}
    model = build_model(policy, Homogeneous(), study.decisions, by=by, hyperpriors=hyperpriors)
    return infer(model, NUTS(draws=draws, chains=chains))


@pytest.mark.slow
def test_pooled():
    result = fit(None, 2000, 2)
    row = result.summary(["precision"]).iloc[0]
    assert result.converged, result.status
    assert abs(row["mean"] - 1.2466) < 0.003
    assert abs(row["sd"] - 0.0255) < 0.003


@pytest.mark.slow
def test_by_game():
    result = fit("game", 2500, 4)
    rows = result.summary(["precision"])
    golden = REFERENCE["game_hier"]
    assert result.converged, result.status  # R-hat < 1.01 and no divergence
    np.testing.assert_allclose(rows["mean"], golden["lam_mean"], atol=0.03)
    # Game 12's reference sd (0.634) is of a heavy right tail from 1,746 effective draws. With its excess
    # kurtosis k, the standard error of an sd is sd * sqrt((k + 2) / (4 n)); both sides have one. Ours is reported.
    precision = result.tree["posterior"]["precision"].to_numpy().reshape(-1, 12)
    standard = (precision - precision.mean(0)) / precision.std(0)
    kurtosis = (standard**4).mean(0) - 3
    n = 1 / (1 / REFERENCE["game_hier"]["min_ess"] + 1 / rows["ess_bulk"].to_numpy())
    error = precision.std(0) * np.sqrt((kurtosis + 2) / (4 * n))
    assert (np.abs(rows["sd"].to_numpy() - golden["lam_sd"]) < np.maximum(0.03, 3 * error)).all()
