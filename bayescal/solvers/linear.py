"""Solve a small linear system and find the sign of its determinant, in one factorisation."""

import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float


def solve_with_sign(
    matrix: Float[Array, "d d"], rhs: Float[Array, "d k"]
) -> tuple[Float[Array, "d k"], Float[Array, ""]]:
    """(matrix⁻¹ rhs, sign of det matrix).

    Systems of one or two unknowns (every two-by-two game) have explicit formulas: a LAPACK call costs more than the
    arithmetic, and XLA fuses the formulas with the surrounding code.
    """
    d = matrix.shape[0]
    if d == 1:
        return rhs / matrix[0, 0], jnp.sign(matrix[0, 0])
    if d == 2:
        (a, b), (c, e) = matrix
        det = a * e - b * c
        x = jnp.stack([e * rhs[0] - b * rhs[1], a * rhs[1] - c * rhs[0]]) / det
        return x, jnp.sign(det)
    lu, pivots = jsl.lu_factor(matrix)
    swaps = jnp.sum(pivots != jnp.arange(d))
    sign = jnp.prod(jnp.sign(jnp.diagonal(lu))) * (1 - 2 * (swaps % 2))
    return jsl.lu_solve((lu, pivots), rhs), sign


def solve_low_rank(
    left: Float[Array, "m d"], right: Float[Array, "m d"], rhs: Float[Array, "d k"]
) -> tuple[Float[Array, "d k"], Float[Array, ""]]:
    """As `solve_with_sign`, for the matrix 1 - leftᵀ right: a system of m instead of d unknowns (Woodbury)."""
    inner = jnp.eye(left.shape[0], dtype=left.dtype) - right @ left.T
    solved, sign = solve_with_sign(inner, right @ rhs)
    return rhs + left.T @ solved, sign
