"""Fit a model many times, to other data or with other weights, in one compiled program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from bayescal._types import AnyArray, Key, Keys
from bayescal.posterior.chains import over_chains

Progress = Callable[[int, int], None]  # (done, in all)

_STARTS = 20  # prior draws, the best of which is where a chain starts


class Many:
    """Runs a function of a key, or of (key, row), many times: a few at a time on each device.

    Args:
        one: the function.
        total: how many times.
        at_once: how many on each device between two reports of progress.
    """

    def __init__(self, one: Callable[[PyTree], PyTree], total: int, at_once: int) -> None:
        devices = min(jax.local_device_count(), total)
        self.total, self.size = total, devices * min(at_once, -(-total // devices))
        self._run: Any = over_chains(self.size)(one)

    def compile(self, given: PyTree) -> None:
        """Compile now, for `size` arguments of these shapes."""
        self._run = self._run.lower(given).compile()

    def __call__(
        self, keys: Callable[[int], Keys], rows: AnyArray | None = None, progress: Progress | None = None
    ) -> PyTree:
        """All results, along a leading axis.

        Args:
            keys: returns a number of keys.
            rows: one for each run, if the function takes (key, row).
        """
        parts = []
        for done in range(0, self.total, self.size):
            given = keys(self.size)
            if rows is not None:
                some = rows[done : done + self.size]
                some = np.concatenate([some, np.repeat(some[:1], self.size - len(some), axis=0)])
                given = given, jnp.asarray(some)
            parts.append(jax.tree.map(np.asarray, self._run(given)))
            if progress is not None:
                progress(min(done + self.size, self.total), self.total)
        return jax.tree.map(lambda *x: np.concatenate(x)[: self.total], *parts)


def highest_of_draws(draw: Callable[[Key], PyTree], height: Callable[[PyTree], Float[Array, ""]], key: Key) -> PyTree:
    """Where a chain starts: the best of a few draws. A chain that starts anywhere may stay in a lower mode."""
    return highest(height, jax.vmap(draw)(jax.random.split(key, _STARTS)))


def highest(height: Callable[[PyTree], Float[Array, ""]], values: PyTree) -> PyTree:
    """The entry of `values`, along their leading axis, whose height is the greatest finite one."""
    heights = jax.lax.map(height, values)
    best = jnp.argmax(jnp.where(jnp.isfinite(heights), heights, -jnp.inf))
    return jax.tree.map(lambda x: x[best], values)
