"""Functions of one draw, evaluated at many draws in batches of bounded memory; and which draws to use."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Key
from bayescal.evaluation.compile import random_keys

Draws = Mapping[str, AnyArray]  # by site

BATCH = 500  # most draws in a batch
AT_ONCE = 2e7  # floats in memory for one batch
_CACHED = 2e4  # floats that stay in the processor's cache: no more are computed side by side


class Batched:
    """A function of one draw, for a batch of them: as many side by side as fit in the processor's cache, and these one
    after another.

    Args:
        one: a function of any arguments.
        numbers: floats that it computes.
        most: draws in a batch.

    Attributes:
        size: draws in each batch.
        rounds: iterations of the loop.
    """

    def __init__(self, one: Callable[..., Any], numbers: float | int, most: int = BATCH):
        self._one = one
        self._together = int(np.clip(_CACHED / max(numbers, 1.0), 1, most))
        self.rounds = int(np.clip(AT_ONCE / max(numbers, 1.0), 1, most)) // self._together or 1
        self.size = self.rounds * self._together

    def __call__(self, *values: Any) -> Any:
        if self.rounds == 1:
            return jax.vmap(self._one)(*values)
        return jax.lax.map(lambda x: self._one(*x), values, batch_size=self._together)


def in_batches(run: Callable[[Draws, Key], Any], draws: Draws, batch: int, rng: np.random.Generator) -> Any:
    """`run(values, keys)` over draws of shape (chain, draw, …), `batch` of them at a time. What it returns has an entry
    for each draw, and comes back in the draws' shape."""
    chains, per_chain = next(iter(draws.values())).shape[:2]
    total = chains * per_chain
    flat = {n: np.reshape(x, (total, *x.shape[2:])) for n, x in draws.items()}
    parts = []
    for at in range(0, total, batch):
        some = {n: _fill(x[at : at + batch], batch) for n, x in flat.items()}
        parts.append(run(some, random_keys(rng, batch)))
    joined = jax.tree.map(lambda *x: np.concatenate(x)[:total], *parts)
    return jax.tree.map(lambda x: x.reshape(chains, per_chain, *x.shape[1:]), joined)


def map_in_batches(f: Callable[[Array], Any], x: Float[AnyArray, " n"], batch: int) -> Any:
    """`f` of every number, at most `batch` of them side by side. `lax.map` would hold `f` twice if `batch` does not
    divide their number: here the last number is repeated instead."""
    rounds = -(-x.shape[0] // batch)
    size = -(-x.shape[0] // rounds)
    filled = jnp.concatenate([x, jnp.broadcast_to(x[-1:], rounds * size - x.shape[0])])
    return jax.tree.map(lambda y: y[: x.shape[0]], jax.lax.map(f, filled, batch_size=size))


def numbers_of(model: Callable[[], Any]) -> float | int:
    """Floats that a model computes per draw; 1 if it does not say."""
    return getattr(model, "numbers", 1.0)


def of_every_draw(
    one: Callable[[Any, Key], Any], values: Draws, numbers: float | int, rng: np.random.Generator, most: int = BATCH
) -> Any:
    """`one(values, key)` of draws of shape (chain, draw, …), at most `most` at once; `numbers` as in `Batched`."""
    chains, draws = next(iter(values.values())).shape[:2]
    batched = Batched(one, numbers, min(most, chains * draws))
    run = jax.jit(batched)
    return in_batches(lambda *some: jax.tree.map(np.asarray, run(*some)), values, batched.size, rng)


def evenly(total: int, most: int) -> Int[np.ndarray, " some"]:
    """At most `most` evenly spaced indices of `total`."""
    return np.linspace(0, total - 1, min(total, most)).round().astype(int)


def systematic(weights: Float[np.ndarray, " n"], draws: int, rng: np.random.Generator) -> Int[np.ndarray, " draws"]:
    """Systematic resampling: indices, each as often as its weight says give or take one, in random order.

    Args:
        weights: need not sum to one.
    """
    edges = np.cumsum(weights)
    at = (np.arange(draws) + rng.random()) / draws * edges[-1]
    return rng.permutation(np.minimum(np.searchsorted(edges, at), len(weights) - 1))


def _fill(x: AnyArray, batch: int) -> np.ndarray:
    """A last, incomplete batch, padded with copies of its first row."""
    return np.concatenate([x, np.repeat(x[:1], batch - len(x), axis=0)])
