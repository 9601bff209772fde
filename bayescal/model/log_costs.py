"""Distributions of log costs between two bounds."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpyro import distributions as dist
from numpyro.distributions import constraints

from bayescal._types import AnyArray, Key, Scalar
from bayescal.domain import Interval
from bayescal.likelihood.stencil import ends
from bayescal.populations.base import Phi, Population, moments
from bayescal.populations.mixture import Mixture

_NODES = 400
_REACH = 12  # standard deviations of the population that the nodes cover


class _Rule(NamedTuple):
    """Nodes at which a population is integrated, person by person."""

    nodes: Float[Array, "people nodes"]  # log costs
    log_weights: Float[Array, "people nodes"]  # log-probabilities; they do not add up to one
    steps: Float[Array, "people nodes"]  # distance to the next node


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
        mass = jax.nn.logsumexp(_rule(self.population, self.phi, self.shift, self.bounds).log_weights, axis=-1)
        return jnp.asarray(self.population.log_density(jnp.exp(base), self.phi) + base - mass)

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Float[Array, "*draws people"]:
        nodes, log_weights, steps = _rule(self.population, self.phi, self.shift, self.bounds)
        pick, within = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        index = jax.random.categorical(pick, log_weights, shape=shape)
        people = jnp.arange(self.batch_shape[0])
        x = nodes[people, index] + steps[people, index] * jax.random.uniform(within, shape, minval=-0.5, maxval=0.5)
        return jnp.clip(x, self.bounds.low, self.bounds.high)


def _rule(population: Population, phi: Phi, shift: Float[Array, " people"], bounds: Interval) -> _Rule:
    """Even nodes where the population is: between the bounds, and no further than `_REACH` standard deviations from its
    mean, so that the nodes are close enough for a narrow one. Each class of a mixture has its own."""
    if isinstance(population, Mixture):
        rules = []
        for log_share, part, own in population.parts(phi):
            rule = _rule(part, own, shift, bounds)
            rules.append(rule._replace(log_weights=rule.log_weights + log_share))
        return _Rule(*(jnp.concatenate(x, axis=-1) for x in zip(*rules, strict=True)))
    mean, sd = jax.lax.stop_gradient(moments(population, phi))
    centre = jnp.clip(mean + jax.lax.stop_gradient(shift), bounds.low, bounds.high)
    low, high = jnp.maximum(centre - _REACH * sd, bounds.low), jnp.minimum(centre + _REACH * sd, bounds.high)
    nodes = jnp.linspace(low, high, _NODES, axis=-1)
    steps = jnp.broadcast_to((high - low)[:, None] / (_NODES - 1), nodes.shape)
    base = nodes - shift[:, None]
    density = jnp.asarray(population.log_density(jnp.exp(base), phi) + base)
    return _Rule(nodes, density + jnp.log(steps * ends(_NODES)), steps)


def inside_bounds(offset: Any, mean: Any, sd: Any, bounds: Interval) -> Float[Array, "..."]:
    """A normal number truncated to an interval, from a standard normal one."""
    cdf = jax.scipy.stats.norm.cdf
    low, high = cdf((bounds.low - mean) / sd), cdf((bounds.high - mean) / sd)
    share = jnp.clip(low + (high - low) * cdf(offset), 1e-12, 1 - 1e-12)
    return jnp.clip(mean + sd * jax.scipy.stats.norm.ppf(share), bounds.low, bounds.high)
