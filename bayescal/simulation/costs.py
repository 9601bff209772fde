"""Drawing people's costs within the trained domain of a learned policy."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bayescal.domain import Interval
from bayescal.policies.base import Policy
from bayescal.populations.base import Population

_TRIES = 10_000
NOBODY_INSIDE = (
    "next to nobody in this population has a cost in the policy's trained domain: choose parameters inside it, or a "
    "policy trained on a larger domain."
)


def box_of_costs(policy: Policy) -> Interval | None:
    """The costs in a learned policy's trained domain; None for a policy without bounds."""
    return getattr(policy, "cost_interval", None)


def draw_cost(population: Population, key: PRNGKeyArray, phi: PyTree, box: Interval | None) -> Float[Array, ""]:
    """One person's cost, from the part of the population inside the box. A draw outside is drawn again, not clipped:
    clipping would put probability mass on the bounds. NaN if thousands of draws were outside."""
    if box is None:
        return population.sample(key, phi)
    inside = lambda cost: (cost >= box.low) & (cost <= box.high)
    draw = lambda t: population.sample(jax.random.fold_in(key, t), phi)
    again = lambda carry: ~inside(carry[1]) & (carry[0] < _TRIES)
    _, cost = jax.lax.while_loop(again, lambda carry: (carry[0] + 1, draw(carry[0] + 1)), (0, draw(0)))
    return jnp.where(inside(cost), cost, jnp.nan)
