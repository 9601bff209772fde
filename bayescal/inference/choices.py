"""The likelihood of counted choices on a grid, as a NumPyro distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int
from numpyro.distributions import constraints


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


class TypedChoices(dist.Distribution):
    """Counts of people whose cost is private: one type is drawn per person, then all of that person's choices.

    log p(counts) = log sum_k w_k prod_a pi_k(a)^counts(a), up to the number of orders.
    """

    support = constraints.integer_interval(0, np.iinfo(np.int32).max)
    pytree_data_fields = ("log_probs", "log_weights", "totals")

    def __init__(
        self,
        log_probs: Float[Array, "*batch types actions"],
        log_weights: Float[Array, "*batch types"],
        totals: Int[Array, "*batch"],
    ):
        self.log_probs = log_probs
        self.log_weights = log_weights
        self.totals = totals
        super().__init__(batch_shape=log_probs.shape[:-2], event_shape=log_probs.shape[-1:])

    def log_prob(self, value: Int[Array, "*batch actions"]) -> Float[Array, "*batch"]:
        value = value[..., None, :]
        by_type = jnp.sum(jnp.where(value > 0, value * self.log_probs, 0.0), axis=-1)
        ways = gammaln(self.totals + 1.0) - jnp.sum(gammaln(value[..., 0, :] + 1.0), axis=-1)
        return jax.nn.logsumexp(by_type + self.log_weights, axis=-1) + ways

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Int[Array, "..."]:
        which, what = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        types = jax.random.categorical(which, self.log_weights, shape=shape)
        log_probs = jnp.broadcast_to(self.log_probs, (*shape, *self.log_probs.shape[-2:]))
        own = jnp.take_along_axis(log_probs, types[..., None, None], axis=-2)[..., 0, :]
        return Choices(own, jnp.broadcast_to(self.totals, shape)).sample(what)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """`sample`, in NumPy."""
        weights = np.exp(np.asarray(self.log_weights))
        edges = np.cumsum(weights / weights.sum(axis=-1, keepdims=True), axis=-1)
        log_probs = np.asarray(self.log_probs)
        u = rng.random((*log_probs.shape[:-2], 1))
        types = np.sum(
            u > edges.reshape(edges.shape[:-1] + (1,) * (log_probs.ndim - 1 - edges.ndim) + edges.shape[-1:]),
            axis=-1,
        )
        types = np.minimum(types, log_probs.shape[-2] - 1)
        own = np.take_along_axis(log_probs, types[..., None, None], axis=-2)[..., 0, :]
        return _draw(rng, np.exp(own), np.asarray(self.totals))


def _draw(rng: np.random.Generator, probs: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Multinomial counts; none where the equilibrium was not solved."""
    solved = np.isfinite(probs).all(axis=-1, keepdims=True)
    probs = np.where(solved, probs, 1.0).astype(float)
    probs = probs / probs.sum(axis=-1, keepdims=True)
    counts = rng.multinomial(np.broadcast_to(totals, probs.shape[:-1]), probs)
    return np.where(solved, counts, 0)
