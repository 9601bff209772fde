"""Fitting a model many times, to other data or with other weights, in one compiled program."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.posterior.nuts import over_chains

Progress = Callable[[int, int], None]  # (done, in all)

_STARTS = 20


class Many:
    """`one` of each of many things: a few at a time on each of as many devices as there are.

    Args:
        one: takes a key, or (key, row).
        total: how many things.
        at_once: how many on each device between two reports of progress.
    """

    def __init__(self, one: Callable[[Any], Any], total: int, at_once: int):
        devices = min(jax.local_device_count(), total)
        self.total, self.size = total, devices * min(at_once, -(-total // devices))
        self._run = over_chains(self.size)(one)

    def compile(self, given: Any) -> None:
        """Now, and not when it is called; for `size` things like these."""
        self._run = self._run.lower(given).compile()

    def __call__(self, keys: Callable[[int], Any], rows: Any = None, progress: Progress | None = None) -> Any:
        """What came of each.

        Args:
            keys: draws so many keys.
            rows: of an array, what differs between things beside the keys.
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


def highest_of_draws(draw: Callable[[Any], Any], height: Callable[[Any], Any], key: Any) -> Any:
    """Where a chain begins: one that begins anywhere may stay on a lesser hill."""
    return highest(height, jax.vmap(draw)(jax.random.split(key, _STARTS)))


def highest(height: Callable[[Any], Any], values: Any) -> Any:
    """Of these values that of the greatest height, among those that have one."""
    heights = jax.lax.map(height, values)
    best = jnp.argmax(jnp.where(jnp.isfinite(heights), heights, -jnp.inf))
    return jax.tree.map(lambda x: x[best], values)


def walk(kernel: Any, state: Any, warmup: int, draws: int) -> tuple[Any, Any]:
    """(draws, whether each diverged) of a NumPyro kernel that has been initialised, from a state on."""

    def step(state, _):
        state = kernel.sample(state, (), {})
        return state, (state.z, state.diverging)

    _, found = jax.lax.scan(step, state, None, length=warmup + draws)
    return jax.tree.map(lambda x: x[warmup:], found)
