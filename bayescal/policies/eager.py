"""Eager solving in float64, whatever JAX's default precision."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.typing import DTypeLike

from bayescal.precision import double_precision


def traced(*values: object) -> bool:
    """Whether a transformation of JAX is at work: one of the values is traced, or all new arrays are (inside `jit`)."""
    return any(isinstance(x, Tracer) for x in jax.tree.leaves((values, jnp.zeros(()))))


def in_double_precision[**Given, Answer](solve: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """An eager call computes in float64, and answers in JAX's default precision.

    A call inside `jit`, `vmap`, `grad` or another transformation computes in the precision of that trace: float32
    unless x64 is on. Wrap the transformed function in `bayescal.precision.double_precision()` to have float64 there.
    """

    @functools.wraps(solve)
    def call(*args: Given.args, **options: Given.kwargs) -> Answer:
        if jax.config.jax_enable_x64 or traced(args, options):
            return solve(*args, **options)
        with double_precision():
            args = _cast(args, jnp.float32, jnp.float64)
            options = _cast(options, jnp.float32, jnp.float64)
            return _cast(solve(*args, **options), jnp.float64, jnp.float32)

    return call


def _cast[Tree](tree: Tree, old: DTypeLike, new: DTypeLike) -> Tree:
    change = lambda x: x.astype(new) if isinstance(x, jax.Array) and x.dtype == old else x
    return jax.tree.map(change, tree)
