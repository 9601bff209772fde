"""Drawing people's costs, inside what a learned policy answers for."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.domain import Interval
from bayescal.policies.base import Policy
from bayescal.populations.base import Population

_TRIES = 10_000
WALLED_OUT = (
    "next to nobody in this population has a cost that the policy answers for: choose parameters inside, or a policy "
    "trained on a larger box."
)


def box_of_costs(policy: Policy) -> Interval | None:
    """The costs that a learned policy answers for; None for a policy that answers for all."""
    return getattr(policy, "cost_interval", None)


def draw_cost(population: Population, key: PRNGKeyArray, phi: Any, box: Interval | None) -> Float[Array, ""]:
    """One person's cost, from the part of the population that is inside the box: a draw outside is drawn again, not
    moved to a wall, where there would be a crowd that the population does not have. NaN if thousands were outside."""
    if box is None:
        return population.sample(key, phi)
    inside = lambda cost: (cost >= box.low) & (cost <= box.high)
    draw = lambda t: population.sample(jax.random.fold_in(key, t), phi)
    again = lambda carry: ~inside(carry[1]) & (carry[0] < _TRIES)
    _, cost = jax.lax.while_loop(again, lambda carry: (carry[0] + 1, draw(carry[0] + 1)), (0, draw(0)))
    return jnp.where(inside(cost), cost, jnp.nan)
