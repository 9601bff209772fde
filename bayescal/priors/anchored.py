"""Anchoring: people stay near what happened last."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.domain import POSITIVE, Interval
from bayescal.priors.base import Prior


class Anchored(Prior):
    """q(a) ∝ exp(-pull · |a - anchor| / width of the grid); psi = {"anchor", "pull"}.

    `anchor` is where people were (the previous outcome), as a fraction of the way from the lowest to the highest
    action; `pull` says how many nats the far end of the grid is away. The corner is rounded over a hundredth of
    the grid, so that likelihoods are smooth in the anchor.
    """

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"anchor": Interval(0.0, 1.0), "pull": POSITIVE}

    @property
    def defaults(self) -> dict[str, float]:
        return {"anchor": 0.5, "pull": 1.0}

    def log_prob(
        self,
        observation: Any,
        psi: Mapping[str, Any],
        *,
        role: int,
        action_values: Float[Array, " actions"],
    ) -> Float[Array, " actions"]:
        where = (action_values - action_values[0]) / (action_values[-1] - action_values[0])
        distance = jnp.sqrt((where - psi["anchor"]) ** 2 + 1e-4)
        return jax.nn.log_softmax(-psi["pull"] * distance)
