"""A habit of doing what one did before, exactly."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.domain import REAL, Interval
from bayescal.priors.base import Prior
from bayescal.priors.near import look


class Repeat(Prior):
    """q(a | o) ∝ exp(bonus) for one's previous decision, 1 elsewhere; psi = {"bonus"} in nats. Flat at first."""

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"bonus": REAL}

    @property
    def defaults(self) -> dict[str, float]:
        return {"bonus": 0.0}

    def log_prob(
        self,
        observation: Any,
        psi: Mapping[str, Any],
        *,
        role: int,
        action_values: Float[Array, " actions"],
    ) -> Float[Array, " actions"]:
        bonus = psi["bonus"] * look(observation, "began", self)
        same = jnp.abs(action_values - look(observation, "own", self)) < 1e-5 * (action_values[-1] - action_values[0])
        return jax.nn.log_softmax(jnp.where(same, bonus, 0.0).astype(action_values.dtype))
