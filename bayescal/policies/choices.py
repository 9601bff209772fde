"""How people choose in the situations of a finite game over time, and what a situation is worth to them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import AnyArray
from bayescal.policies.audit import Concept
from bayescal.policies.base import ABSENT

ByAction = Float[Array, "players types situations actions"]
BySituation = Float[Array, "players types situations"]


class Play(NamedTuple):
    """How people choose: the habit, precisions relative to the largest one, the shares of the types."""

    log_q: Float[Array, "players situations actions"]
    precision: Float[Array, "players types"]
    weights: Float[Array, " types"]
    concept: Concept


def choices(
    v: ByAction, log_q: Float[Array, "players situations actions"], precision: Float[Array, "players types"]
) -> ByAction:
    """Log-probabilities by type; ABSENT where there is no action."""
    absent = log_q[:, None] <= ABSENT / 2
    best = jax.lax.stop_gradient(jnp.max(jnp.where(absent, -jnp.inf, v), axis=-1, keepdims=True))
    logits = log_q[:, None] + precision[:, :, None, None] * (v - jnp.where(jnp.isfinite(best), best, 0.0))
    return jnp.where(absent, ABSENT, jax.nn.log_softmax(logits, axis=-1))


def inclusive(v: ByAction, log_choices: ByAction, play: Play) -> BySituation:
    """The value of a situation in units of v: the expectation, for "trajectory" minus the cost of information."""
    p = jnp.exp(log_choices)
    expected = jnp.sum(p * v, axis=-1)
    if play.concept == "agent":
        return expected
    r = play.precision[:, :, None]
    log_z = jax.nn.logsumexp(play.log_q[:, None] + r[..., None] * v, axis=-1)
    return expected - (r * expected - log_z) / r


def tie_break(
    log_q: Float[Array, "players situations actions"], cells: tuple[np.ndarray, ...], sense: Float[AnyArray, ""]
) -> Float[Array, " d"]:
    """At a fork, the first arm is the one on which the first player's first situation is worth more.

    Args:
        cells: (player, type, situation, action) of each unknown.
        sense: 1 for the first arm, -1 for the other.
    """
    player, kind, situation, action = cells
    first = (player == 0) & (kind == 0) & (situation == 0)
    return jnp.where(first, jnp.asarray(sense, log_q.dtype) * jnp.exp(log_q)[player, situation, action], 0.0)
