"""The density of a NumPyro model on the unconstrained scale, against NumPyro's own and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import log_density
from scipy import stats

from bayescal.evaluation.batches import evenly, systematic
from bayescal.evaluation.density import Density

Y = np.array([0.3, -1.2, 2.0])


def model():
    sd = numpyro.sample("sd", dist.HalfNormal(2.0))
    share = numpyro.sample("share", dist.Dirichlet(jnp.ones(3)))
    with numpyro.plate("unit", 3):
        mean = numpyro.sample("mean", dist.Uniform(-1.0, 4.0))
        numpyro.sample("y", dist.Normal(mean, sd), obs=jnp.asarray(Y))
    numpyro.factor("bonus", share[0])
    numpyro.deterministic("twice", 2 * sd)


VALUES = {"sd": 1.5, "share": np.array([0.2, 0.5, 0.3]), "mean": np.array([0.1, 2.0, 3.0])}


@pytest.fixture(scope="module")
def density():
    with jax.enable_x64(True):
        return Density.of(model)


def test_both_scales_and_the_flat_vector(density):
    with jax.enable_x64(True):
        raw = density.unconstrain({**VALUES, "twice": 3.0})
        assert density.names == ("sd", "share", "mean") and density.size == 1 + 2 + 3
        flat = density.flatten(raw)
        again = density.constrain(density.unflatten(flat))
        for n, x in VALUES.items():
            np.testing.assert_allclose(again[n], x, rtol=1e-12)
        assert flat.shape == (6,)
        many = density.constrain({n: jnp.stack([x, x]) for n, x in raw.items()})
        np.testing.assert_allclose(many["share"][1], VALUES["share"], rtol=1e-12)


def test_parts_are_closed_forms_and_sum_to_the_density(density):
    with jax.enable_x64(True):
        raw = density.unconstrain(VALUES)
        parts = jax.jit(density.parts)(raw)
        np.testing.assert_allclose(parts.likelihood["y"], stats.norm.logpdf(Y, VALUES["mean"], 1.5), rtol=1e-12)
        # sd = exp(raw), so that the log Jacobian is log sd
        np.testing.assert_allclose(parts.prior["sd"], stats.halfnorm.logpdf(1.5, scale=2) + np.log(1.5), rtol=1e-12)
        u = (VALUES["mean"] + 1) / 5  # mean = -1 + 5 sigmoid(raw)
        np.testing.assert_allclose(parts.prior["mean"], np.sum(-np.log(5) + np.log(5 * u * (1 - u))), rtol=1e-12)
        np.testing.assert_allclose(parts.factors, 0.2, rtol=1e-12)
        np.testing.assert_allclose(parts.total, jax.jit(density.log_prob)(raw), rtol=1e-12)
        np.testing.assert_allclose(density.potential(raw), -parts.total, rtol=1e-12)
        np.testing.assert_allclose(density.log_likelihood(raw), parts.likelihood["y"].sum() + 0.2, rtol=1e-12)
        jacobian = sum(density.transforms[n].log_abs_det_jacobian(raw[n], x).sum() for n, x in VALUES.items())
        plain = jax.jit(lambda v: log_density(model, (), {}, v)[0])(VALUES)
        np.testing.assert_allclose(parts.total - jacobian, plain, rtol=1e-12)


def test_the_gradient_is_the_slope(density):
    with jax.enable_x64(True):
        at = density.flatten(density.unconstrain(VALUES))
        f = jax.jit(lambda z: density.log_prob(density.unflatten(z)))
        slope = jax.jit(jax.grad(f))(at)
        step = 1e-5 * np.eye(6)
        np.testing.assert_allclose(slope, [(f(at + s) - f(at - s)) / 2e-5 for s in step], rtol=1e-6, atol=1e-8)


def test_other_data_take_the_place_of_what_was_observed(density):
    with jax.enable_x64(True):
        raw = density.unconstrain(VALUES)
        other = density.parts(raw, {"y": jnp.zeros(3)})
        np.testing.assert_allclose(other.likelihood["y"], stats.norm.logpdf(0.0, VALUES["mean"], 1.5), rtol=1e-12)
        assert other.prior.keys() == VALUES.keys()


def test_systematic_resampling_keeps_each_as_often_as_its_weight_says():
    weights = np.array([0.05, 0.0, 0.6, 0.35])
    kept = systematic(weights, 1000, np.random.default_rng(0))
    counts = np.bincount(kept, minlength=4)
    assert np.all(np.abs(counts - 1000 * weights) <= 1) and counts[1] == 0
    assert not np.all(np.diff(kept) >= 0)  # in random order
    edge = systematic(np.array([1.0, 0.0]), 7, np.random.default_rng(1))
    assert edge.max() == 0


def test_evenly_spaced_indices():
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 10).tolist() == [0, 1, 2]
