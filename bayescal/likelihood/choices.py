"""Distributions of choices on a grid, and functions of their log-probabilities."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int
from numpyro import distributions as dist
from numpyro.distributions import constraints

from bayescal._types import AnyArray, Key, Scalar
from bayescal.errors import InputError


class Choices(dist.Distribution):
    """How often each action was chosen, out of `totals` decisions with these log-probabilities.

    A multinomial on a grid that may be padded: an absent action has log-probability -inf and count 0, and contributes
    neither to the likelihood nor NaN to the gradient.
    """

    support = constraints.integer_interval(0, np.iinfo(np.int32).max)
    pytree_data_fields = ("log_probs", "totals")

    def __init__(self, log_probs: Float[AnyArray, "*batch actions"], totals: int | Int[AnyArray, "*batch"]):
        self.log_probs = log_probs
        self.totals = totals
        super().__init__(batch_shape=log_probs.shape[:-1], event_shape=log_probs.shape[-1:])

    def log_prob(self, value: Int[AnyArray, "*batch actions"]) -> Float[Array, "*batch"]:
        chosen = jnp.where(value > 0, value * self.log_probs, 0.0)
        ways = gammaln(self.totals + 1.0) - jnp.sum(gammaln(value + 1.0), axis=-1)
        return jnp.sum(chosen, axis=-1) + ways

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Int[Array, "..."]:
        shape = sample_shape + self.batch_shape
        probs = jnp.broadcast_to(jnp.exp(self.log_probs), shape + self.event_shape)
        totals = jnp.broadcast_to(self.totals, shape).astype(probs.dtype)
        return jax.random.multinomial(key, totals, probs).astype(jnp.int32)

    def draw(self, rng: np.random.Generator) -> Int[np.ndarray, "..."]:
        """`sample` in NumPy: compiling JAX's multinomial takes longer than all draws of a fit.

        If the probabilities are NaN (an unsolved equilibrium) all counts are zero.
        """
        probs, totals = np.exp(np.asarray(self.log_probs)), np.asarray(self.totals)
        solved = np.isfinite(probs).all(axis=-1, keepdims=True)
        probs = np.where(solved, probs, 1.0).astype(float)
        probs = probs / probs.sum(axis=-1, keepdims=True)
        counts = rng.multinomial(np.broadcast_to(totals, probs.shape[:-1]), probs)
        return np.where(solved, counts, 0)


class Chosen(dist.Distribution):
    """The index of the action that was chosen, with these log-probabilities; -inf where there is no action."""

    support = constraints.integer_interval(0, np.iinfo(np.int32).max)
    pytree_data_fields = ("log_probs",)

    def __init__(self, log_probs: Float[AnyArray, "*batch actions"]):
        self.log_probs = log_probs
        super().__init__(batch_shape=log_probs.shape[:-1], event_shape=())

    def log_prob(self, value: Int[AnyArray, "*batch"]) -> Float[Array, "*batch"]:
        # A sum over a mask: the gradient of indexing is a scatter of constants, which XLA takes seconds to fold.
        chosen = jnp.asarray(value)[..., None] == np.arange(self.log_probs.shape[-1])
        return jnp.sum(jnp.where(chosen, self.log_probs, 0.0), axis=-1)

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Int[Array, "..."]:
        # One random number per decision; JAX's categorical draws one per action.
        reached = jnp.cumsum(jnp.exp(self.log_probs), axis=-1)
        shape = sample_shape + self.batch_shape
        mark = jax.random.uniform(key, (*shape, 1), reached.dtype) * reached[..., -1:]
        return jnp.sum(reached <= mark, axis=-1, dtype=jnp.int32)


def lapsed(
    log_p: Float[Array, "..."], lapse: Scalar | None, options: int | np.integer | Int[AnyArray, "..."]
) -> Float[Array, "..."]:
    """Mixture: with probability `lapse` uniform over the options, else `log_p`."""
    if lapse is None:
        return log_p
    absent = log_p == -jnp.inf
    mixed = jnp.logaddexp(jnp.log1p(-lapse) + jnp.where(absent, 0.0, log_p), jnp.log(lapse) - jnp.log(options))
    return jnp.where(absent, -jnp.inf, mixed)


def finite(log_p: Float[Array, "..."]) -> Float[Array, "..."]:
    """Absent actions get 0: their counts are 0, and 0 · inf would be NaN."""
    return jnp.where(log_p == -jnp.inf, 0.0, log_p)


def refuse_impossible(source: str, offenders: Sequence[str]) -> None:
    """Raises InputError if there are offenders: choices with prior probability zero, whose likelihood is zero."""
    if offenders:
        more = f" and {len(offenders) - 5} more" if len(offenders) > 5 else ""
        raise InputError(
            f"{source}: the habit gives probability zero to choices in the data: {'; '.join(offenders[:5])}{more}. "
            "Give those actions a positive prior probability."
        )
