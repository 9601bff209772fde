"""What a model was asked to be stays with it, as data."""

import dataclasses

import numpy as np
import pytest

import bayescal as bc
from bayescal.model.build import from_spec
from bayescal.model.spec import ModelSpec, TypedSpec
from bayescal.populations import Homogeneous


@pytest.fixture(scope="module")
def study():
    return bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")


@pytest.fixture(scope="module")
def rivals(study):
    return bc.rivals(study, only=["common cost", "level-k", "prior only"]).models


def test_a_spec_holds_what_was_asked_and_builds_the_same_model(study):
    policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
    model = bc.build_model(policy, Homogeneous(), study.decisions, lapse=True, hyperpriors={"log_cost": [0.5, 1.0]})
    spec = model.spec
    assert isinstance(spec, ModelSpec) and not spec.private and not spec.personal and spec.psi_level is None
    assert spec.policy is policy and spec.decisions is study.decisions and spec.lapse
    again = from_spec(spec)
    assert again.description == model.description and again.hyperprior_text == model.hyperprior_text
    without = from_spec(dataclasses.replace(spec, lapse=False))
    assert "lapse" in again.hyperpriors and "lapse" not in without.hyperpriors


def test_every_rival_runs_its_predictive_checks(study, rivals):
    """A model of types says which decisions it is of, so its fit is compared with them."""
    for name, model in rivals.items():
        assert isinstance(model.spec, TypedSpec), name
        assert model.spec.decisions is study.decisions
        assert from_spec(model.spec).description == model.description
    checks = bc.check(bc.infer(rivals["common cost"], bc.Grid(draws=200)), rivals["common cost"])
    for name in ("prior predictive", "posterior predictive"):
        assert checks[name].passed is not None, checks[name]
    assert len(checks.predictive) and np.isfinite(checks.predictive["mean"]).all()
