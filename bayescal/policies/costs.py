"""The costs that the players of an exact policy have, or may have."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from bayescal._types import Costs, Parameters
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.populations.base import Population


def types_of(
    env: Environment, population: Population | None, cost: Costs | None, phi: Parameters | None
) -> tuple[Float[Array, "roles types"], Float[Array, " types"]]:
    """(possible costs of a player of each role, their probabilities).

    Args:
        population: of private costs; None where everybody knows everybody's cost.
        phi: the population's parameters, or {"cost": …} where costs are known.
    """
    dtype = jnp.result_type(float)
    if population is not None:
        if cost is not None:
            raise InputError(
                "cost was given to a policy with private costs: give phi (the population's parameters) "
                "instead, or use ExactPolicy(environment, prior) for costs that everybody knows."
            )
        nodes, weights = population.quadrature({} if phi is None else phi)
        return jnp.broadcast_to(nodes, (env.roles, nodes.shape[0])), weights
    if cost is None and phi is not None and "cost" in phi:
        cost = phi["cost"]
    if cost is None:
        raise InputError("No cost was given: pass cost=… (one number, or one per role).")
    cost = jnp.asarray(checked_cost(env, cost), dtype)
    return jnp.broadcast_to(cost, (env.roles,))[:, None], jnp.ones(1, dtype)


def checked_cost(env: Environment, cost: Costs | None) -> Any:
    """A cost as an array, if it is one number or one per role; where it is not traced, each must be positive."""
    if cost is None:
        return None
    if isinstance(cost, float) and cost > 0:
        return np.float64(cost)
    known = not isinstance(cost, Tracer)
    cost = np.asarray(cost, float) if known and not isinstance(cost, jax.Array) else cost
    if cost.ndim > 1 or (cost.ndim == 1 and cost.shape[0] not in (1, env.roles)):
        raise InputError(
            f"cost has shape {cost.shape}: give one number, or {env.roles} (one for each role of "
            f"{env.name}: {', '.join(env.role_names)})."
        )
    if known and not (np.asarray(cost) > 0).all():
        raise InputError(
            f"cost is {np.asarray(cost).tolist()}: every cost must be a positive number "
            "(it is the price, in payoff units, of a nat of information)."
        )
    return cost
