"""Several habits, each followed with some probability."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.domain import REAL, Interval
from bayescal.priors.combined import Combined


class Mixture(Combined):
    """q = sum_k softmax(0, weight_1, …)[k] q_k; the components' own parameters are `NAME_k`."""

    @property
    def weights(self) -> dict[str, tuple[Interval, float]]:
        return {f"weight_{k}": (REAL, 0.0) for k in range(1, len(self.components))}

    def log_prob(
        self,
        observation: Any,
        psi: Mapping[str, Any],
        *,
        role: int,
        action_values: Float[Array, " actions"],
    ) -> Float[Array, " actions"]:
        rows = self.rows(observation, psi, role, action_values)
        free = [jnp.asarray(psi[name], action_values.dtype) for name in self.weights]
        log_weights = jax.nn.log_softmax(jnp.stack([jnp.zeros_like(free[0]), *free]))
        return jax.nn.logsumexp(rows + log_weights[:, None], axis=0)
