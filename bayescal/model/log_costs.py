"""Distributions of log costs between two bounds."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpyro import distributions as dist
from numpyro.distributions import constraints

from bayescal._types import AnyArray, Key, Scalar
from bayescal.domain import Interval
from bayescal.likelihood.marginal import log_weights
from bayescal.populations.base import Phi, Population

_NODES = 400


class LogCosts(dist.Distribution):
    """Log costs of people of a population, each shifted, truncated to an interval."""

    pytree_data_fields = ("phi", "shift", "bounds")
    pytree_aux_fields = ("population",)

    def __init__(
        self,
        population: Population,
        phi: Phi,
        shift: Scalar | Float[AnyArray, " people"],
        bounds: Interval,
        people: int,
    ):
        self.population, self.phi, self.bounds = population, phi, bounds
        self.shift = jnp.broadcast_to(jnp.asarray(shift, jnp.result_type(float)), (people,))
        super().__init__(batch_shape=(people,))

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        return constraints.interval(self.bounds.low, self.bounds.high)

    def log_prob(self, value: Float[AnyArray, "*draws people"]) -> Float[Array, "*draws people"]:
        base = value - self.shift
        nodes = self._nodes
        fine = nodes - self.shift[:, None]
        step = nodes[1] - nodes[0]
        mass = jax.nn.logsumexp(self.population.log_density(jnp.exp(fine), self.phi) + fine, axis=-1) + jnp.log(step)
        return jnp.asarray(self.population.log_density(jnp.exp(base), self.phi) + base - mass)

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Float[Array, "*draws people"]:
        nodes = self._nodes
        log_w = log_weights(nodes, self.population, self.phi, self.shift)
        pick, within = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        x = nodes[jax.random.categorical(pick, log_w, shape=shape)]
        step = nodes[1] - nodes[0]
        return jnp.clip(x + step * jax.random.uniform(within, shape, minval=-0.5, maxval=0.5), nodes[0], nodes[-1])

    @property
    def _nodes(self) -> Float[Array, " nodes"]:
        return jnp.linspace(self.bounds.low, self.bounds.high, _NODES)


def inside_bounds(offset: Any, mean: Any, sd: Any, bounds: Interval) -> Float[Array, "..."]:
    """A normal number truncated to an interval, from a standard normal one."""
    cdf = jax.scipy.stats.norm.cdf
    low, high = cdf((bounds.low - mean) / sd), cdf((bounds.high - mean) / sd)
    share = jnp.clip(low + (high - low) * cdf(offset), 1e-12, 1 - 1e-12)
    return jnp.clip(mean + sd * jax.scipy.stats.norm.ppf(share), bounds.low, bounds.high)
