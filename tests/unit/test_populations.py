"""Populations: densities, samples and quadratures agree with one another and with SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as st
from scipy.special import expit

from bayescal.errors import InputError
from bayescal.populations import Discrete, Gamma, Homogeneous, LogNormal, Mixture, TruncatedNormal


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def gamma(mean, sd):
    return st.gamma((mean / sd) ** 2, scale=sd**2 / mean)


def cut_normal(mean, sd, low, high):
    return st.truncnorm((low - mean) / sd, (high - mean) / sd, loc=mean, scale=sd)


CASES = {
    "log-normal": (LogNormal(), {"log_mean": 0.3, "log_sd": 0.7}, st.lognorm(0.7, scale=np.exp(0.3))),
    "wide log-normal": (LogNormal(), {"log_mean": -1.0, "log_sd": 1.5}, st.lognorm(1.5, scale=np.exp(-1))),
    "gamma": (Gamma(), {"mean": 2.0, "sd": 0.5}, gamma(2.0, 0.5)),
    "skewed gamma": (Gamma(), {"mean": 1.0, "sd": 1.5}, gamma(1.0, 1.5)),
    "normal": (TruncatedNormal(), {"mean": 2.0, "sd": 0.3}, cut_normal(2.0, 0.3, 1e-3, np.inf)),
    "cut normal": (TruncatedNormal(0.1, 3.0), {"mean": 0.5, "sd": 1.0}, cut_normal(0.5, 1.0, 0.1, 3.0)),
    "normal below its cut": (
        TruncatedNormal(0.1),
        {"mean": -2.0, "sd": 1.0},
        cut_normal(-2.0, 1.0, 0.1, np.inf),
    ),
}
each_case = pytest.mark.parametrize("name", CASES)


@each_case
def test_density(name):
    population, phi, reference = CASES[name]
    x = reference.ppf(np.linspace(0.02, 0.98, 9))
    np.testing.assert_allclose(population.log_density(x, phi), reference.logpdf(x), rtol=1e-9, atol=1e-9)


@each_case
def test_quadrature(name):
    """Expectations of what policies do with a cost: bounded, smooth functions of its logarithm."""
    population, phi, reference = CASES[name]
    costs, weights = population.quadrature(phi)
    np.testing.assert_allclose(jnp.sum(weights), 1, rtol=1e-12)
    assert bool(jnp.all(costs > 0))
    for f in (lambda c: expit(-1 / c), np.tanh):
        exact = reference.expect(f, epsabs=1e-11, epsrel=1e-11, limit=400)
        np.testing.assert_allclose(jnp.sum(weights * f(costs)), exact, atol=2e-5)


@each_case
def test_quadrature_is_differentiable(name):
    population, phi, _ = CASES[name]

    def mean_choice(phi):
        costs, weights = population.quadrature(phi)
        return jnp.sum(weights * jax.nn.sigmoid(-1 / costs))

    slopes = jax.grad(mean_choice)(phi)
    for parameter, value in phi.items():
        h = 1e-5
        up, down = mean_choice(phi | {parameter: value + h}), mean_choice(phi | {parameter: value - h})
        np.testing.assert_allclose(slopes[parameter], (up - down) / (2 * h), rtol=2e-3, atol=1e-6)


@each_case
def test_samples(name):
    population, phi, reference = CASES[name]
    draws = np.asarray(population.sample(jax.random.key(1), phi, (5000,)))
    # One fixed key: with a true null this p-value is a single uniform number, and it is not tiny.
    assert st.kstest(draws, reference.cdf).pvalue > 1e-3
    # The checker sees a population that is off by a tenth of its spread.
    assert st.kstest(draws + 0.1 * reference.std(), reference.cdf).pvalue < 1e-3


def test_mixture():
    mixture = Mixture((LogNormal(), Gamma()))
    phi = {"weight_1": 0.4, "log_mean_0": -1.0, "log_sd_0": 0.3, "mean_1": 3.0, "sd_1": 0.5}
    assert set(mixture.parameters) == set(phi)
    share = 1 / (1 + np.exp(-0.4))
    x = np.array([0.3, 1.0, 3.0])
    parts = (1 - share) * st.lognorm(0.3, scale=np.exp(-1)).pdf(x) + share * gamma(3.0, 0.5).pdf(x)
    np.testing.assert_allclose(np.exp(mixture.log_density(x, phi)), parts, rtol=1e-9)
    costs, weights = mixture.quadrature(phi)
    mean = (1 - share) * np.exp(-1 + 0.045) + share * 3
    np.testing.assert_allclose(jnp.sum(costs * weights), mean, rtol=1e-5)
    draws = mixture.sample(jax.random.key(0), phi, (4000,))
    assert abs(float(draws.mean()) - mean) < 4 * float(draws.std()) / np.sqrt(4000)


def test_points():
    costs, weights = Homogeneous().quadrature({"cost": 0.7})
    assert costs.tolist() == [0.7] and weights.tolist() == [1.0]
    draws = Discrete((0.5, 2.0), (0.25, 0.75)).sample(jax.random.key(0), {}, (2000,))
    assert abs(float(jnp.mean(draws == 2.0)) - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)


@pytest.mark.parametrize(("costs", "shares"), [((1.0,), (0.5,)), ((0.0, 1.0), (0.5, 0.5)), ((1.0, 2.0), (1.0,))])
def test_bad_types(costs, shares):
    with pytest.raises(InputError, match="Types"):
        Discrete(costs, shares)
