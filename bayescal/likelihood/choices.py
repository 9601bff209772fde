"""The likelihood of counted choices on a grid, as a NumPyro distribution."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int
from numpyro import distributions as dist
from numpyro.distributions import constraints

from bayescal.errors import InputError


class Choices(dist.Distribution):
    """How often each action was chosen, out of `totals` decisions with these log-probabilities.

    A multinomial whose grid may be padded: an absent action has log-probability -inf and count 0, and adds
    neither likelihood nor a NaN to the gradient.
    """

    support = constraints.integer_interval(0, np.iinfo(np.int32).max)
    pytree_data_fields = ("log_probs", "totals")

    def __init__(self, log_probs: Float[Array, "*batch actions"], totals: Int[Array, "*batch"]):
        self.log_probs = log_probs
        self.totals = totals
        super().__init__(batch_shape=log_probs.shape[:-1], event_shape=log_probs.shape[-1:])

    def log_prob(self, value: Int[Array, "*batch actions"]) -> Float[Array, "*batch"]:
        chosen = jnp.where(value > 0, value * self.log_probs, 0.0)
        ways = gammaln(self.totals + 1.0) - jnp.sum(gammaln(value + 1.0), axis=-1)
        return jnp.sum(chosen, axis=-1) + ways

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Int[Array, "..."]:
        shape = sample_shape + self.batch_shape
        probs = jnp.broadcast_to(jnp.exp(self.log_probs), shape + self.event_shape)
        totals = jnp.broadcast_to(self.totals, shape).astype(probs.dtype)
        return jax.random.multinomial(key, totals, probs).astype(jnp.int32)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """`sample`, in NumPy: compiling JAX's multinomial takes longer than all the draws of a fit."""
        return _draw(rng, np.exp(np.asarray(self.log_probs)), np.asarray(self.totals))


def observe_counts(log_p: Float[Array, "cells actions"], counts: Any) -> None:
    """The NumPyro site of counted choices."""
    counts = counts.astype(np.int32)  # added up here: XLA takes seconds over millions of constants
    totals = jnp.asarray(counts.sum(axis=1))
    with numpyro.plate("cell", len(counts)):
        numpyro.sample("choices", Choices(log_p, totals), obs=jnp.asarray(counts))


def lapsed(log_p: Array, lapse: Any, size: Any) -> Array:
    """With probability `lapse` any action, all alike."""
    if lapse is None:
        return log_p
    absent = log_p == -jnp.inf
    mixed = jnp.logaddexp(jnp.log1p(-lapse) + jnp.where(absent, 0.0, log_p), jnp.log(lapse) - jnp.log(size))
    return jnp.where(absent, -jnp.inf, mixed)


def finite(log_p: Array) -> Array:
    """Absent actions are never chosen, and 0 · inf is not a number."""
    return jnp.where(log_p == -jnp.inf, 0.0, log_p)


def refuse_impossible(source: str, offenders: Sequence[str]) -> None:
    """No action that was chosen may be impossible under the prior: its likelihood would be zero at any cost."""
    if offenders:
        more = f" and {len(offenders) - 5} more" if len(offenders) > 5 else ""
        raise InputError(
            f"{source}: the prior gives probability zero to what people did: {'; '.join(offenders[:5])}{more}. Give "
            "those actions a positive prior probability."
        )


def _draw(rng: np.random.Generator, probs: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Multinomial counts; none where the equilibrium was not solved."""
    solved = np.isfinite(probs).all(axis=-1, keepdims=True)
    probs = np.where(solved, probs, 1.0).astype(float)
    probs = probs / probs.sum(axis=-1, keepdims=True)
    counts = rng.multinomial(np.broadcast_to(totals, probs.shape[:-1]), probs)
    return np.where(solved, counts, 0)
