"""Compiling in other threads: XLA releases Python's lock, so that two programs compile while a third is traced."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescal._types import Keys

_QUICK = {"xla_backend_optimization_level": 0}
_HEAVY = 3e7  # operations, from which a program is worth optimising even if it runs only a few times
_SLOW = 10  # operations that an exponential or a logarithm counts for


class Aside:
    """A program that is being compiled. Calling it waits for the compiler, then runs it.

    Args:
        jitted, shapes: what to compile, and for which arguments.
        brief: it runs only a few times: unless one run is long, skip optimisations that are slow to compile.
        rounds: iterations of its loop, of which XLA counts one.
    """

    def __init__(self, jitted: Any, *shapes: Any, brief: bool = False, rounds: int = 1):
        started = perf_counter()
        lowered = jitted.lower(*shapes)
        self._tracing = perf_counter() - started
        quick = brief and rounds * _operations(lowered) < _HEAVY
        self._compiled = _pool().submit(_timed, partial(lowered.compile, _QUICK) if quick else lowered.compile)

    @property
    def seconds(self) -> float:
        """How long tracing and compiling took (perhaps while something else was running)."""
        return self._tracing + self._compiled.result()[1]

    def __call__(self, *args: Any) -> Any:
        return self._compiled.result()[0](*args)


def random_keys(rng: np.random.Generator, n: int) -> Keys:
    """JAX keys from NumPy's generator: `jax.random.split` is compiled anew, in half a second, for every n."""
    return jax.random.wrap_key_data(jnp.asarray(rng.integers(0, 2**32, (n, 2), dtype=np.uint32)))


def _operations(lowered: Any) -> float:
    cost = lowered.cost_analysis() or {}
    return cost.get("flops", 0.0) + _SLOW * cost.get("transcendentals", 0.0)


def _timed(f: Callable[[], Any]) -> tuple[Any, float]:
    started = perf_counter()
    return f(), perf_counter() - started


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="compile")
