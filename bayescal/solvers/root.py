"""Roots: Newton's method from a start point, and derivatives of a root by the implicit function theorem."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.solvers.linear import solve_with_sign
from bayescal.solvers.path import CONVERGED, OUT_OF_STEPS, PathResult


def newton(
    linearise: Callable[[Float[Array, " d"]], tuple[Float[Array, " d"], Float[Array, "d d"]]],
    start: Float[Array, " d"],
    *,
    longest: float = 2.0,
    max_iterations: int = 200,
) -> PathResult:
    """Newton's method, no step longer than `longest` in any coordinate: finds the root near a start point."""
    dtype = start.dtype
    tol = 1e-10 if dtype == jnp.float64 else 1e-5

    def body(state):
        v, _, i = state
        f, jac = linearise(v)
        dv = solve_with_sign(jac, f[:, None])[0][:, 0]
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
    residual: Callable[[Float[Array, " d"], Any], Float[Array, " d"]], root: Float[Array, " d"], theta: Any
) -> Float[Array, " d"]:
    """The root again, now differentiable in theta: dv = -F_v⁻¹ F_theta dtheta, in both modes and to any order."""
    return jax.lax.custom_root(
        lambda v: residual(v, theta),
        jax.lax.stop_gradient(root),
        lambda f, v: v,
        lambda g, y: solve_with_sign(jax.jacfwd(g)(jnp.zeros_like(y)), y[:, None])[0][:, 0],
    )
