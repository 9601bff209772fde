"""Costs integrated out: against brute force, for narrow and wide populations, sharp and flat likelihoods."""

import dataclasses
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

import bayescal as bc
from bayescal.domain import Interval
from bayescal.likelihood.marginal import draw_log_costs, even_nodes, log_marginal
from bayescal.likelihood.stencil import interpolate
from bayescal.populations import Gamma, LogNormal, Mixture, TruncatedNormal

WALLS = Interval(-4.0, 4.0)


def log_lik(log_cost, shares, decisions):
    """A choice between two actions, one better by 1, the worse chosen with these shares of `decisions`; and a person
    who is never wrong, one who always is, and one of whom nothing is known."""
    right = jax.nn.log_sigmoid(jnp.exp(-log_cost))
    wrong = jax.nn.log_sigmoid(-jnp.exp(-log_cost))
    rows = [decisions * ((1 - s) * right + s * wrong) for s in shares]
    return jnp.stack([*rows, 0.0 * log_cost])


SHARES = (0.0, 0.02, 0.2, 0.4, 0.5)


def brute_force(population, phi, decisions, shift=0.0):
    """One program for all numbers."""
    numbers = {n: np.asarray(x, float) for n, x in phi.items()}
    return np.asarray(_brute_force(population, numbers, np.asarray(decisions, float), np.asarray(shift, float)))


@eqx.filter_jit
def _brute_force(population, phi, decisions, shift):
    x = jnp.linspace(WALLS.low, WALLS.high, 80_001)
    density = population.log_density(jnp.exp(x - shift), phi) + x
    density = density - jax.nn.logsumexp(density)
    return jax.nn.logsumexp(density + log_lik(x, SHARES, decisions), axis=1)


@pytest.mark.parametrize("decisions", [10, 100, 1000, 100_000])
def test_the_integral_is_that_of_brute_force(decisions):
    """Also of people whose decisions pull them many standard deviations away from a narrow population."""
    with jax.enable_x64(True):
        nodes = jnp.asarray(even_nodes(WALLS, decisions))
        curves = log_lik(nodes, SHARES, decisions)
        found = jax.jit(lambda phi: log_marginal(curves, nodes, LogNormal(), phi))
        for sd in (0.01, 0.1, 0.3, 1.0, 2.0):
            for mean in (-1.03, 0.0, 0.77):
                phi = {"log_mean": mean, "log_sd": sd}
                expected = brute_force(LogNormal(), phi, decisions)
                np.testing.assert_allclose(found(phi), expected, atol=1e-4, err_msg=str(phi))


def test_the_integral_is_that_of_adaptive_quadrature():
    """With a million decisions a person. The walls are too far away to cut anything off."""
    decisions, mean = 1_000_000, -0.3
    with jax.enable_x64(True):
        nodes = jnp.asarray(even_nodes(WALLS, decisions))
        curves = log_lik(nodes, SHARES, decisions)
        found = jax.jit(lambda sd: log_marginal(curves, nodes, LogNormal(), {"log_mean": mean, "log_sd": sd}))
        for sd in (1e-7, 1e-5, 0.001, 0.05, 0.5):
            by_person = found(sd)
            for i, share in enumerate(SHARES[1:], start=1):
                expected = log_integral(log_integrand(share, decisions, mean, sd))
                np.testing.assert_allclose(by_person[i], expected, atol=1e-5)


def log_integrand(share, decisions, mean, sd):
    def log_f(x):
        gain = np.exp(-x)
        log_lik = -decisions * ((1 - share) * np.logaddexp(0, -gain) + share * np.logaddexp(0, gain))
        return log_lik + st.norm.logpdf(x, mean, sd)

    return log_f


def log_integral(log_f):
    """Between the walls: SciPy's adaptive quadrature, on pieces that double in length away from the top."""
    x = np.linspace(WALLS.low, WALLS.high, 100_001)
    best, step = x[np.argmax(log_f(x))], x[1] - x[0]
    near = (best - step, best + step)
    top = minimize_scalar(lambda x: -log_f(x), bounds=near, method="bounded", options={"xatol": 1e-13}).x
    steps = 1e-4 * 2.0 ** np.arange(17)
    cuts = np.unique(np.clip(np.r_[top - steps, top, top + steps], WALLS.low, WALLS.high))
    pieces = [quad(lambda x: np.exp(log_f(x) - log_f(top)), *ends, epsabs=1e-12)[0] for ends in pairwise(cuts)]
    return log_f(top) + np.log(sum(pieces))


@pytest.mark.parametrize(
    ("population", "x64"),
    [(LogNormal(), True), (Gamma(), True), (TruncatedNormal(low=1.0, high=1.5), True), (LogNormal(), False)],
)
def test_integrals_and_their_slopes_are_finite_however_little_people_differ(population, x64):
    """With no decisions, a few, and so many that nobody is near the population's mean; vmap computes all rules."""
    sds, means = [1e-12, 1e-8, 0.9e-5, 1.1e-5, 1e-4, 0.9e-3, 1.1e-3, 1e-2, 1.0], [-4.5, -1.03, 0.1, 3.99]
    with jax.enable_x64(x64):
        nodes = jnp.asarray(even_nodes(WALLS, 100))
        shift = jnp.linspace(-0.3, 0.3, 6)
        grid = [jnp.asarray(x.ravel()) for x in np.meshgrid([0.0, 0.01, 1.0, 1e4], means, sds, indexing="ij")]

        def one(scale, mean, sd):
            log_normal = isinstance(population, LogNormal)
            phi = {"log_mean": mean, "log_sd": sd} if log_normal else {"mean": jnp.exp(mean), "sd": sd * jnp.exp(mean)}
            return log_marginal(scale * log_lik(nodes, SHARES, 100), nodes, population, phi, shift)

        def all_of_them(*grid):
            out = jax.vmap(one)(*grid)
            return out.sum(), out

        slopes, found = jax.jit(jax.grad(all_of_them, (0, 1, 2), has_aux=True))(*grid)
        curves = np.asarray(log_lik(nodes, SHARES, 100))
    for x in (found, *slopes):
        assert np.isfinite(x).all()
    found = np.asarray(found, float).reshape(4, len(means), len(sds), 6)
    # A mean likelihood is between the lowest and the highest, on the nodes or between them.
    between = np.max(np.abs(np.diff(curves)), axis=1) + 1e-3
    for scale, values in zip((0.0, 0.01, 1.0), found, strict=False):
        assert np.all(values <= scale * (curves.max(axis=1) + between) + 1e-3)
        assert np.all(values >= scale * (curves.min(axis=1) - between) - 1e-3)
    # The rules agree where one takes over from the other; in float32, where inference never is, roughly.
    floor = 2 if x64 else 5
    np.testing.assert_allclose(found[:3, :, floor], found[:3, :, floor + 1], atol=1e-4 if x64 else 0.2)


@pytest.mark.parametrize(
    ("population", "phi"),
    [
        (TruncatedNormal(), {"mean": 1.0, "sd": 0.8}),
        (TruncatedNormal(low=1.0, high=1.5), {"mean": 0.95, "sd": 0.05}),  # cut off where it is steep
        (Gamma(), {"mean": 1.0, "sd": 0.5}),
        (Gamma(), {"mean": 1.0, "sd": 1e-3}),
        (
            Mixture((LogNormal(), LogNormal())),
            {"weight_1": 0.4, "log_mean_0": -1.0, "log_sd_0": 0.02, "log_mean_1": 1.0, "log_sd_1": 0.5},
        ),
    ],
)
def test_any_population_can_be_integrated_over(population, phi):
    with jax.enable_x64(True):
        nodes = jnp.asarray(even_nodes(WALLS, 100))
        phi = {n: jnp.asarray(x) for n, x in phi.items() if n in population.parameters}
        found = jax.jit(lambda phi: log_marginal(log_lik(nodes, SHARES, 100), nodes, population, phi))(phi)
        np.testing.assert_allclose(found, brute_force(population, phi, 100), atol=2e-3)


def test_people_may_be_shifted():
    with jax.enable_x64(True):
        nodes = jnp.asarray(even_nodes(WALLS, 50))
        curves = log_lik(nodes, SHARES, 50)
        shift = jnp.linspace(-0.5, 0.5, curves.shape[0])
        integrals = jax.jit(lambda phi: log_marginal(curves, nodes, LogNormal(), phi, shift))
        slopes_of = jax.jit(jax.jacobian(integrals))
        for sd in (0.05, 0.8):
            phi = {"log_mean": 0.1, "log_sd": sd}
            expected = [brute_force(LogNormal(), phi, 50, s)[i] for i, s in enumerate(np.asarray(shift))]
            np.testing.assert_allclose(integrals(phi), expected, atol=1e-4)
            slopes = slopes_of(phi)
            ahead, behind = (np.asarray(integrals(phi | {"log_mean": 0.1 + e})) for e in (1e-4, -1e-4))
            np.testing.assert_allclose(slopes["log_mean"], (ahead - behind) / 2e-4, atol=1e-4)


def test_too_few_nodes_would_be_noticed():
    """The tolerance above is not so wide that any grid would do."""
    with jax.enable_x64(True):
        nodes = jnp.linspace(WALLS.low, WALLS.high, 12)
        phi = {"log_mean": 0.0, "log_sd": 1.0}
        found = jax.jit(lambda: log_marginal(log_lik(nodes, SHARES, 1000), nodes, LogNormal(), phi))()
        assert np.max(np.abs(found - brute_force(LogNormal(), phi, 1000))) > 0.1


def test_costs_are_drawn_from_their_conditional():
    """Mean and sd of 4,000 draws of each person, within five Monte-Carlo errors; and uniform ranks."""
    with jax.enable_x64(True):
        phi = {"log_mean": 0.3, "log_sd": 0.7}
        nodes = jnp.asarray(even_nodes(WALLS, 40))
        curves = log_lik(nodes, SHARES, 40)
        draw = jax.jit(jax.vmap(lambda k: draw_log_costs(k, curves, nodes, LogNormal(), phi)))
        draws = np.asarray(draw(jax.random.split(jax.random.key(3), 4000)))
        x = np.linspace(WALLS.low, WALLS.high, 20_001)
        log_p = np.asarray(log_lik(jnp.asarray(x), SHARES, 40)) - 0.5 * ((x - 0.3) / 0.7) ** 2
        p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        mean = p @ x
        sd = np.sqrt(p @ x**2 - mean**2)
        assert np.max(np.abs(draws.mean(axis=0) - mean) / (sd / np.sqrt(4000))) < 5
        np.testing.assert_allclose(draws.std(axis=0), sd, rtol=5 / np.sqrt(2 * 4000))
        for i in range(len(mean)):
            ranks = np.interp(draws[:, i], x, np.cumsum(p[i]))
            assert np.max(np.abs(np.sort(ranks) - np.arange(4000) / 4000)) < 1.95 / np.sqrt(4000)  # KS at 0.1 %


def test_interpolation_is_exact_for_polynomials_of_the_fifth_degree():
    with jax.enable_x64(True):
        nodes = jnp.linspace(-1.0, 2.0, 33)
        at = jnp.linspace(-1.0, 2.0, 57)
        curves = jnp.stack([nodes**5 - nodes, 3 - nodes**2])
        np.testing.assert_allclose(interpolate(curves, nodes, at), jnp.stack([at**5 - at, 3 - at**2]), atol=1e-12)


@pytest.mark.slow
def test_nodes_are_close_enough_for_habits_that_costs_must_overcome():
    """Somebody who is drawn away from the better of two actions turns over a small part of the logarithm of cost."""
    game = bc.VolunteersDilemma(4)
    rng = np.random.default_rng(0)
    rows = [
        {"participant": f"p{i:02d}", "round": t, "action": str(a)}
        for i in range(30)
        for t, a in enumerate(rng.choice(game.action_labels[0], 20, p=[0.4, 0.6]))
    ]
    decisions = bc.Decisions.from_table(pd.DataFrame(rows), {"dilemma": game})
    build = lambda prior, **options: bc.build_model(
        bc.ExactPolicy(game, prior, LogNormal()), LogNormal(), decisions, method="marginal", **options
    )
    plain = build(bc.priors.Uniform()).integrated
    habitual = build(bc.priors.LogLinear(), prior_parameters=True).integrated
    assert len(habitual.nodes) > len(plain.nodes)
    strong = {"log_sd": 0.6, "psi_tilt": -3.0}  # two sds of what is believed
    exact = along(habitual, np.linspace(*habitual.nodes[[0, -1]], 16 * (len(plain.nodes) - 1) + 1), strong)
    wrong, noticed = (along(habitual, nodes, strong) - exact for nodes in (habitual.nodes, plain.nodes))
    assert abs(wrong).max() < 0.005 * 30 and np.ptp(wrong) < 0.01  # nor does it make waves
    assert abs(noticed[-1]) > 0.5 and np.ptp(noticed) > 0.1  # nodes that do without habits are noticed


def along(integrated, nodes, at):
    """The log-likelihood of all together while the population's mean moves between two nodes."""
    total = dataclasses.replace(integrated, nodes=nodes).total
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(lambda m: total({"log_mean": m, **at})))(np.linspace(-2.2, -2.0, 12)))
