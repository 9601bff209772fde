"""Payoff-sampling equilibrium (Osborne & Rubinstein 1998; Selten & Chmura 2008)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal.policies.samples import Samples, chances_of
from bayescal.policies.sampling import LARGEST, SamplingPolicy, roundoff


class PayoffSamplingPolicy(SamplingPolicy):
    """People try each action n times and choose the one that paid most in all, ties being split equally.

    Each action has a sample of its own, so that luck plays a larger part than in action-sampling. Selten & Chmura
    (2008) find n = 6 best in twelve 2×2 games.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.PayoffSamplingPolicy(bc.get_game("selten-chmura-01"), size=6)
        >>> [f"{p:.3f}" for p in policy.probabilities()[:, 0]]  # Up, Left
        ['0.071', '0.643']
    """

    environment: Any
    size: int | None = eqx.field(static=True, default=None)
    largest: int = eqx.field(static=True, default=LARGEST)

    @staticmethod
    def _entries(actions: int, outcomes: int, samples: int) -> int:
        return actions * max(actions, outcomes) * samples

    @staticmethod
    def _replies(
        table: Float[Array, "actions outcomes"], samples: Samples, largest: int
    ) -> Callable[[Float[Array, " outcomes"]], Float[Array, " actions"]]:
        total, equal = table @ samples.counts.T.astype(table.dtype), roundoff(table, largest)
        order = jnp.argsort(total, axis=1)
        in_order = jnp.take_along_axis(total, order, axis=1)
        # How many samples of another action (rows) pay less than a sample of one's own, and how many no more.
        count = jax.vmap(lambda row, x: jnp.searchsorted(row, x.ravel()).reshape(x.shape), in_axes=(0, None))
        less, no_more = count(in_order, total - equal), count(in_order, total + equal)
        itself = jnp.eye(len(table), dtype=bool)[:, :, None]
        # A tie with k others is won with probability 1 / (k + 1), the integral of z^k from 0 to 1.
        nodes, weights = np.polynomial.legendre.leggauss(len(table) // 2 + 1)
        halves = list(zip((nodes + 1) / 2, weights / 2, strict=True))

        def reply(chances: Float[Array, " outcomes"]) -> Float[Array, " actions"]:
            p = chances_of(samples, chances, largest)
            up_to = jnp.pad(jnp.cumsum(p[order], axis=1), ((0, 0), (1, 0)))
            below, tied = (jax.vmap(lambda row, at: row[at])(up_to, at) for at in (less, no_more))
            best = lambda z: jnp.prod(jnp.where(itself, 1.0, below + z * (tied - below)), axis=0) @ p
            return jnp.sum(jnp.stack([w * best(z) for z, w in halves]), axis=0)

        return reply
