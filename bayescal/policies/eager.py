"""Eager solving in float64, whatever JAX's default precision."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import get_opaque_trace_state
from jax.tree_util import PyTreeDef
from jax.typing import DTypeLike

from bayescal.precision import double_precision


def traced(*values: object) -> bool:
    """Whether a transformation of JAX is at work: one of the values is traced, or all new arrays are (inside `jit`)."""
    if any(isinstance(x, Tracer) for x in jax.tree.leaves(values)):
        return True
    state = get_opaque_trace_state()
    if state in _outside:
        return False
    if isinstance(jnp.zeros(()), Tracer):
        return True
    _outside[:] = [state]
    return False


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


def in_one_program[**Given, Answer](
    solve: Callable[Given, Answer], alike: Callable[[PyTreeDef], PyTreeDef]
) -> Callable[Given, Answer]:
    """`in_double_precision`, as one compiled program from the arguments to the answer.

    Step by step, a small game's masks, casts and flattened modules take twenty times as long as its solution. All
    arguments are positional: pytrees of arrays and numbers. What differs in arrays alone shares a program. A game whose
    own methods cannot be traced is solved step by step.

    Args:
        alike: from the structure of the arguments to that of arguments with the same answer.
    """

    stepwise: set[PyTreeDef] = set()  # structures of arguments that cannot be compiled

    @functools.cache
    def program() -> Callable[..., Any]:
        # A small game's steps are too short to be spread over threads.
        on_cpu = {"xla_cpu_enable_concurrency_optimized_scheduler": False}
        options = on_cpu if jax.default_backend() == "cpu" else None

        @functools.partial(jax.jit, static_argnums=(0, 1), compiler_options=options)
        def run(structure: PyTreeDef, single: bool, leaves: list[Any]) -> Answer:
            args = _cast(jax.tree.unflatten(structure, leaves), jnp.float32, jnp.float64)
            answer = solve(*args)  # ty: ignore[missing-argument]
            return _cast(answer, jnp.float64, jnp.float32) if single else answer

        return run

    @functools.wraps(solve)
    def call(*args: Given.args, **options: Given.kwargs) -> Answer:
        leaves, structure = jax.tree.flatten(args)
        if options or traced(leaves) or not all(isinstance(x, _NUMERIC) for x in leaves):
            return in_double_precision(solve)(*args, **options)
        single = not jax.config.jax_enable_x64
        # Copies: JAX keeps constants by the identity of the array, and would reuse one from a float32 trace.
        leaves = [x.copy() if isinstance(x, np.ndarray) else x for x in leaves]
        form = alike(structure)
        if form not in stepwise:
            try:
                with double_precision():
                    return program()(form, single, leaves)
            except jax.errors.JAXTypeError:  # a game of one's own, whose methods read its numbers with NumPy
                stepwise.add(form)
        return in_double_precision(solve)(*args)  # ty: ignore[missing-argument]

    return call


_NUMERIC = (np.ndarray, jax.Array, float, np.generic)
_outside: list[object] = []  # the state of JAX where nothing is traced, once it has been met: quick to compare with


def _cast[Tree](tree: Tree, old: DTypeLike, new: DTypeLike) -> Tree:
    change = lambda x: x.astype(new) if isinstance(x, jax.Array) and x.dtype == old else x
    return jax.tree.map(change, tree)
