"""Roots: Newton's method from a start point, and derivatives of a root by the implicit function theorem."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from bayescal.solvers.linear import Linear, negative_directions, solve_with_sign
from bayescal.solvers.path import CONVERGED, OUT_OF_STEPS


class Root(eqx.Module):
    """Where Newton's method ended: the point, the outcome, the number of steps, and the number of unstable directions
    (eigenvalues of F_v with negative real part) before the last step."""

    point: Float[Array, " d"]
    status: Int[Array, ""]
    iterations: Int[Array, ""]
    unstable: Int[Array, ""]


def newton(
    linearise: Callable[[Float[Array, " d"]], tuple[Float[Array, " d"], Linear]],
    start: Float[Array, " d"],
    *,
    longest: float = 2.0,
    shortest: float = 1e-10,
    max_iterations: int = 200,
    rank: int | None = None,
) -> Root:
    """Newton's method from a start point.

    Args:
        longest: no step is longer in any coordinate; `math.inf` for full steps.
        shortest: the length of step at which to stop (1e-5 in float32). The error is then of the order of its square.
        rank: the size of the core of F_v, if that is not F_v itself.
    """
    dtype = start.dtype
    tol = shortest if dtype == jnp.float64 else max(shortest, 1e-5)

    def body(state):
        v, _, i, _ = state
        f, linear = linearise(v)
        dv = linear.solve(f[:, None])[0]
        size = jnp.max(jnp.abs(dv), initial=0.0)
        return v - dv[:, 0] * jnp.minimum(1.0, longest / size), size, i + 1, linear.core

    def walking(state):
        v, size, i, _ = state
        roundoff = 16 * jnp.finfo(dtype).eps * (1 + jnp.max(jnp.abs(v), initial=0.0))
        return (size > tol + roundoff) & (i < max_iterations)

    size = start.shape[0] if rank is None else rank
    core = jnp.eye(size, dtype=dtype)
    begin = (start, jnp.asarray(jnp.inf, dtype), jnp.asarray(0, jnp.int32), core)
    v, size, i, core = jax.lax.while_loop(walking, body, begin)
    roundoff = 16 * jnp.finfo(dtype).eps * (1 + jnp.max(jnp.abs(v), initial=0.0))
    found = (size <= tol + roundoff) & jnp.all(jnp.isfinite(v))
    return Root(v, jnp.where(found, CONVERGED, OUT_OF_STEPS).astype(jnp.int32), i, negative_directions(core))


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
