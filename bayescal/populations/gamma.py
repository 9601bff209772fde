"""Gamma costs, by their mean and standard deviation."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, polygamma
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal._types import AnyArray, Costs, Key
from bayescal.domain import POSITIVE, Interval
from bayescal.populations.base import Nodes, Phi, Population, default_cost

_NARROWEST = 1e-8  # sd as a share of the mean, below which shapes are too large to compute with
_LARGE = 1e3


class Gamma(Population):
    """phi = {"mean", "sd"}: shape (mean/sd)² and scale sd²/mean.

    Example:
        >>> import bayescal as bc
        >>> costs, weights = bc.populations.Gamma().quadrature({"mean": 2.0, "sd": 1.0})
        >>> round(float(weights @ costs), 2)
        2.0
    """

    nodes: int = eqx.field(static=True, default=128)

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"mean": POSITIVE, "sd": POSITIVE}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"mean": default_cost(payoff_scale), "sd": default_cost(payoff_scale)}

    @property
    def words(self) -> str:
        return "gamma"

    def log_density(self, cost: Costs, phi: Phi) -> Float[AnyArray, "..."]:
        shape, scale = _shape_scale(phi)
        beyond = cost / (shape * scale) - 1  # the mean; a difference keeps its digits however narrow the density is
        return shape * (jnp.log1p(beyond) - beyond) - jnp.log(cost) + _log_norm(shape)

    def sample(self, key: Key, phi: Phi, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        k, scale = _shape_scale(phi)
        return jnp.exp(jax.random.loggamma(key, k, shape)) * scale

    def quadrature(self, phi: Phi) -> tuple[Nodes, Nodes]:
        """Equal steps in log cost, over the part that carries mass; phi moves the weights, not the nodes."""
        shape, scale = _shape_scale(phi)
        k, s = jax.lax.stop_gradient((shape, scale))
        centre, spread = digamma(k) + jnp.log(s), jnp.sqrt(polygamma(1, k))
        t = centre + spread * jnp.linspace(-16.0, 6.0, self.nodes)
        log_w = shape * (t - centre) - jnp.exp(t) / scale
        return jnp.exp(t), jax.nn.softmax(log_w)


def _log_norm(shape: Float[Array, ""]) -> Float[Array, ""]:
    """log of shape^shape exp(-shape) / Gamma(shape); by Stirling's series where these would cancel each other."""
    few = jnp.minimum(shape, _LARGE)
    stirling = 0.5 * jnp.log(shape / (2 * np.pi)) - 1 / (12 * shape)
    return jnp.where(shape < _LARGE, few * jnp.log(few) - few - gammaln(few), stirling)


def _shape_scale(phi: Phi) -> tuple[Float[Array, ""], Float[Array, ""]]:
    mean, sd = (
        jnp.asarray(phi["mean"], jnp.result_type(float)),
        jnp.asarray(phi["sd"], jnp.result_type(float)),
    )
    sd = jnp.maximum(sd, _NARROWEST * mean)
    return (mean / sd) ** 2, sd**2 / mean
