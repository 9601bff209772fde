"""What must hold of every population of costs. A kind that is registered is tested at once."""

import ast
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats as st
from scipy.integrate import quad
from scipy.special import expit

import bayescal
from bayescal.domain import POSITIVE
from bayescal.environments.named import get_game
from bayescal.errors import InputError
from bayescal.model.build import build_model
from bayescal.model.standard import standard_models
from bayescal.policies.exact import ExactPolicy
from bayescal.populations import POPULATIONS, Discrete, Homogeneous, LogNormal, Population
from bayescal.study import load_study

ALL = {name: POPULATIONS[name].example() for name in POPULATIONS} | {"discrete": Discrete.example()}
each_population = pytest.mark.parametrize("population", ALL.values(), ids=ALL)
ROLES = get_game("stag-hunt").role_names
KEY = jax.random.key(3)  # fixed: one of these p-values is below 1e-3 in one of a thousand keys


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def phi_at(population, u, payoff_scale=10.0):
    """The parameters at the u-th quantile of their default hyperpriors (a mixture's classes apart)."""
    hyperpriors = population.default_hyperpriors(payoff_scale)
    levels = {n: np.clip(u + (0.2 if n.endswith("_1") else 0.0), 0.05, 0.95) for n in hyperpriors}
    return {n: np.asarray(quantile(d, levels[n]), float) for n, d in hyperpriors.items()}


def quantile(distribution, u):
    """By bisection of the distribution function: NumPyro's quantiles are of some kinds only."""
    if isinstance(distribution, dist.LogNormal):
        return np.exp(distribution.loc + distribution.scale * st.norm.ppf(u))
    if isinstance(distribution, dist.HalfNormal):
        return distribution.scale * st.halfnorm.ppf(u)
    return float(distribution.icdf(u))


def has_density(population):
    return not isinstance(population, Homogeneous | Discrete)


def compiled(population, f):
    """f(population, …), compiled once for each population."""
    key = id(population), f
    if key not in _compiled:
        # The population is kept, so that no other has its id.
        _compiled[key] = population, jax.jit(lambda *given: f(population, *given))
    return lambda *given: jax.tree.map(np.asarray, _compiled[key][1](*given))


_compiled = {}


def quadrature(population, phi):
    return compiled(population, _quadrature)(phi)


def _quadrature(population, phi):
    return population.quadrature(phi)


def log_density(population, costs, phi):
    return compiled(population, _log_density)(costs, phi)


def _log_density(population, costs, phi):
    return population.log_density(costs, phi)


def density(population, phi):
    """A fast function of one log cost, for SciPy to integrate."""
    run = compiled(population, _density)
    return lambda log_cost: float(run(log_cost, phi))


def _density(population, log_cost, phi):
    return jnp.exp(population.log_density(jnp.exp(log_cost), phi) + log_cost)


def integral(population, phi, f):
    """By SciPy, in log cost and in pieces around the bulk."""
    costs, weights = quadrature(population, phi)
    bulk = np.log(costs[weights > 1e-9])
    with np.errstate(divide="ignore"):
        ends = np.log([population.support.low, population.support.high])
    edges = np.linspace(max(bulk.min() - 3, ends[0]), min(bulk.max() + 1, ends[1]), 6)
    p = density(population, phi)
    return sum(quad(lambda t: f(np.exp(t)) * p(t), a, b, limit=60)[0] for a, b in pairwise(edges))


def parameters_agree(population):
    hyperpriors = population.default_hyperpriors(10.0)
    assert list(population.parameters) == list(hyperpriors)
    for name, interval in population.parameters.items():
        assert interval.contains(hyperpriors[name].sample(KEY, (200,)))


def hyperpriors_scale_with_money(population):
    """In cents everything is believed to be a hundred times what it is in euros: costs have a hundred times the
    quantiles. (Ratios of densities, so that the ends of a truncated population, which are its user's, cancel.)"""
    for u in (0.3, 0.6):
        euros, cents = (phi_at(population, u, scale) for scale in (1.0, 100.0))
        if isinstance(population, Homogeneous):
            np.testing.assert_allclose(quadrature(population, cents)[0], 100 * quadrature(population, euros)[0])
        elif has_density(population):
            costs = np.array([0.05, 0.1, 0.4])
            small, large = log_density(population, costs, euros), log_density(population, 100 * costs, cents)
            np.testing.assert_allclose(large - large[0], small - small[0], rtol=1e-6, atol=1e-9)


def density_has_mass_one(population):
    if has_density(population):
        np.testing.assert_allclose(integral(population, phi_at(population, 0.4), lambda c: 1.0), 1, atol=1e-5)


def quadrature_integrates(population):
    """Expectations of bounded smooth functions of cost, as choice probabilities are."""
    phi = phi_at(population, 0.4)
    costs, weights = quadrature(population, phi)
    assert np.all(costs > 0) and population.support.contains(costs)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-9)
    for f in (lambda c: expit(-1 / c), lambda c: np.log1p(c) / (1 + c)):
        if has_density(population):
            np.testing.assert_allclose(weights @ f(costs), integral(population, phi, f), atol=2e-4)
        else:
            np.testing.assert_allclose(weights @ f(costs), np.mean(f(draws_of(population, phi))), atol=0.02)


def draws_of(population, phi):
    return compiled(population, _draws)(phi)


def _draws(population, phi):
    return population.sample(KEY, phi, (2000,))


def sample_follows_the_density(population):
    if not has_density(population):
        return
    phi = phi_at(population, 0.4)
    draws = np.sort(np.log(draws_of(population, phi)))
    edges = np.quantile(draws, np.linspace(0, 1, 9)[1:-1])
    p = density(population, phi)
    mass = np.array([quad(p, a, b, limit=60)[0] for a, b in pairwise(edges)])
    counts = np.histogram(draws, edges)[0]
    # Counts between fixed quantiles of the sample vary less than multinomial ones: the test errs on the safe side.
    assert np.sum((counts - len(draws) * mass) ** 2 / (len(draws) * mass)) < st.chi2.ppf(1 - 1e-4, len(mass))


def gradients_are_slopes(population):
    phi, h = phi_at(population, 0.4), 1e-6

    def mean_choice(phi):
        costs, weights = population.quadrature(phi)
        return jnp.dot(weights, jnp.tanh(costs))

    both = jax.jit(jax.value_and_grad(mean_choice))
    _, slopes = both(phi)
    for name in phi:
        (up, _), (down, _) = (both(phi | {name: np.asarray(phi[name] + step)}) for step in (h, -h))
        np.testing.assert_allclose(slopes[name], (up - down) / (2 * h), rtol=2e-3, atol=1e-6)


def shifted_moves_log_costs(population):
    """By its mean and its variance; a population that cannot be moved says so."""
    phi = phi_at(population, 0.4)
    try:
        moved = population.shifted(phi, 0.3, 0.2)
    except InputError:
        return
    before, after = (moments(population, phi), moments(population, moved))
    np.testing.assert_allclose(after[0] - before[0], 0.3, atol=1e-6)
    np.testing.assert_allclose(after[1] - before[1], 0.2**2, atol=1e-6)


def moments(population, phi):
    costs, weights = quadrature(population, phi)
    t = np.log(costs)
    return weights @ t, weights @ t**2 - (weights @ t) ** 2


def vmap_is_a_loop(population):
    rows = [phi_at(population, u) for u in (0.35, 0.6)]
    if not rows[0]:
        return
    mapped = jax.jit(jax.vmap(lambda phi: population.quadrature(phi)))
    costs, weights = map(np.asarray, mapped({n: np.stack([r[n] for r in rows]) for n in rows[0]}))
    for k, row in enumerate(rows):
        own_costs, own_weights = quadrature(population, row)
        np.testing.assert_allclose(costs[k], own_costs, rtol=1e-9)
        np.testing.assert_allclose(np.broadcast_to(weights, costs.shape)[k], own_weights, rtol=1e-9)


LAWS = [
    parameters_agree, hyperpriors_scale_with_money, density_has_mass_one, quadrature_integrates,
    sample_follows_the_density, gradients_are_slopes, shifted_moves_log_costs, vmap_is_a_loop,
]  # fmt: skip


@each_population
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_populations_obey(law, population):
    law(population)


@jax.custom_batching.custom_vmap
def wrong_in_batches(x):
    return x


@wrong_in_batches.def_vmap
def _(size, batched, x):
    return 1.01 * x, batched[0]


class Exponential(Population):
    """A population as a user would write it, with one fault at a time."""

    fault: str = ""

    @property
    def parameters(self):
        return {"scale": POSITIVE}

    def default_hyperpriors(self, payoff_scale):
        if self.fault == "name":
            return {"mean": dist.HalfNormal(payoff_scale)}
        return {"scale": dist.HalfNormal(3.0 if self.fault == "money" else payoff_scale / 4)}

    def log_density(self, cost, phi):
        return -cost / phi["scale"] - jnp.log(phi["scale"]) + (1e-3 if self.fault == "mass" else 0.0)

    def sample(self, key, phi, shape=()):
        return jax.random.exponential(key, shape) * phi["scale"] * (1.3 if self.fault == "sample" else 1.0)

    def quadrature(self, phi):
        # Equal steps in log cost over the bulk; exact for smooth functions, as the trapezoidal rule is.
        t = jnp.linspace(-20.0, 4.0, 200)
        weights = jax.nn.softmax(t - jnp.exp(t))
        scale = jax.lax.stop_gradient(phi["scale"]) if self.fault == "gradient" else phi["scale"]
        wrong = 1.05 if self.fault == "quadrature" else 1.0
        scale = wrong_in_batches(scale) if self.fault == "vmap" else scale
        return jnp.exp(t) * scale * wrong, weights

    def shifted(self, phi, by, spread=0.0):
        return {"scale": phi["scale"] * jnp.exp(by)} if self.fault == "shift" else super().shifted(phi, by, spread)


@pytest.mark.parametrize(
    ("law", "fault"),
    [
        (parameters_agree, "name"), (hyperpriors_scale_with_money, "money"), (density_has_mass_one, "mass"),
        (quadrature_integrates, "quadrature"), (sample_follows_the_density, "sample"),
        (gradients_are_slopes, "gradient"), (shifted_moves_log_costs, "shift"), (vmap_is_a_loop, "vmap"),
    ],
    ids=lambda x: x if isinstance(x, str) else x.__name__,
)  # fmt: skip
def test_a_planted_fault_is_caught(law, fault):
    law(Exponential())
    with pytest.raises(AssertionError):
        law(Exponential(fault=fault))


def test_a_kind_without_hyperpriors_cannot_be_made():
    class Forgetful(Population):
        parameters = {"scale": POSITIVE}  # noqa: RUF012

        def log_density(self, cost, phi): ...

        def sample(self, key, phi, shape=()): ...

        def quadrature(self, phi): ...

    with pytest.raises(TypeError, match="default_hyperpriors"):
        Forgetful()


STUDY = """
[meta]
title = "Two hunters"
[games]
hunt = "stag-hunt"
[model]
population = "exponential"
"""


def test_a_population_of_ones_own_works_by_name(monkeypatch, tmp_path):
    (tmp_path / "dataset.toml").write_text(STUDY)
    rows = [f"{who},hunt,{role},{act}" for who, role, act in zip("abab", ROLES * 2, ("stag", "hare") * 2, strict=True)]
    (tmp_path / "decisions.csv").write_text("\n".join(["participant,game,role,action", *rows]) + "\n")
    with pytest.raises(InputError, match=r"population under .model. is 'exponential': write one of 'homogeneous'"):
        load_study(tmp_path)
    monkeypatch.setattr(POPULATIONS, "_kinds", dict(POPULATIONS._kinds))
    POPULATIONS.register("exponential", Exponential)
    (model,) = standard_models(load_study(tmp_path)).values()
    assert model.hyperprior_text == {"scale": "HalfNormal(0.75)"}  # a quarter of the spread of payoffs, which is 3
    assert "Exponential population" in model.description


@pytest.mark.parametrize("population", [LogNormal(), POPULATIONS["gamma"].example()], ids=["log-normal", "gamma"])
def test_a_model_in_cents_believes_a_hundred_times_what_it_does_in_euros(population):
    """All payoffs a hundred times as large: the median cost that a model believes in is, too."""
    study = load_study("selten-chmura", where="game == 'selten-chmura-01'")
    euros = study.decisions
    game = next(iter(euros.environments.values()))
    cents = type(game)(100 * game.params["payoffs"], name=game.name, role_names=game.role_names,
                       action_labels=game.action_labels)  # fmt: skip
    means = []
    for environment in (game, cents):
        decisions = type(euros)(**{**vars(euros), "environments": dict.fromkeys(euros.environments, environment)})
        model = build_model(ExactPolicy(environment, population=population), population, decisions)
        phi = {n: jnp.asarray(quantile(model.hyperpriors[n], 0.5)) for n in population.parameters}
        means.append(float(np.exp(moments(population, phi)[0])))
    assert means[1] == pytest.approx(100 * means[0], rel=1e-6)


def test_habits_and_populations_use_distributions_of_numpyro_and_nothing_else():
    """The import contract lets them import NumPyro; they may not sample."""
    for room in ("populations", "priors"):
        for path in (Path(bayescal.__file__).parent / room).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    whole = node.module == "numpyro"  # `from numpyro import distributions`
                    names += [f"numpyro.{a.name}" for a in node.names] if whole else [node.module or ""]
                wrong = [n for n in names if n.startswith("numpyro") and n != "numpyro.distributions"]
                assert not wrong, f"{path.name} imports {wrong}"
