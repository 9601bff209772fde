"""Everybody has the same cost."""

import jax.numpy as jnp
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal._types import AnyArray, Costs, Key
from bayescal.domain import POSITIVE, Interval
from bayescal.populations.base import Nodes, Phi, Population, default_cost


class Homogeneous(Population):
    """phi = {"cost"}: a point mass, which has no density.

    Example:
        >>> import bayescal as bc
        >>> costs, weights = bc.populations.Homogeneous().quadrature({"cost": 2.0})
        >>> costs.tolist(), weights.tolist()
        ([2.0], [1.0])
    """

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"cost": POSITIVE}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"cost": default_cost(payoff_scale)}

    def log_density(self, cost: Costs, phi: Phi) -> Float[AnyArray, "..."]:
        return jnp.where(cost == phi["cost"], jnp.inf, -jnp.inf)

    def sample(self, key: Key, phi: Phi, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        return jnp.full(shape, phi["cost"])

    def quadrature(self, phi: Phi) -> tuple[Nodes, Nodes]:
        return jnp.atleast_1d(jnp.asarray(phi["cost"], jnp.result_type(float))), jnp.ones(1)
