"""All samples of n draws: how often each outcome is drawn, and with which probability."""

from collections.abc import Iterator, Sequence
from math import comb, factorial, prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray


class Samples(NamedTuple):
    """Unordered samples of one size.

    Attributes:
        counts: how often each outcome is in the sample.
        ways: in how many orders the sample can be drawn; 0 for a row that only fills the table.
    """

    counts: Int[AnyArray, "*sizes samples outcomes"]
    ways: Float[AnyArray, "*sizes samples"]


def number_of_samples(size: int, outcomes: int) -> int:
    return comb(size + outcomes - 1, size)


def samples_of(sizes: Sequence[int], outcomes: int) -> Samples:
    """The samples of each size, padded to the number of those of the largest."""
    rows = number_of_samples(max(sizes), outcomes)
    counts, ways = np.zeros((len(sizes), rows, outcomes), int), np.zeros((len(sizes), rows))
    for k, size in enumerate(sizes):
        for row, sample in enumerate(_compositions(size, outcomes)):
            counts[k, row] = sample
            ways[k, row] = factorial(size) / prod(map(factorial, sample))
    return Samples(counts, ways)


def chances_of(samples: Samples, chances: Float[Array, " outcomes"], largest: int) -> Float[Array, " samples"]:
    """The multinomial probability of each sample of independent draws.

    Args:
        largest: no outcome is drawn more often.
    """
    times = jnp.arange(largest + 1)
    p = jnp.asarray(samples.ways)
    for outcome, chance in enumerate(chances):
        # With whole exponents the derivative at probability zero is right.
        powers = jax.lax.pow(jnp.broadcast_to(chance, times.shape), times)
        p = p * powers[samples.counts[:, outcome]]
    return p


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All tuples of that many numbers from zero which add up to the total."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
