"""Action-sampling equilibrium (Osborne & Rubinstein 2003; Selten & Chmura 2008)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.policies.samples import Samples, chances_of
from bayescal.policies.sampling import LARGEST, SamplingPolicy, roundoff


class ActionSamplingPolicy(SamplingPolicy):
    """People see n of others' actions and play the best reply to that sample, ties being split equally.

    Selten & Chmura (2008) find n = 12 best in twelve 2×2 games.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.ActionSamplingPolicy(bc.get_game("selten-chmura-01"), size=12)
        >>> [f"{p:.3f}" for p in policy.probabilities()[:, 0]]  # Up, Left
        ['0.090', '0.704']
    """

    environment: Any
    size: int | None = eqx.field(static=True, default=None)
    largest: int = eqx.field(static=True, default=LARGEST)

    @staticmethod
    def _entries(actions: int, outcomes: int, samples: int) -> int:
        return actions * outcomes * samples

    @staticmethod
    def _replies(
        table: Float[Array, "actions outcomes"], samples: Samples, largest: int
    ) -> Callable[[Float[Array, " outcomes"]], Float[Array, " actions"]]:
        total = table @ samples.counts.T.astype(table.dtype)
        best = (total >= jnp.max(total, axis=0) - roundoff(table, largest)).astype(table.dtype)
        best = best / jnp.sum(best, axis=0)
        return lambda chances: best @ chances_of(samples, chances, largest)
