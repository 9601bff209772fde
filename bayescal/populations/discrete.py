"""Costs that take a few known values: the types of heterogeneous QRE."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal._types import AnyArray, Costs, Key
from bayescal.domain import Interval
from bayescal.errors import InputError
from bayescal.populations.base import Nodes, Phi, Population


class Discrete(Population):
    """Cost `costs[k]` with probability `probabilities[k]`; phi = {}.

    Example:
        >>> import bayescal as bc
        >>> import jax
        >>> people = bc.populations.Discrete(costs=[0.5, 2.0], probabilities=[0.3, 0.7])
        >>> print(people.sample(jax.random.key(0), {}, (1000,)).mean().round(1))  # 0.3 * 0.5 + 0.7 * 2.0
        1.6
    """

    costs: tuple[float, ...] = eqx.field(static=True, converter=lambda x: tuple(map(float, x)))
    probabilities: tuple[float, ...] = eqx.field(static=True, converter=lambda x: tuple(map(float, x)))

    def __check_init__(self) -> None:
        problems = []
        if len(self.costs) != len(self.probabilities) or not self.costs:
            problems.append(f"{len(self.costs)} costs were given with {len(self.probabilities)} probabilities")
        if not all(np.isfinite(c) and c > 0 for c in self.costs):
            problems.append(f"the costs {list(self.costs)} are not all positive numbers")
        if not all(p >= 0 for p in self.probabilities) or abs(sum(self.probabilities) - 1) > 1e-6:
            problems.append(
                f"the probabilities {list(self.probabilities)} are not non-negative numbers that sum to one "
                f"(they sum to {sum(self.probabilities):g})"
            )
        if problems:
            raise InputError(
                f"Types: {'; '.join(problems)}. Give pairs [[cost, probability], …], "
                "for example [[0.5, 0.3], [2, 0.7]]."
            )

    @property
    def parameters(self) -> dict[str, Interval]:
        return {}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {}

    @classmethod
    def example(cls) -> "Discrete":
        return cls(costs=[0.5, 2.0], probabilities=[0.3, 0.7])

    def log_density(self, cost: Costs, phi: Phi) -> Float[AnyArray, "..."]:
        """Log-probability of the value `cost`."""
        costs, weights = self.quadrature(phi)
        return jnp.log(jnp.sum(jnp.where(jnp.asarray(cost)[..., None] == costs, weights, 0.0), axis=-1))

    def sample(self, key: Key, phi: Phi, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        costs, weights = self.quadrature(phi)
        return jax.random.choice(key, costs, shape, p=weights)

    def quadrature(self, phi: Phi) -> tuple[Nodes, Nodes]:
        weights = jnp.asarray(self.probabilities, jnp.result_type(float))
        return jnp.asarray(self.costs, weights.dtype), weights / jnp.sum(weights)
