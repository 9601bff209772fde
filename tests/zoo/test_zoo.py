"""The models that are shipped: whole, what their certificates say, and good for what they were made for."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.policies.store import environment_hash
from bayescal.populations import Homogeneous
from bayescal.resources import resource_path
from bayescal.training.certificate import certify
from bayescal.training.recipe import read_recipe

NAMES = bc.model_names()


def test_the_zoo_is_there():
    one_shot = {"cournot", "normal-form-2x2", "beauty-contest"}
    private = {"normal-form-2x2-private", "normal-form-3x3-private"}
    assert set(NAMES) >= one_shot | private | {"beer-game", "newsvendor", "cobweb", "cournot-repeated", "bus-engine"}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_whole(name):
    folder = resource_path("models", name)
    assert len((folder / "experiment.py").read_text().splitlines()) <= 80
    policy = bc.load_model(name)
    certificate = json.loads((folder / "certificate.json").read_text())
    facts = json.loads((folder / "policy.json").read_text())
    assert certificate["weights_sha256"] == facts["weights_sha256"]
    assert certificate["environment_hash"] == environment_hash(policy)
    assert read_recipe(folder).title in (folder / "card.md").read_text()
    assert not list(folder.glob("checkpoint*"))


def certificate_of(name):
    return json.loads((resource_path("models", name) / "certificate.json").read_text())


# These take many minutes; tests/zoo/test_zoo_markets.py measures them at a few points.
LONG = ("newsvendor", "cournot-repeated")


@pytest.mark.parametrize("name", [n for n in NAMES if certificate_of(n)["oracle"] and n not in LONG])
@pytest.mark.slow
def test_its_certificate_can_be_repeated(name):
    """Fresh points, fewer of them. Medians of n points lie within the quantiles 1/2 ± 3 · 1/2 / √n of those measured;
    what is at hand of the others is their median and 95% quantile."""
    written, policy = certificate_of(name), bc.load_model(name)
    measured = certify(policy, points=24 if policy.environment.over_time else 40, seed=77)
    assert measured["points_solved"] >= 0.97 * measured["points"]
    for what in {"kl", "total_variation", "nats_per_decision"} & set(written):
        assert measured[what]["median"] < written[what]["q95"]
        assert measured[what]["q95"] > written[what]["median"]


def test_one_network_solves_all_of_selten_and_chmura():
    """Within 0.002 of every exact probability, at precisions from 0.1 to 10."""
    policy = bc.load_model("normal-form-2x2")
    games = np.stack([bc.get_game(f"selten-chmura-{i:02d}").default_payoffs for i in range(1, 13)])
    costs = 1 / np.geomspace(0.1, 10, 25)
    exact = bc.ExactPolicy(policy.environment)
    with jax.enable_x64(True):
        at_costs = lambda f: lambda g: jax.vmap(lambda c: f(c, g))(jnp.asarray(costs))
        every = lambda f: jax.jit(jax.vmap(at_costs(f)))(jnp.asarray(games))
        truth = every(lambda c, g: exact.solve(c, params={"payoffs": g}).strategies)
        learned = every(lambda c, g: jnp.exp(policy.log_prob_all(c, None, None, {"payoffs": g})))
    assert np.isfinite(truth).all()
    assert np.abs(truth - learned).max() <= 2e-3


@pytest.mark.slow
def test_the_learned_posterior_of_selten_and_chmura_is_the_exact_one():
    """The pooled log cost within a tenth of its posterior sd, on a grid, so that no Monte-Carlo error enters."""
    study = bc.load_study("selten-chmura")
    grid = np.linspace(-0.45, 0.0, 181)
    moments = {}
    for name, policy in (
        ("exact", bc.ExactPolicy(bc.get_game("stag-hunt"))),
        ("learned", bc.load_model("normal-form-2x2")),
    ):
        from numpyro.infer.util import log_density

        model = bc.build_model(policy, Homogeneous(), study.decisions, hyperpriors=study_hyperprior(study))
        with jax.enable_x64(True):
            f = jax.jit(jax.vmap(lambda x, model=model: log_density(model, (), {}, {"log_cost": x})[0]))
            log_p = np.asarray(f(jnp.asarray(grid)))
        p = np.exp(log_p - log_p.max())
        p /= p.sum()
        mean = p @ grid
        moments[name] = mean, np.sqrt(p @ (grid - mean) ** 2)
    (mean, sd), (other, other_sd) = moments["exact"], moments["learned"]
    assert abs(other - mean) < 0.1 * sd
    assert abs(other_sd / sd - 1) < 0.05


def study_hyperprior(study):
    return {"log_cost": study.hyperpriors["log_cost"]}


@pytest.mark.slow
def test_a_market_is_learned_in_seconds():
    """Three firms, 31 quantities, costs over a factor of 1,000: the figure of issue B, in a sixth of its time."""
    policy = bc.AmortisedPolicy(
        bc.Cournot(3, np.linspace(0, 60, 31)),
        {"cost": (2.5, 2500.0), "phi.log_mean": (np.log(10.0), np.log(1000.0)), "phi.log_sd": (0.1, 1.0)},
        population=bc.populations.LogNormal(16),
    )
    trained = bc.train(bc.SoftQExpected(policy, steps=2500, batch=128))
    figures = certify(trained.policy, points=100, seed=5)
    assert figures["points_solved"] == 100
    assert figures["kl"]["mean"] <= 1e-4
    assert figures["kl"]["q95"] <= 1e-3
    assert figures["corner_kl"]["max"] <= 1e-2
