"""A rough location of a posterior: its mode, and normal draws with the curvature there."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Float

from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import Sites, compile_prior

_SLOPE = 1e-4  # step of the finite differences of the gradient
_WIDEST = 3.0  # unconstrained units: the largest sd in any direction


def locate(
    model: Callable[[], Any], draws: int, seed: int, *, prior: Sites | None = None
) -> dict[str, Float[np.ndarray, "draws ..."]]:
    """Approximate posterior draws of every latent site. Call it in float64.

    A normal approximation on the unconstrained scale. In directions that the data and the hyperpriors leave flat its
    standard deviation is cut off at three units.

    Args:
        prior: prior draws, if there are some already.
    """
    density = Density.of(model)
    rng = np.random.default_rng(seed)
    prior = compile_prior(model, 200)(rng) if prior is None else prior
    start = density.flatten(density.unconstrain({n: np.median(prior[n][0], axis=0) for n in density.names}))
    slope = jax.jit(jax.value_and_grad(lambda z: density.potential(density.unflatten(z))))

    def objective(z: Float[np.ndarray, " size"]) -> tuple[float, Float[np.ndarray, " size"]]:
        value, gradient = slope(jnp.asarray(z))
        if not np.isfinite(float(value)):
            return 1e10, np.zeros(len(z))
        return float(value), np.asarray(gradient)

    mode = scipy.optimize.minimize(
        objective, np.asarray(start), jac=True, method="L-BFGS-B", bounds=[(-30, 30)] * len(start)
    ).x
    step = _SLOPE * np.eye(len(start))
    curvature = np.stack([(objective(mode + s)[1] - objective(mode - s)[1]) / (2 * _SLOPE) for s in step])
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    sd = 1 / np.sqrt(np.maximum(values, _WIDEST**-2))
    z = mode + (rng.standard_normal((draws, len(start))) * sd) @ vectors.T
    raw = jax.vmap(density.unflatten)(jnp.asarray(z))
    return {n: np.asarray(x) for n, x in density.constrain(raw).items()}
