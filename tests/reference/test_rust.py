"""Rust (1987): his buses, his estimates, and the posterior of another program on a grid."""

import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bayescal as bc
from bayescal.posterior.calibrate import estimate
from bayescal.posterior.grid import Grid
from bayescal.posterior.mle import maximum_likelihood

SHARED = Path(__file__).parents[2].parent / "shared"
PANEL = SHARED / "data" / "rust-zurcher" / "rust_bus_panel.csv.gz"
OTHER_PANEL = SHARED / "golden" / "rust" / "rust_groups1_4.csv"
GOLDEN = json.loads((SHARED / "golden" / "rust" / "estimates.json").read_text())
ESTIMATES = {e["beta"]: e for e in GOLDEN["estimates"] if e["groups"] == [4]}
HYPERPRIORS = {"RC": dist.LogNormal(np.log(10), 0.5), "theta11": dist.LogNormal(np.log(2.5), 0.7)}


def study(file=PANEL, where="group == 4", **options):
    return bc.load_study("bus-engine", data=file, where=where, options=options)


def model(data, policy=None):
    policy = policy or bc.ExactPolicy(data.decisions.environments["bus-engine"])
    return bc.build_model(
        policy, bc.populations.Homogeneous(), data.decisions, cost=1.0, parameters=("RC", "theta11"),
        hyperpriors=HYPERPRIORS,
    )  # fmt: skip


@pytest.mark.parametrize("discount", [0.9999, 0.0])
def test_maximum_likelihood_of_group_4(discount):
    golden, data = ESTIMATES[discount], study(discount=discount)
    (found,) = estimate(data).values()
    assert found.converged, found.status
    assert data.chance_log_likelihood == pytest.approx(golden["transition_ll"], abs=1e-6)
    assert found.log_likelihood + data.chance_log_likelihood == pytest.approx(golden["total_ll"], abs=1e-3)
    for name in ("RC", "theta11"):
        assert found.values[name] == pytest.approx(golden[name], rel=1e-4)
        assert found.standard_errors[name] == pytest.approx(golden[f"se_{name}"], rel=1e-3)


def test_values_and_choices_are_those_of_the_other_program():
    golden = ESTIMATES[0.9999]
    with jax.enable_x64(True):
        policy = bc.ExactPolicy(bc.get_game("bus-engine", usage=golden["theta3"]))
        params = {n: jnp.asarray(golden[n]) for n in ("RC", "theta11")}
        log_p = policy.log_prob_table(1.0, None, None, params)[0, :, 1]
        np.testing.assert_allclose(jnp.exp(log_p), golden["p_replace"], rtol=1e-9)
        # Their EV is of the month after, and counts a shock's mean; ours are relative to bin 0.
        ahead = (
            policy.environment.transition_table(policy.environment.params)[:, 0]
            @ policy.solve(1.0, params=params).values[0, 0]
        )
        want = np.asarray(golden["EV"])
        np.testing.assert_allclose(ahead - ahead[0], want - want[0], atol=1e-6)


def test_two_tables_of_the_same_buses_agree():
    one, other = (study(file, "group in [1, 2, 3]") for file in (PANEL, OTHER_PANEL))
    assert len(one.decisions.play.row) == len(other.decisions.play.row) == 3864
    assert one.chance_log_likelihood == pytest.approx(other.chance_log_likelihood, abs=1e-9)
    for name, seen in one.decisions.play.observations["bus-engine"].items():
        np.testing.assert_array_equal(seen, other.decisions.play.observations["bus-engine"][name])


def test_rusts_own_binning_gives_his_log_likelihoods(tmp_path):
    """Rust (1987), table IX: -6055.250 (groups 1-4), with 70,000 miles in bin 13."""
    import pandas as pd

    table = pd.read_csv(PANEL)
    table.loc[table["mileage_since_replacement"] == 70_000, "x90"] = 13
    table.to_csv(tmp_path / "buses.csv", index=False)
    data = study(tmp_path / "buses.csv", "group in [1, 2, 3, 4]")
    (found,) = estimate(data).values()
    assert found.log_likelihood + data.chance_log_likelihood == pytest.approx(-6055.250, abs=1e-3)


@pytest.mark.slow
def test_the_posterior_on_a_grid():
    fit = bc.infer(model(study()), Grid(points=36, draws=1000))
    want = GOLDEN["grid_posterior_group4"]
    assert fit.converged, fit.status
    summary = fit.summary()
    for name in ("RC", "theta11"):
        grid = fit.provenance["grid"][name]
        assert grid["mean"] == pytest.approx(want["mean"][name], rel=0.02)
        assert grid["sd"] == pytest.approx(want["sd"][name], rel=0.02)
        # The draws stand for the grid: 1,000 spread evenly over it.
        assert summary.loc[name, "mean"] == pytest.approx(grid["mean"], abs=0.05 * grid["sd"])


@pytest.mark.slow
def test_nuts_agrees_with_the_grid():
    fit = bc.infer(model(study()), bc.NUTS(draws=500, warmup=400, chains=2))
    assert fit.converged, fit.status
    want = GOLDEN["grid_posterior_group4"]
    for name, row in fit.summary().iterrows():
        assert abs(row["mean"] - want["mean"][name]) < 4 * row["mcse_mean"]
        assert abs(row["sd"] - want["sd"][name]) < 4 * row["mcse_sd"]


@pytest.mark.slow
def test_solving_and_fitting_are_fast():
    """Targets, once compiled: 2 ms a value solve, 1 s a whole fit. Twice that is allowed for a busy machine."""
    built = model(study())
    maximum_likelihood(built)
    started = time.perf_counter()
    maximum_likelihood(built)
    assert time.perf_counter() - started < 2.0
    with jax.enable_x64(True):
        policy = bc.ExactPolicy(bc.get_game("bus-engine"))
        solve = jax.jit(lambda rc: policy.solve(1.0, params={"RC": rc}).log_strategies)
        solve(10.0).block_until_ready()
        times = []
        for _ in range(50):
            started = time.perf_counter()
            solve(10.0).block_until_ready()
            times.append(time.perf_counter() - started)
    assert np.median(times) < 4e-3


def test_a_scale_of_payoffs_and_a_cost_are_not_inferred_together():
    data = study()
    policy = bc.ExactPolicy(data.decisions.environments["bus-engine"])
    with pytest.raises(bc.InputError, match=r"RC, theta11 together are the scale.*cost=1\.0"):
        bc.build_model(policy, bc.populations.Homogeneous(), data.decisions, parameters=("RC", "theta11"))


def test_a_bus_that_runs_backwards_is_reported(tmp_path):
    lines = OTHER_PANEL.read_text().splitlines()
    bad = [i for i, line in enumerate(lines) if line.startswith("4,5297,")][40]
    cells = lines[bad].split(",")
    cells[3] = "3"
    lines[bad] = ",".join(cells)
    (tmp_path / "buses.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(bc.InputError, match=rf"column 'state'.*line {bad + 1} holds 3 where the game makes it"):
        study(tmp_path / "buses.csv")
