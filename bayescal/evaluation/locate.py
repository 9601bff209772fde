"""Where the posterior of a model is, roughly: its mode, and normal draws with the curvature there."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax.flatten_util import ravel_pytree
from numpyro.distributions import biject_to
from numpyro.infer.util import potential_energy

from bayescal.evaluation.sites import Sites, compile_prior, latent_sites

_SLOPE = 1e-4  # by which parameters are moved to see how the gradient changes


def locate(model: Callable[[], Any], draws: int, seed: int, *, prior: Sites | None = None) -> dict[str, Any]:
    """Draws of every latent site, by name: (draws, *shape). Call it in float64.

    A normal approximation on the unconstrained scale; directions that the data and the hyperpriors leave flat are given
    no more than three units of it.

    Args:
        prior: draws from the hyperpriors, where they are there already.
    """
    latent = latent_sites(model)
    transforms = {n: biject_to(s.support) for n, s in latent.items()}
    rng = np.random.default_rng(seed)
    prior = compile_prior(model, 200)(rng) if prior is None else prior
    middle = {n: transforms[n].inv(jnp.asarray(np.median(prior[n][0], axis=0))) for n in latent}
    flat, unravel = ravel_pytree(middle)
    potential = lambda z: potential_energy(model, (), {}, unravel(z))
    slope = jax.jit(jax.value_and_grad(potential))

    def objective(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = slope(jnp.asarray(z))
        if not np.isfinite(float(value)):
            return 1e10, np.zeros(len(z))
        return float(value), np.asarray(gradient)

    found = scipy.optimize.minimize(
        objective, np.asarray(flat), jac=True, method="L-BFGS-B", bounds=[(-30, 30)] * len(flat)
    )
    step = _SLOPE * np.eye(len(flat))
    curvature = np.stack([(objective(found.x + s)[1] - objective(found.x - s)[1]) / (2 * _SLOPE) for s in step])
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    sd = 1 / np.sqrt(np.maximum(values, 1 / 9))
    z = found.x + (rng.standard_normal((draws, len(flat))) * sd) @ vectors.T
    apart = jax.vmap(unravel)(jnp.asarray(z))
    return {n: np.asarray(transforms[n](apart[n])) for n in latent}
