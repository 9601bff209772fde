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
from bayescal.posterior.grid import compute_grid


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


@pytest.fixture(scope="module")
def marginal(decisions, policy):
    return bc.build_model(policy, POPULATION, decisions, method="marginal")


@pytest.fixture(scope="module")
def compressed(decisions, policy):
    return bc.build_model(policy, POPULATION, decisions, method="compressed")


@pytest.fixture(scope="module")
def located(marginal):
    """Where the posterior is."""
    with jax.enable_x64(True):
        return locate(marginal, 100, seed=0)


@pytest.fixture(scope="module")
def many(decisions, policy):
    """(the model of these people as of many, where it looked for the posterior, with which prior draws)."""
    found, begun, asked = [], [], compressing.locate

    def watched(*args, prior=None):
        begun.append(prior)
        found.append(asked(*args, prior=prior))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressing, "_MANY", 1)
        patch.setattr(compressing, "locate", watched)
        return bc.build_model(policy, POPULATION, decisions, method="compressed"), found, begun


def slopes_of(model, values):
    """(density, its slopes) at many values."""
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(jax.value_and_grad(density(model))))(values))


@pytest.mark.slow
def test_the_density_is_that_of_the_marginal_model(compressed, marginal, located):
    """At draws from where the posterior is: to 2e-2 nats in all, as the evidence promises, gradients too."""
    assert any(n.startswith("Compressed") for n in compressed.notes), compressed.notes
    with jax.enable_x64(True):
        some = {n: x[:12] for n, x in located.items()}
        (ours, slopes), (true, true_slopes) = (slopes_of(m, some) for m in (compressed, marginal))
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
def test_many_people_are_looked_for_where_some_of_them_are(many):
    """A search that begins at the hyperprior's median may begin on the walls of the evidence's box, and end there."""
    model, found, begun = many
    assert len(found) == 2
    for name, x in found[0].items():
        assert np.median(begun[1][name]) == np.median(x)
        assert abs(np.median(model.start[name]) - np.median(x)) < 0.5 * np.std(x)  # the same people


def test_draws_are_completed_from_evidence_too(compressed, marginal, located):
    with jax.enable_x64(True):
        middle = {n: np.median(x) for n, x in located.items()}
        values = {n: np.full((1, 400), x) for n, x in middle.items()}
        ours, log_lik = compressed.complete(values, np.random.default_rng(0))
        theirs, true = marginal.complete(values, np.random.default_rng(0))
    np.testing.assert_allclose(log_lik["participant"], true["participant"], atol=2e-3)
    gap = ours["log_cost"].mean(axis=1) - theirs["log_cost"].mean(axis=1)
    assert np.abs(gap).max() < 4 * theirs["log_cost"].std(axis=1).max() * np.sqrt(2 / 400)


@pytest.mark.slow
def test_what_cannot_be_compressed_falls_back_and_says_so(decisions, policy, marginal, monkeypatch):
    asked = Evidence.build
    monkeypatch.setattr(Evidence, "build", lambda *a, **k: asked(*a, **k | {"tolerance": 1e-13, "most_nodes": 30}))
    model = bc.build_model(policy, POPULATION, decisions, method="compressed")
    (note,) = model.notes
    assert note.lower().startswith("not compressed:") and "nats" in note
    values, _ = drawn(model)
    with jax.enable_x64(True):
        assert density(model)(values) == density(marginal)(values)


def test_evidence_of_others_is_refused_and_shards_add_up(decisions, policy, marginal):
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
    monkeypatch.setattr(compressing, "_MANY", 5)
    evidence = model.integrated.evidence
    together = bc.build_model(policy, POPULATION, decisions, method="compressed", evidence=evidence)
    surface = together.integrated.surface
    assert surface is not None and surface.error <= 0.02 and "All people together" in together.notes[-1]
    with jax.enable_x64(True):
        one_by_one = compute_grid(Density.of(model), bc.Grid(points=60, draws=50)).moments
        # The last one is beyond the box, where it is no likelihood, but leads back.
        far = {"log_mean": together.start["log_mean"].max() + 1.0, "log_sd": together.start["log_sd"][0]}
        places = {n: np.append(x[:5], far[n]) for n, x in together.start.items()}
        (ours, slopes), (theirs, expected) = (slopes_of(m, places) for m in (together, model))
    np.testing.assert_allclose(ours[:5], theirs[:5], rtol=0, atol=0.03)
    for n, slope in slopes.items():
        np.testing.assert_allclose(slope[:5], expected[n][:5], atol=0.1)
    assert ours[5] < -1e3 and slopes["log_mean"][5] < 0
    whole = bc.infer(together, bc.Grid(points=60, draws=50))
    for name, (mean, sd) in one_by_one.items():
        assert abs(whole.provenance["grid"][name]["mean"] - mean) < 0.03 * sd
    assert set(whole.tree["log_likelihood"]) >= {"by_participant"}


def test_what_no_polynomial_follows_stays_a_sum():
    kinked = lambda values: -1e3 * jnp.abs(values["x"])
    start = {"x": np.random.default_rng(0).normal(size=200)}
    density = Density.of(lambda: numpyro.sample("x", dist.Normal(0.0, 1.0)))
    found = Surface.build(kinked, density, start, 0.02)
    assert found.error > 1


@pytest.mark.slow
def test_chains_that_begin_where_the_posterior_is_find_the_same(many, compressed):
    """In units of the located posterior: means and sds are those of a grid, within four Monte-Carlo errors."""
    model, *_ = many
    assert model.start is not None and set(model.start) == {"log_mean", "log_sd"}
    fit = bc.infer(model, bc.NUTS(draws=1000, warmup=100, chains=2, seed=2))
    with jax.enable_x64(True):
        grid = compute_grid(Density.of(compressed), bc.Grid(points=60, draws=400)).moments
    table = fit.summary(["log_mean", "log_sd"])
    for name, (mean, sd) in grid.items():
        assert abs(table.loc[name, "mean"] - mean) < 4 * table.loc[name, "mcse_mean"]
        assert abs(table.loc[name, "sd"] - sd) < 4 * table.loc[name, "mcse_sd"] + 0.01 * sd
