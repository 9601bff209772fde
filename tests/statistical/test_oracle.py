"""A game over time: draws weighted to its exact solution, and SBC that simulates from it, see a network's error."""

import dataclasses

import numpy as np
import pytest

import bayescal as bc
from bayescal.diagnostics.base import Outcome
from bayescal.diagnostics.oracle import exact_twin, model_on
from bayescal.diagnostics.reweighted import Finding
from bayescal.populations import Homogeneous

pytestmark = pytest.mark.slow


class TooSure(bc.RepeatedPolicy):
    """The planted error: all values are 5 % too large, so that people seem to have costs that are 5 % too high."""

    def values_of(self, role, observation, cost, phi, psi, params):
        return 1.05 * super().values_of(role, observation, cost, phi, psi, params)


@pytest.fixture(scope="module")
def policy():
    return bc.train(bc.Distil.example()).policy


@pytest.fixture(scope="module")
def wrong(policy):
    made = object.__new__(TooSure)
    for field in dataclasses.fields(policy):
        object.__setattr__(made, field.name, getattr(policy, field.name))
    return made


@pytest.fixture(scope="module")
def decisions(policy):
    """2,400 decisions at a cost of 300, in a hundred of the 33 situations of the game."""
    table = bc.simulate(bc.ExactPolicy(policy.environment, policy.prior), cost=300.0, groups=400, seed=3)
    return bc.Decisions.from_table(table, {policy.environment.name: policy.environment})


@pytest.fixture(scope="module")
def models(policy, wrong, decisions):
    build = lambda p: bc.build_model(p, Homogeneous(), decisions)
    return {"right": build(policy), "wrong": build(wrong), "exact": build(exact_twin(policy))}


@pytest.fixture(scope="module")
def moments(models):
    """Mean and sd of log cost by model, each from a grid of its own."""
    grids = {n: bc.infer(m, bc.Grid(points=100)).provenance["grid"]["log_cost"] for n, m in models.items()}
    return {n: (g["mean"], g["sd"]) for n, g in grids.items()}


@pytest.mark.parametrize("oracle", ["exact", "right"])
def test_draws_are_weighted_to_any_policy(oracle, policy, models, moments):
    fit = bc.infer(models["wrong"], bc.Grid(points=100, draws=1000))
    told = []
    given = {"exact": bc.ExactPolicy(policy.environment, policy.prior), "right": policy}[oracle]
    found = bc.reweight(fit, models["wrong"], given, progress=lambda done, total: told.append((done, total)))
    row, (mean, sd) = found.summary().loc["log_cost"], moments[oracle]
    assert found.finding is Finding.DIFFERS and abs(row["shift"]) > 0.5
    assert abs(row["exact_mean"] - mean) < 4 * row["exact_error"]
    assert abs(np.log(row["exact_sd"] / sd)) < 4 * np.hypot(row["spread_error"], 1 / np.sqrt(2 * found.effective))
    assert told[-1] == (400, 400)  # fewer than of a one-shot game


def test_sbc_sees_the_error_only_against_the_oracle(policy, models):
    sizes = {"replicates": 50, "kept": 19, "warmup": 200}
    against = bc.sbc(models["wrong"], bc.ExactPolicy(policy.environment, policy.prior), **sizes)
    assert against.outcome is Outcome.FAILED
    assert "log_cost are not uniform, its posterior mostly too high" in against.verdict
    itself = bc.sbc(models["wrong"], **sizes)  # one policy on both sides cannot see it
    assert itself.calibrated


def test_another_domain_is_refused(policy, models):
    other = dataclasses.replace(exact_twin(policy), domain=bc.Domain.of(cost=(50.0, 1000.0)))
    with pytest.raises(bc.InputError, match="hyperpriors of log_cost differ"):
        model_on(models["right"], other)
