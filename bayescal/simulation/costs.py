"""Drawing people's costs, inside what a learned policy answers for."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.domain import Interval
from bayescal.policies.base import Policy
from bayescal.populations.base import Population

_TRIES = 64
WALLED_OUT = (
    "most of this population lies outside the costs that the policy answers for: choose parameters inside, or a "
    "policy trained on a larger box."
)


def box_of_costs(policy: Policy) -> Interval | None:
    """The costs that a learned policy answers for; None for a policy that answers for all."""
    return getattr(policy, "cost_interval", None)


def draw_costs(
    population: Population, key: PRNGKeyArray, phi: Any, shape: tuple[int, ...], box: Interval | None
) -> Float[Array, "..."]:
    """Costs of the part of the population that is inside the box: draws outside are drawn again, never moved to a
    wall, where there would be a crowd that the population does not have. NaN where none of many tries was inside."""
    if box is None:
        return population.sample(key, phi, shape)
    draws = population.sample(key, phi, (_TRIES, *shape))
    inside = (draws >= box.low) & (draws <= box.high)
    first = jnp.take_along_axis(draws, jnp.argmax(inside, axis=0)[None], axis=0)[0]
    return jnp.where(jnp.any(inside, axis=0), first, jnp.nan)
