"""Roots: Newton's method from a start point, and derivatives of a root by the implicit function theorem."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from bayescal.solvers.linear import solve_with_sign
from bayescal.solvers.path import CONVERGED, OUT_OF_STEPS, PathResult, Solve


def newton(
    linearise: Callable[[Float[Array, " d"]], tuple[Float[Array, " d"], Solve]],
    start: Float[Array, " d"],
    *,
    longest: float = 2.0,
    max_iterations: int = 200,
) -> PathResult:
    """Newton's method from a start point; no step is longer than `longest` in any coordinate."""
    dtype = start.dtype
    tol = 1e-10 if dtype == jnp.float64 else 1e-5

    def body(state):
        v, _, i = state
        f, solve = linearise(v)
        dv = solve(f[:, None])[0][:, 0]
        size = jnp.max(jnp.abs(dv), initial=0.0)
        v = v - dv * jnp.minimum(1.0, longest / jnp.maximum(size, longest))
        return v, size, i + 1

    def walking(state):
        v, size, i = state
        roundoff = 16 * jnp.finfo(dtype).eps * (1 + jnp.max(jnp.abs(v), initial=0.0))
        return (size > tol + roundoff) & (i < max_iterations)

    v, size, i = jax.lax.while_loop(walking, body, (start, jnp.asarray(jnp.inf, dtype), jnp.asarray(0, jnp.int32)))
    roundoff = 16 * jnp.finfo(dtype).eps * (1 + jnp.max(jnp.abs(v), initial=0.0))
    found = (size <= tol + roundoff) & jnp.all(jnp.isfinite(v))
    return PathResult(v, jnp.where(found, CONVERGED, OUT_OF_STEPS).astype(jnp.int32), i)


def implicit_root(
    residual: Callable[[Float[Array, " d"], PyTree], Float[Array, " d"]],
    root: Float[Array, " d"],
    theta: PyTree,
    moved: Float[Array, "m d"] | None = None,
) -> Float[Array, " d"]:
    """The same root, differentiable in theta: dv = -F_v⁻¹ F_theta dtheta, in both modes and to any order.

    Args:
        moved: the directions in which v - residual(v) varies, if they are few: one unknown for each.
    """

    def solve(f_v, y):
        if moved is None:
            return solve_with_sign(jax.jacfwd(f_v)(jnp.zeros_like(y)), y[:, None])[0][:, 0]
        # F_v = 1 - N, and N y is some `moved.T @ a`.
        coordinates = lambda rows: solve_with_sign(moved @ moved.T, moved @ rows.T)[0]
        by_direction = coordinates(moved - jax.vmap(f_v)(moved))
        a = coordinates((y - f_v(y))[None])
        return y + moved.T @ solve_with_sign(jnp.eye(len(moved), dtype=y.dtype) - by_direction, a)[0][:, 0]

    return jax.lax.custom_root(lambda v: residual(v, theta), jax.lax.stop_gradient(root), lambda f, v: v, solve)
