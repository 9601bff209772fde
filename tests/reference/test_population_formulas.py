"""Populations against SciPy where test_populations does not look: points, classes, shifts, and the tails of a cut."""

import jax
import numpy as np
import pytest
import scipy.stats as st

import bayescal as bc

P = bc.populations


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def cut(mean, sd, low, high=np.inf):
    return st.truncnorm((low - mean) / sd, (high - mean) / sd, loc=mean, scale=sd)


@pytest.mark.parametrize(
    ("mean", "sd", "low", "high"),
    [
        (5.0, 0.7, 0.1, 1.0),  # all of the interval in the lower tail
        (-3.0, 1.0, 0.5, 2.0),  # and in the upper one
        (0.2, 0.3, 0.1, 0.4),
        (2.0, 0.5, 1e-3, np.inf),
        (1.0, 5.0, 0.5, 30.0),
    ],
)
def test_a_normal_cut_anywhere(mean, sd, low, high):
    population, phi, reference = P.TruncatedNormal(low, high), {"mean": mean, "sd": sd}, cut(mean, sd, low, high)
    inside = reference.ppf(np.linspace(0.01, 0.99, 7))
    np.testing.assert_allclose(population.log_density(inside, phi), reference.logpdf(inside), rtol=1e-8, atol=1e-8)
    outside = np.array([low / 2, low - 1e-6, *([high + 1e-6] if np.isfinite(high) else [])])
    assert np.all(np.asarray(population.log_density(outside, phi)) == -np.inf)
    assert np.isfinite(population.log_density(np.asarray(low), phi))  # the ends belong to it
    costs, weights = (np.asarray(x) for x in population.quadrature(phi))
    assert (costs >= low).all() and (costs <= high).all()
    np.testing.assert_allclose(
        [weights @ costs, weights @ costs**2], [reference.mean(), reference.moment(2)], rtol=1e-6
    )
    draws = np.asarray(population.sample(jax.random.key(0), phi, (400,)))
    assert st.kstest(draws, reference.cdf).pvalue > 1e-3 and (draws >= low).all() and (draws <= high).all()


@pytest.mark.parametrize(("mean", "sd"), [(2.0, 0.4), (0.5, 0.8)])
def test_gamma_costs(mean, sd):
    reference = st.gamma((mean / sd) ** 2, scale=sd**2 / mean)
    population, phi = P.Gamma(), {"mean": mean, "sd": sd}
    x = reference.ppf(np.linspace(0.01, 0.99, 7))
    np.testing.assert_allclose(population.log_density(x, phi), reference.logpdf(x), rtol=1e-9, atol=1e-9)
    costs, weights = (np.asarray(x) for x in population.quadrature(phi))
    np.testing.assert_allclose([weights @ costs, weights @ (costs - mean) ** 2], [mean, sd**2], rtol=1e-5)


def test_points_have_probabilities_and_no_density():
    types = P.Discrete([0.5, 2.0, 4.0], [0.25, 0.5, 0.25])
    found = np.exp(types.log_density(np.array([0.5, 2.0, 4.0, 1.0]), {}))
    np.testing.assert_allclose(found, [0.25, 0.5, 0.25, 0.0], rtol=1e-12)
    costs, weights = types.quadrature({})
    np.testing.assert_allclose([costs, weights], [[0.5, 2.0, 4.0], [0.25, 0.5, 0.25]], rtol=1e-12)
    one = P.Homogeneous()
    assert np.asarray(one.log_density(np.array([0.7, 0.8]), {"cost": 0.7})).tolist() == [np.inf, -np.inf]
    assert np.asarray(one.sample(jax.random.key(0), {"cost": 0.7}, (2, 3))).tolist() == [[0.7] * 3] * 2


def test_log_normal_costs_move_and_spread():
    """Log costs that are moved by a normal number: means and variances add up."""
    population, phi = P.LogNormal(48), {"log_mean": 0.3, "log_sd": 0.6}
    moved = population.shifted(phi, -0.7, 0.8)
    np.testing.assert_allclose([moved["log_mean"], moved["log_sd"]], [-0.4, 1.0], rtol=1e-12)
    still = population.shifted(phi, 0.25)
    np.testing.assert_allclose([still["log_mean"], still["log_sd"]], [0.55, 0.6], rtol=1e-12)
    reference = st.lognorm(0.6, scale=np.exp(0.3))
    x = reference.ppf([0.05, 0.5, 0.9])
    np.testing.assert_allclose(population.log_density(x, phi), reference.logpdf(x), rtol=1e-10)
    costs, weights = (np.asarray(x) for x in population.quadrature(phi))
    np.testing.assert_allclose([weights @ costs, weights @ np.log(costs)], [reference.mean(), 0.3], rtol=1e-9)


def test_three_classes():
    classes = P.Mixture((P.LogNormal(24), P.TruncatedNormal(0.1, 6.0), P.LogNormal(24)))
    phi = {"weight_1": 0.4, "weight_2": -0.9, "log_mean_0": -1.0, "log_sd_0": 0.3, "mean_1": 3.0, "sd_1": 0.5,
           "log_mean_2": 1.5, "log_sd_2": 0.2}  # fmt: skip
    share = np.exp([0.0, 0.4, -0.9]) / np.exp([0.0, 0.4, -0.9]).sum()
    parts = [st.lognorm(0.3, scale=np.exp(-1)), cut(3.0, 0.5, 0.1, 6.0), st.lognorm(0.2, scale=np.exp(1.5))]
    x = np.array([0.2, 0.5, 2.0, 3.5, 5.0])
    expected = share @ [part.pdf(x) for part in parts]
    np.testing.assert_allclose(np.exp(classes.log_density(x, phi)), expected, rtol=1e-9)
    costs, weights = (np.asarray(x) for x in classes.quadrature(phi))
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(weights @ costs, share @ [part.mean() for part in parts], rtol=1e-6)
    np.testing.assert_allclose(weights @ costs**2, share @ [part.moment(2) for part in parts], rtol=1e-6)
    found = classes.parts(phi)
    np.testing.assert_allclose(np.exp([s for s, *_ in found]), share, rtol=1e-12)
    for (_, population, own), part in zip(found, parts, strict=True):
        np.testing.assert_allclose(population.log_density(x, own), part.logpdf(x), rtol=1e-9)
    draws = np.asarray(classes.sample(jax.random.key(1), phi, (500,)))
    assert st.kstest(draws, lambda c: share @ [part.cdf(c) for part in parts]).pvalue > 1e-3
    two = P.Mixture((P.LogNormal(), P.LogNormal()))
    at = {"weight_1": 0.4, "log_mean_0": -1.0, "log_sd_0": 0.3, "log_mean_1": 1.0, "log_sd_1": 0.4}
    moved = two.shifted(at, 0.5, 0.3)
    expected = at | {"log_mean_0": -0.5, "log_sd_0": np.hypot(0.3, 0.3), "log_mean_1": 1.5, "log_sd_1": 0.5}
    assert {n: float(v) for n, v in moved.items()} == pytest.approx(expected, rel=1e-12)


def test_what_is_believed_of_costs_before_the_data():
    """log cost ~ Normal(log(spread of payoffs / 10), 1.5²), and the rest by the same measure."""
    log_cost, cost = st.norm(np.log(5.0), 1.5), st.lognorm(1.5, scale=5.0)
    expected = {
        P.Homogeneous(): {"cost": cost},
        P.LogNormal(): {"log_mean": log_cost, "log_sd": st.halfnorm()},
        P.Gamma(): {"mean": cost, "sd": cost},
        P.TruncatedNormal(): {"mean": st.norm(5.0, 12.5), "sd": cost},
        P.Mixture((P.LogNormal(), P.Gamma())): {
            "weight_1": st.norm(0.0, 1.5), "log_mean_0": log_cost, "log_sd_0": st.halfnorm(),
            "mean_1": cost, "sd_1": cost,
        },
        P.Discrete([1.0], [1.0]): {},
    }  # fmt: skip
    x = np.array([0.3, 2.0, 7.0])
    for population, by_name in expected.items():
        found = population.default_hyperpriors(50.0)
        assert set(found) == set(by_name)
        for name, reference in by_name.items():
            np.testing.assert_allclose(found[name].log_prob(x), reference.logpdf(x), rtol=1e-6)
