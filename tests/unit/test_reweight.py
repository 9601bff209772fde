"""Learned draws weighted to the exact posterior: right where it can be told, and silent where it cannot."""

import dataclasses
import hashlib
import json

import equinox as eqx
import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

import bayescal as bc
from bayescal.cli import main
from bayescal.diagnostics.base import Outcome
from bayescal.diagnostics.oracle import exact_twin
from bayescal.diagnostics.reweight import _smooth, reweight
from bayescal.diagnostics.reweighted import EVEN, Finding, _error, _moments
from bayescal.evaluation.density import Density
from bayescal.policies.exact import equilibrium
from bayescal.policies.learned import with_network
from bayescal.populations import Homogeneous
from bayescal.posterior.grid import compute_grid
from bayescal.posterior.status import Status

GAMES = ["selten-chmura-01", "selten-chmura-07", "selten-chmura-11"]


@pytest.fixture(scope="module")
def decisions():
    """A hundred decisions of every role of three games at a cost of 0.8."""
    rng, environments = np.random.default_rng(0), {g: bc.get_game(g) for g in GAMES}
    rows = []
    for name, env in environments.items():
        p = np.asarray(equilibrium(env, 0.8).strategies, float)
        for r, role in enumerate(env.role_names):
            counts = rng.multinomial(100, p[r] / p[r].sum())
            rows += [(name, role, a, k) for a, k in zip(env.action_labels[r], counts, strict=True)]
    return bc.Decisions.from_table(pd.DataFrame(rows, columns=["game", "role", "action", "n"]), environments)


@pytest.fixture(scope="module")
def policy():
    return bc.load_model("normal-form-2x2")


@pytest.fixture(scope="module")
def exact(policy, decisions):
    return bc.build_model(exact_twin(policy), Homogeneous(), decisions)


@pytest.fixture(scope="module")
def truth(exact):
    """Mean and sd of the exact posterior of log cost, from a fine grid."""
    with jax.enable_x64(True):
        return compute_grid(Density.of(exact), bc.Grid(points=200)).moments["log_cost"]


def too_sure(policy, factor):
    """The planted error: the last layer's weights, and with them all values, are off by a factor."""
    last = policy.network.weights[-1]
    return with_network(policy, eqx.tree_at(lambda n: n.weights[-1], policy.network, factor * last))


def learned(policy, decisions, exact, factor):
    model = bc.build_model(too_sure(policy, factor), Homogeneous(), decisions)
    fit = bc.infer(model, bc.Grid(points=200, draws=2000))
    return reweight(fit, model, exact)


@pytest.mark.slow
def test_a_good_network_is_good_enough(policy, decisions, exact, truth):
    found = learned(policy, decisions, exact, 1.0)
    assert found.good_enough and "times the average" in found.verdict and found.unsolved == 0
    row = found.summary().loc["log_cost"]
    assert abs(row["exact_mean"] - truth[0]) < 4 * row["exact_error"]
    assert abs(row["shift"]) < 0.02 and row["shift_error"] < 0.002  # one set of draws serves both sides
    assert found.effective > 1900
    # Prints as a table with the verdict below, and goes into JSON.
    assert str(found).endswith(found.verdict) and "log_cost" in str(found)
    assert json.loads(json.dumps(found.as_dict()))["parameters"]["log_cost"]["exact_mean"] == row["exact_mean"]


def test_a_planted_error_is_found_and_put_right(policy, decisions, exact, truth):
    found = learned(policy, decisions, exact, 1.1)
    assert found.finding is Finding.DIFFERS and found.outcome is Outcome.FAILED
    row = found.summary().loc["log_cost"]
    expected = (truth[0] - row["mean"]) / row["sd"]
    assert abs(expected) > 0.5
    assert abs(row["shift"] - expected) < 4 * row["exact_error"] / row["sd"]
    assert abs(row["exact_mean"] - truth[0]) < 4 * row["exact_error"]
    assert abs(np.log(row["exact_sd"] / truth[1])) < 4 * np.hypot(row["spread_error"], 1 / np.sqrt(2 * found.effective))
    # What follows from the cost is weighted with it, and drawn again by its weight.
    again = found.draws(4000)["posterior"]
    assert again["log_cost"].shape == (1, 4000)
    np.testing.assert_allclose(again["cost"], np.exp(again["log_cost"]), rtol=1e-6)
    assert abs(float(again["log_cost"].mean()) - row["exact_mean"]) < row["sd"] / np.sqrt(4000)


def test_a_hopeless_network_is_not_put_right(policy, decisions, exact):
    found = learned(policy, decisions, exact, 3.0)
    assert found.k_hat > 0.7 and not found.good_enough
    assert found.finding is Finding.FEW_OVERLAP and found.outcome is Outcome.UNDECIDED
    assert "ExactPolicy" in found.verdict
    assert found.effective < 100


def normal(shift=0.0, spread=1.0, hole=None, there=np.nan):
    """A model of three numbers whose posterior is known: normal around `shift`; unsolved (NaN) above `hole`."""

    def model():
        with numpyro.plate("person", 3):
            x = numpyro.sample("x", dist.Normal(0.0, 10.0))
            double = numpyro.deterministic("double", 2 * x)
            log_p = dist.Normal(double / 2, spread).log_prob(shift)
            numpyro.factor("seen", log_p if hole is None else jax.numpy.where(x > hole, there, log_p))

    return model


def drawn(shift=0.0, spread=1.0, draws=1000, chains=2, seed=0):
    """Independent draws of that posterior, as a fit."""
    sd = 1 / np.sqrt(1 / spread**2 + 1 / 100)
    x = sd**2 / spread**2 * shift + sd * np.random.default_rng(seed).normal(size=(chains, draws, 3))
    coords = {"chain": np.arange(chains), "draw": np.arange(draws), "person": ["ann", "ben", "cid"]}
    dims = ("chain", "draw", "person")
    posterior = xr.Dataset({"x": (dims, x), "double": (dims, 2 * x)}, coords)
    return bc.Fit(xr.DataTree.from_dict({"posterior": posterior}), Status(), {})


def test_moves_and_their_errors_where_they_are_known():
    """Normal to normal, 200 times: errors are as large as they say."""
    score, moved = [], []
    for seed in range(200):
        x = np.random.default_rng(seed).normal(size=(2, 500, 1))
        log_w, _ = _smooth((0.3 * x - 0.045).ravel())  # N(0, 1) to N(0.3, 1)
        row = _moments(x, x, np.exp(log_w).reshape(2, 500, 1))[0]
        score.append([(row[2]) - 0.3, row[4]])
        moved.append([row[5] - (0.3 - row[0]) / row[1], row[4] / row[1]])
    for values in (score, moved):
        error, claimed = np.array(values).T
        assert abs(np.mean(error**2 / claimed**2) - 1) < 5 * np.sqrt(2 / 200)


def test_the_error_counts_autocorrelation():
    rng, rho = np.random.default_rng(0), 0.9
    noise = rng.normal(size=(4, 4000, 50))
    for t in range(1, noise.shape[1]):
        noise[:, t] = rho * noise[:, t - 1] + np.sqrt(1 - rho**2) * noise[:, t]
    expected = np.sqrt(noise[..., 0].size * (1 + rho) / (1 - rho))
    assert _error(noise).mean() == pytest.approx(expected, rel=0.1)


def test_equal_weights_have_no_tail():
    log_w, k_hat = _smooth(np.full(500, 3.0))
    assert k_hat == 0 and np.exp(log_w).sum() == pytest.approx(1)
    found = reweight(drawn(), normal(), normal())
    assert found.good_enough and found.heaviest == pytest.approx(1) and found.effective == pytest.approx(2000)


def test_a_tail_that_weighs_nothing_does_not_alarm():
    """A shape of 4 at a scale of a ten-thousandth, as smooth networks have; at a scale of one it must alarm."""
    tail = np.random.default_rng(0).uniform(size=2000) ** -4.0
    for scale, even in ((0.04, True), (30.0, False)):
        log_w, k_hat = _smooth(np.log1p(scale * tail / tail.max()))
        assert k_hat > 0.7
        assert (2000 * np.exp(log_w).max() <= EVEN) == even


def test_labels_moves_and_thinning():
    found = reweight(drawn(draws=4000), normal(), normal(0.5), draws=2000)
    table = found.summary()
    assert list(table.index) == [f"{n}[{p}]" for n in ("x", "double") for p in ("ann", "ben", "cid")]
    assert found.tree["posterior"].sizes["draw"] == 1000
    assert (np.abs(table["shift"] - 0.5 * np.sqrt(100 / 101)) < 5 * np.hypot(table["shift_error"], 0.03)).all()
    assert "moves by +0." in found.verdict


def test_unsolved_draws_weigh_nothing_while_they_are_few():
    few = reweight(drawn(), normal(), normal(hole=2.9))
    assert 0 < few.unsolved < 20 and few.good_enough
    assert f"not found at {few.unsolved} of 2,000 draws" in few.verdict
    bad = few.tree["posterior"]["x"].max("person") > 2.9
    assert bool(np.isneginf(few.tree["sample_stats"]["log_weight"]).where(bad, True).all())
    many = reweight(drawn(), normal(), normal(hole=2.0))
    assert many.finding is Finding.UNSOLVED
    impossible = reweight(drawn(), normal(), normal(hole=-9.0, there=-np.inf))
    assert impossible.unsolved == 0 and impossible.finding is Finding.FEW_OVERLAP
    none = reweight(drawn(), normal(), normal(hole=-9.0))
    assert none.unsolved == 2000 and not none.good_enough and none.effective == 0


def test_a_small_move_known_too_roughly_is_left_open():
    fit = drawn(draws=60)
    assert reweight(fit, normal(), normal(0.1)).finding is Finding.IMPRECISE


def test_an_interruption_weighs_what_was_reached(monkeypatch):
    def stop(done, total):
        raise KeyboardInterrupt

    fit = drawn(draws=1000)
    found = reweight(fit, normal(), normal(0.1), progress=stop)
    assert found.tree["posterior"].sizes == {"chain": 2, "draw": 250, "person": 3}
    np.testing.assert_array_equal(found.tree["posterior"]["x"], fit.tree["posterior"]["x"][:, :250])
    monkeypatch.setattr("bayescal.diagnostics.reweight.BATCH", 20)
    with pytest.raises(KeyboardInterrupt):
        reweight(fit, normal(), normal(0.1), progress=stop)


@pytest.mark.slow
def test_a_sharpened_policy_is_an_oracle_too(policy, decisions, truth):
    model = bc.build_model(too_sure(policy, 1.1), Homogeneous(), decisions)
    found = reweight(bc.infer(model, bc.Grid(points=200, draws=500)), model, bc.SharpenedPolicy(policy))
    row = found.summary().loc["log_cost"]
    assert abs(row["exact_mean"] - truth[0]) < 4 * row["exact_error"] and abs(row["shift"]) > 0.5


def test_what_cannot_be_compared_is_said(policy, decisions, exact):
    def one():
        numpyro.sample("y", dist.Normal(0.0, 1.0))

    with pytest.raises(bc.InputError, match=r"one infers x \(3\), the exact one y"):
        reweight(drawn(), normal(), one)
    with pytest.raises(bc.InputError, match="The fit has no draws of y"):
        reweight(drawn(), one, one)
    with pytest.raises(bc.InputError, match="40 draws are too few"):
        reweight(drawn(draws=20), normal(), normal())
    with pytest.raises(bc.InputError, match="not built by `build_model`"):
        reweight(drawn(), normal())
    with pytest.raises(bc.InputError, match="no finite density"):
        reweight(drawn(), normal(hole=0.0), normal())
    fit = dataclasses.replace(drawn(), provenance={"model": "something else"})
    with pytest.raises(bc.InputError, match="another model"):
        reweight(fit, exact, exact)


def test_the_exact_twin_is_the_same_game_in_the_same_box(policy, decisions, exact):
    model = bc.build_model(policy, Homogeneous(), decisions)
    assert model.box == exact.box and model.hyperprior_text == exact.hyperprior_text
    cournot = bc.load_model("cournot")
    twin = exact_twin(cournot)
    assert (twin.environment, twin.prior, twin.population) == (
        cournot.environment, cournot.prior, cournot.population
    )  # fmt: skip
    with pytest.raises(bc.InputError, match="no exact solution"):
        exact_twin(bc.load_model("beer-game"))
    with pytest.raises(bc.InputError, match="ExactPolicy is not a learned policy"):
        exact_twin(bc.ExactPolicy(policy.environment))


@pytest.mark.slow
def test_the_command_tells_and_writes_it(tmp_path, decisions):
    table = decisions.table[decisions.table["game"] == GAMES[0]][["game", "role", "action", "n"]].to_csv(index=False)
    (tmp_path / "decisions.csv").write_text(table)
    facts = {"meta": {"title": "One game", "sha256": hashlib.sha256(table.encode()).hexdigest()}}
    facts |= {"columns": {c: c for c in ("game", "role", "action", "n")}, "games": {GAMES[0]: GAMES[0]}}
    lines = [f"[{part}]\n" + "".join(f'{k} = "{v}"\n' for k, v in of.items()) for part, of in facts.items()]
    (tmp_path / "dataset.toml").write_text("".join(lines))
    asked = ["calibrate", str(tmp_path), "--method", "grid", "--reweight", "--out", str(tmp_path / "out")]
    run = lambda *more: CliRunner().invoke(main, [*asked, *more])
    done = run("--policy", "normal-form-2x2")
    assert done.exit_code == 0, done.output
    assert "exact mean" in done.stdout and "pooled: good enough" in done.stdout
    assert json.loads((tmp_path / "out" / "pooled-reweighted.json").read_text())["good_enough"]
    again = CliRunner().invoke(
        main, ["reweight", str(tmp_path / "out" / "pooled.nc"), "--policy", "normal-form-2x2", "--strict"]
    )
    assert again.exit_code == 0, again.output
    assert "pooled: good enough" in again.stdout
    other = CliRunner().invoke(main, ["reweight", str(tmp_path / "out" / "pooled.nc")])
    assert other.exit_code == 2 and "give the learned policy that it was made with" in other.stderr
    asked_sbc = ["sbc", str(tmp_path), "--policy", "normal-form-2x2", "--truth", "exact", "--replicates", "20"]
    simulated = CliRunner().invoke(main, [*asked_sbc, "--warmup", "100", "--json"])
    assert simulated.exit_code == 0, simulated.output
    told = json.loads(simulated.stdout)["notes"]
    assert any(n.startswith("Simulated from exact, fitted with AmortisedPolicy") for n in told)
    # Refused before the work, not after it.
    for more, told in ((("--policy", "exact"), "not a learned policy"), (("--method", "mle"), "has none")):
        refused = run(*more)
        assert refused.exit_code == 2 and told in refused.stderr
