"""Simulation-based calibration: it passes what is right, and fails what is not."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from numpyro.infer.util import log_density, potential_energy
from scipy.stats import norm

import bayescal as bc
from bayescal.diagnostics.base import Outcome
from bayescal.diagnostics.recover import LEVELS, Recovered, recover, recovered_from
from bayescal.diagnostics.replicates import Replicates, _simulator, dearer, replicate, with_data
from bayescal.diagnostics.sbc import ERROR, KEPT, ecdf_band, ranked, sbc, uniformity
from bayescal.evaluation.sites import Site, sites_of

SETTINGS = {"replicates": 100, "kept": KEPT, "warmup": 300, "target_accept": 0.8, "seed": 0, "progress": None}
SIDES = (("low", -1), ("high", 1))


def seen(bias=0.0, spread=1.0):
    """Ten numbers around a mean that is not known: conjugate, so that nothing but a planted error can be wrong."""

    def model():
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        with numpyro.plate("number", 10):
            numpyro.sample("x", dist.Normal(mean + bias, spread), obs=jnp.zeros(10))

    return model


def test_a_right_model_passes():
    told = []
    found = sbc(seen(), replicates=100, progress=lambda done, total: told.append((done, total)))
    assert found.calibrated and found.failed == found.lost == 0
    assert list(found.ranks) == ["mean", "log_likelihood"] and len(found.ranks) == 100
    assert found.ranks.to_numpy().min() >= 0 and found.ranks.to_numpy().max() <= KEPT
    assert told[-1] == (100, 100)
    # The truth is a draw from the hyperprior, and ranks follow it: data say more than the hyperprior does.
    assert abs(found.truth["mean"].mean()) < 4 / np.sqrt(100)
    assert str(found).endswith(found.verdict)


@pytest.mark.parametrize(
    ("bias", "spread", "which", "said"),
    [(0.3, 1.0, "mean", "mean is too high"), (0.0, 2.0, "log_likelihood", "of mean hold the truth in")],
)
def test_planted_errors_fail(bias, spread, which, said):
    """A bias shows in the mean, noise that is larger than it is taken for in how badly the data fit; intervals around a
    mean that is off, or that are too short, do not hold the truth as often as they say."""
    made = replicate(seen(), seen(bias, spread), **SETTINGS)
    found, again = ranked(made, KEPT), recovered_from(made)
    assert found.outcome is Outcome.FAILED and not found.calibrated
    assert found.summary().loc[which, "p_value"] < ERROR / 10
    if bias:
        assert "mean are not uniform, its posterior mostly too high" in found.verdict
    assert again.outcome is Outcome.FAILED and not again.recovered and said in again.verdict


def test_p_values_of_uniform_ranks_are_uniform():
    rng = np.random.default_rng(5)
    p = np.array([uniformity(rng.integers(0, KEPT + 1, 60), KEPT) for _ in range(2000)])
    for level in (0.01, 0.1, 0.5):
        assert abs(np.mean(p <= level) - level) < 4 * np.sqrt(level * (1 - level) / 2000) + 2e-3  # ranks are discrete
    # Draws too narrow, too wide, and shifted by a third of an sd.
    truth = rng.normal(size=(200, 1))
    for mean, sd in ((0.0, 0.7), (0.0, 1.5), (0.33, 1.0)):
        wrong = (mean + sd * rng.normal(size=(200, KEPT)) < truth).sum(axis=1)
        assert uniformity(wrong, KEPT) < ERROR


def test_the_band_holds_as_often_as_it_says():
    low, high = ecdf_band(100, KEPT, 0.1)
    ranks = np.random.default_rng(1).integers(0, KEPT + 1, (2000, 100))
    ecdf = (ranks[:, :, None] <= np.arange(KEPT)).mean(axis=1)
    outside = ((ecdf < low) | (ecdf > high)).any(axis=1).mean()
    assert abs(outside - 0.1) < 4 * np.sqrt(0.09 / 2000) + 0.01


def test_samplers_that_fail_are_counted():
    """A chain that does not move, one that diverges, and one that is lost."""
    rng = np.random.default_rng(0)
    drawn, diverging = rng.normal(size=(100, 990, 1)), np.zeros(100, int)
    drawn[0] = np.cumsum(drawn[0], axis=0)
    diverging[1] = 200
    drawn[2, 5] = np.nan
    made = Replicates(("x",), rng.normal(size=(100, 1)), drawn, diverging, 0.0, 0.0)
    found = ranked(made, KEPT)
    assert (found.failed, found.lost, len(found.ranks)) == (2, 1, 99)
    again = recovered_from(made)
    assert (again.failed, again.lost, again.replicates) == (2, 1, 99)
    for result in (found, again):
        assert result.outcome is Outcome.UNDECIDED and "3 of 100 samplers failed" in result.verdict
        assert result.as_dict()["outcome"] == "undecided"


def test_recovery_of_a_right_model():
    """Ten numbers of unit variance around a mean with a unit prior: the posterior is known."""
    told = []
    found = recover(seen(), replicates=100, progress=lambda done, total: told.append((done, total)))
    assert found.recovered and told[-1] == (100, 100)
    assert found.names == ["mean"] and found.replicates == 100  # the log-likelihood is no parameter
    own = found.table.loc["mean"]
    assert own["sd"].to_numpy() == pytest.approx(np.sqrt(1 / 11), rel=0.15)  # 990 draws of each
    row = found.summary().loc["mean"]
    assert row["correlation"] == pytest.approx(np.sqrt(10 / 11), abs=4 * (1 / 11) / np.sqrt(100))
    assert row["rmse"] == pytest.approx(np.sqrt(1 / 11), rel=4 / np.sqrt(200))
    assert (own["low95"] < own["low50"]).all() and (own["high50"] < own["high95"]).all()
    assert list(found.coverage.index.get_level_values("level")) == list(LEVELS)
    assert str(found).endswith(found.verdict) and found.as_dict()["recovered"] is True


def test_the_coverage_band_holds_as_often_as_it_says():
    """Posteriors that are right by construction, normal around half of what was seen: of 50 tables of two quantities
    half a one may fail; with intervals half as long all do."""
    rng = np.random.default_rng(3)

    def made(width):
        parts = {}
        for name in ("a", "b"):
            truth = rng.normal(size=60)
            mean, sd = (truth + rng.normal(size=60)) / 2, width * np.sqrt(0.5)
            ends = {x: norm.isf((1 - x) / 2) * sd for x in LEVELS}
            columns = {f"{side}{100 * x:.0f}": mean + sign * e for x, e in ends.items() for side, sign in SIDES}
            parts[name] = pd.DataFrame({"truth": truth, "mean": mean, "sd": sd} | columns).rename_axis("replicate")
        return Recovered(pd.concat(parts, names=["quantity"]), 0, 0, 0.0, 0.0)

    failed = sum(not made(1.0).recovered for _ in range(50))
    assert failed <= 0.5 + 4 * np.sqrt(0.5)
    assert not any(made(0.5).recovered for _ in range(5))


def market(rounds=3):
    people = [f"firm {i}" for i in range(4)]
    rng = np.random.default_rng(0)
    rows = [("m", p, t, str(2 * rng.integers(5, 20))) for p in people for t in range(rounds)]
    table = pd.DataFrame(rows, columns=["game", "participant", "round", "action"])
    decisions = bc.Decisions.from_table(table, {"m": bc.Cournot(3, np.linspace(0, 60, 31))})
    population = bc.populations.LogNormal(16)
    return bc.build_model(bc.load_model("cournot"), population, decisions, prior_parameters=True, method="marginal")


@pytest.mark.slow
def test_other_data_take_the_place_of_what_was_observed():
    """The model's own data give its own density; other data another; simulated ones keep the design."""
    model = market()
    values = {"log_mean": 4.0, "log_sd": 0.5, "psi_anchor": 0.4, "psi_pull": 2.0}
    with jax.enable_x64(True):
        latent = {n: s for n, s in sites_of(model).items() if s.kind == "latent"}
        own = {"choices": jnp.asarray(sites_of(model.evaluated)["choices"].value)}
        density = jax.jit(lambda data: log_density(with_data(model)(data), (), {}, values)[0])
        drawn, data = jax.jit(_simulator(model, latent))(jax.random.key(1))
        assert set(drawn) == set(latent)
        np.testing.assert_array_equal(data["choices"].sum(axis=1), own["choices"].sum(axis=1))
        expected = jax.jit(lambda: log_density(model, (), {}, values)[0])()
        np.testing.assert_allclose(density(own), expected, rtol=1e-10)
        assert abs(density(data) - expected) > 0.1


def test_factors_stay_as_they_are_where_data_are_put_in_place():
    """Where a parameter has two ends, NumPyro adds the slope of its transform to the model, as if it were observed."""

    def model():
        x = numpyro.sample("x", dist.TruncatedNormal(0.0, 1.0, low=-1.0, high=1.0))
        numpyro.factor("more", -x)
        numpyro.sample("y", dist.Normal(x, 1.0), obs=jnp.zeros(()))

    density = lambda y: potential_energy(with_data(model)({"y": jnp.asarray(y)}), (), {}, {"x": jnp.asarray(0.0)})
    np.testing.assert_allclose(density(0.0), potential_energy(model, (), {}, {"x": jnp.asarray(0.0)}), rtol=1e-6)
    np.testing.assert_allclose(density(2.0) - density(0.0), 2.0, rtol=1e-6)  # x is 0, so y² / 2 is all that changes


def test_a_planted_error_is_planted():
    """What is decided follows from dearer costs; those that it is to be found at are as they were drawn."""

    def costly():
        log_cost = numpyro.sample("log_cost", dist.Normal(2.0, 1.0))
        numpyro.sample("x", dist.Normal(jnp.exp(log_cost), 1e-6), obs=jnp.zeros(()))

    simulate = lambda model: _simulator(model, {"log_cost": Site("latent", (), ())})(jax.random.key(0))
    with jax.enable_x64(True):
        (drawn, data), (again, planted) = simulate(costly), simulate(dearer(costly))
    assert float(drawn["log_cost"]) == float(again["log_cost"])
    np.testing.assert_allclose(np.asarray(planted["x"]), 1.1 * np.asarray(data["x"]), rtol=1e-5)
    with pytest.raises(bc.InputError, match="no site log_cost"):
        dearer(seen())


def test_what_has_no_ranks_is_said():
    def many():
        with numpyro.plate("i", 2):
            numpyro.sample("x", dist.Normal(0.0, 1.0))

    with pytest.raises(bc.InputError, match="no scalar parameter"):
        sbc(many)
    with pytest.raises(bc.InputError, match="simulated from has no mean"):
        sbc(seen(), many)
    with pytest.raises(bc.InputError, match="at least 20"):
        sbc(seen(), replicates=3)
