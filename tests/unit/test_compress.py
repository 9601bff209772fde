"""Models on compressed evidence: the same density, or an honest fall back."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
from firms import MARKET, PEOPLE, POPULATION, density, drawn, table

import bayescal as bc
from bayescal.errors import InputError
from bayescal.evaluation.density import Density
from bayescal.evaluation.locate import locate
from bayescal.likelihood.evidence import Evidence
from bayescal.likelihood.surface import Surface
from bayescal.model import compress as compressing
from bayescal.policies.learned import with_network


@pytest.fixture(scope="module")
def policy():
    """Not learned: right or wrong, it is smooth, and a thousand times cheaper than a solution."""
    box = {"cost": (1.0, 3000.0), "phi.log_mean": (1.0, 8.0), "phi.log_sd": (0.1, 1.5)}
    policy = bc.AmortisedPolicy(MARKET, box, population=POPULATION, width=8)
    return with_network(
        policy, jax.tree.map(lambda w: 0.3 * jax.random.normal(jax.random.key(w.size), w.shape), policy.network)
    )


@pytest.fixture(scope="module")
def decisions(policy):
    """Of people whose costs are drawn from inside the box."""
    rng = np.random.default_rng(0)
    frame = table(rounds=30)
    log_cost = rng.normal(5.0, 0.5, PEOPLE)
    values = policy.values(None, {"log_mean": 5.0, "log_sd": 0.5}, None, None)[0]
    probs = np.asarray(jax.nn.softmax(values / np.exp(log_cost)[:, None], axis=1), float)
    chosen = [rng.choice(7, 30, p=p / p.sum()) for p in probs]
    frame["action"] = 10 * np.concatenate(chosen)
    return bc.Decisions.from_table(frame, {"cournot": MARKET}, covariates=("treatment", "age"))


@pytest.mark.slow
def test_the_density_is_that_of_the_marginal_model(decisions, policy):
    """At draws from where the posterior is: to 2e-2 nats in all, as the evidence promises, gradients too."""
    compressed, marginal = (bc.build_model(policy, POPULATION, decisions, method=m) for m in ("compressed", "marginal"))
    assert any(n.startswith("Compressed") for n in compressed.notes), compressed.notes
    with jax.enable_x64(True):
        draws = locate(marginal, 12, seed=3)
        both = [jax.jit(jax.value_and_grad(density(m))) for m in (compressed, marginal)]
        for k in range(12):
            values = {n: x[k] for n, x in draws.items()}
            (ours, slopes), (true, true_slopes) = (f(values) for f in both)
            np.testing.assert_allclose(ours, true, atol=2e-2)
            for n, slope in slopes.items():
                np.testing.assert_allclose(slope, true_slopes[n], atol=2e-2)


def test_groups_have_curves_of_their_own(decisions, policy):
    options = {"groups": "treatment", "covariates": "~ age"}
    marginal = bc.build_model(policy, POPULATION, decisions, method="marginal", **options)
    integrated = marginal.integrated
    domain = bc.Domain.of(**{"phi.log_mean": (4.5, 5.5), "phi.log_sd": (0.4, 0.6)})
    with jax.enable_x64(True):
        evidence = Evidence.build(integrated.likelihood, integrated.nodes, domain)
        shared = {"phi.log_mean": np.array([4.7, 5.2]), "phi.log_sd": np.array([0.45, 0.55])}
        relative, level = dataclasses.replace(integrated, evidence=evidence).curves(shared)
        true = np.asarray(integrated.likelihood.curves(integrated.nodes, shared))
        ours = np.asarray(relative + level[:, None])
    near = true > true.max(axis=1, keepdims=True) - 15
    np.testing.assert_allclose(ours[near], true[near], atol=1e-3)


@pytest.mark.slow
def test_many_people_are_looked_for_where_some_of_them_are(decisions, policy, monkeypatch):
    """A search that begins at the hyperprior's median may begin on the walls of the evidence's box, and end there."""
    found, begun, asked = [], [], compressing.locate

    def watched(*args, prior=None):
        begun.append(prior)
        found.append(asked(*args, prior=prior))
        return found[-1]

    monkeypatch.setattr(compressing, "_MANY", 1)
    monkeypatch.setattr(compressing, "locate", watched)
    model = bc.build_model(policy, POPULATION, decisions, method="compressed")
    assert len(found) == 2
    for name, x in found[0].items():
        assert np.median(begun[1][name]) == np.median(x)
        assert abs(np.median(model.start[name]) - np.median(x)) < 0.5 * np.std(x)  # the same people


def test_draws_are_completed_from_evidence_too(decisions, policy):
    compressed, marginal = (bc.build_model(policy, POPULATION, decisions, method=m) for m in ("compressed", "marginal"))
    with jax.enable_x64(True):
        middle = {n: np.median(x) for n, x in locate(marginal, 100, seed=0).items()}
        values = {n: np.full((1, 400), x) for n, x in middle.items()}
        ours, log_lik = compressed.complete(values, np.random.default_rng(0))
        theirs, true = marginal.complete(values, np.random.default_rng(0))
    np.testing.assert_allclose(log_lik["participant"], true["participant"], atol=2e-3)
    gap = ours["log_cost"].mean(axis=1) - theirs["log_cost"].mean(axis=1)
    assert np.abs(gap).max() < 4 * theirs["log_cost"].std(axis=1).max() * np.sqrt(2 / 400)


@pytest.mark.slow
def test_what_cannot_be_compressed_falls_back_and_says_so(decisions, policy, monkeypatch):
    asked = Evidence.build
    monkeypatch.setattr(Evidence, "build", lambda *a, **k: asked(*a, **k | {"tolerance": 1e-13, "most_nodes": 30}))
    model = bc.build_model(policy, POPULATION, decisions, method="compressed")
    (note,) = model.notes
    assert note.lower().startswith("not compressed:") and "nats" in note
    values, _ = drawn(model)
    marginal = bc.build_model(policy, POPULATION, decisions, method="marginal")
    with jax.enable_x64(True):
        assert density(model)(values) == density(marginal)(values)


def test_evidence_of_others_is_refused_and_shards_add_up(decisions, policy):
    marginal = bc.build_model(policy, POPULATION, decisions, method="marginal")
    integrated = marginal.integrated
    with jax.enable_x64(True):
        domain = compressing.box_of(integrated)
        build = lambda likelihood: Evidence.build(likelihood, integrated.nodes, domain)
        parts = [build(part) for part in integrated.likelihood.shards(13)]
        assert len(parts) > 2
        whole = sum(parts)
        some = {n: (box.low + box.high) / 2 for n, box in domain.intervals}
        at_once = integrated.likelihood.curves(integrated.nodes, some)
        near = np.asarray(at_once > at_once.max(axis=1, keepdims=True) - 15)
        np.testing.assert_allclose(np.asarray(whole.curves(some))[near], np.asarray(at_once)[near], atol=2e-3)
    model = bc.build_model(policy, POPULATION, decisions, method="compressed", evidence=whole)
    assert "compressed" in model.description
    with pytest.raises(InputError, match="build it from these decisions"):
        bc.build_model(policy, POPULATION, decisions, method="compressed", evidence=parts[0])
    other = dataclasses.replace(whole, domain=bc.Domain.of(**{"phi.mean": (0.0, 1.0), "phi.sd": (0.0, 1.0)}))
    with pytest.raises(InputError, match=r"is a function of phi\.mean"):
        bc.build_model(policy, POPULATION, decisions, method="compressed", evidence=other)


@pytest.mark.slow
def test_many_people_are_a_polynomial_all_together(policy, monkeypatch):
    rng = np.random.default_rng(0)
    values = policy.values(None, {"log_mean": 5.0, "log_sd": 0.5}, None, None)[0]
    cost = np.exp(rng.normal(5.0, 0.5, 300))
    probs = np.asarray(jax.nn.softmax(values / cost[:, None], axis=1), float)
    chosen = np.concatenate([rng.choice(7, 30, p=p / p.sum()) for p in probs])
    frame = pd.DataFrame({"participant": np.repeat(np.arange(300), 30), "action": 10 * chosen})
    decisions = bc.Decisions.from_table(frame, {"cournot": MARKET})
    model = bc.build_model(policy, POPULATION, decisions, method="compressed")
    one_by_one = bc.infer(model, bc.Grid(points=60, draws=50))
    monkeypatch.setattr(compressing, "_MANY", 5)
    together = bc.build_model(policy, POPULATION, decisions, method="compressed")
    surface = together.integrated.surface
    assert surface is not None and surface.error <= 0.02 and "All people together" in together.notes[-1]
    with jax.enable_x64(True):
        ours, theirs = (jax.jit(jax.value_and_grad(density(m))) for m in (together, model))
        for one in range(5):
            values = {n: x[one] for n, x in together.start.items()}
            (a, slopes), (b, expected) = ours(values), theirs(values)
            assert abs(a - b) < 0.03
            for n, slope in slopes.items():
                np.testing.assert_allclose(slope, expected[n], atol=0.1)
        # Beyond the box it is no likelihood, but it leads back.
        far = {"log_mean": together.start["log_mean"].max() + 1.0, "log_sd": together.start["log_sd"][0]}
        value, slopes = ours(far)
        assert value < -1e3 and slopes["log_mean"] < 0
    whole = bc.infer(together, bc.Grid(points=60, draws=50))
    for name, exact in one_by_one.provenance["grid"].items():
        assert abs(whole.provenance["grid"][name]["mean"] - exact["mean"]) < 0.03 * exact["sd"]
    assert set(whole.tree["log_likelihood"]) >= {"by_participant"}


def test_what_no_polynomial_follows_stays_a_sum():
    kinked = lambda values: -1e3 * jnp.abs(values["x"])
    start = {"x": np.random.default_rng(0).normal(size=200)}
    density = Density.of(lambda: numpyro.sample("x", dist.Normal(0.0, 1.0)))
    found = Surface.build(kinked, density, start, 0.02)
    assert found.error > 1


@pytest.mark.slow
def test_chains_that_begin_where_the_posterior_is_find_the_same(decisions, policy, monkeypatch):
    """In units of the located posterior: means and sds are those of a grid, within four Monte-Carlo errors."""
    monkeypatch.setattr(compressing, "_MANY", 5)
    model = bc.build_model(policy, POPULATION, decisions, method="compressed")
    assert model.start is not None and set(model.start) == {"log_mean", "log_sd"}
    fit = bc.infer(model, bc.NUTS(draws=2000, warmup=100, chains=2, seed=2))
    grid = bc.infer(bc.build_model(policy, POPULATION, decisions), bc.Grid(points=60, draws=400))
    table = fit.summary(["log_mean", "log_sd"])
    for name, exact in grid.provenance["grid"].items():
        assert abs(table.loc[name, "mean"] - exact["mean"]) < 4 * table.loc[name, "mcse_mean"]
        assert abs(table.loc[name, "sd"] - exact["sd"]) < 4 * table.loc[name, "mcse_sd"] + 0.01 * exact["sd"]
