"""Small linear systems: the solution, the sign of the determinant, and how many eigenvalues have changed sign."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float, Int


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


class Linear(NamedTuple):
    """A derivative F_v: `core` itself, or 1 - leftᵀ right, which acts in few directions and has the determinant of its
    core, 1 - right leftᵀ (Woodbury)."""

    core: Float[Array, "m m"]
    left: Float[Array, "m d"] | None = None
    right: Float[Array, "m d"] | None = None

    @classmethod
    def low_rank(cls, left: Float[Array, "m d"], right: Float[Array, "m d"]) -> "Linear":
        return cls(jnp.eye(left.shape[0], dtype=left.dtype) - right @ left.T, left, right)

    def solve(
        self, rhs: Float[Array, "d k"], other: Float[Array, "m n"]
    ) -> tuple[Float[Array, "d k"], Float[Array, ""], Float[Array, "m n"]]:
        """(F_v⁻¹ rhs, sign of det F_v, core⁻¹ other), in one factorisation."""
        k = rhs.shape[1]
        inner = rhs if self.right is None else self.right @ rhs
        both, sign = solve_with_sign(self.core, jnp.concatenate([inner, other], axis=1))
        solved, ratio = both[:, :k], both[:, k:]
        return solved if self.left is None else rhs + self.left.T @ solved, sign, ratio


def negative_directions(matrix: Float[Array, "m m"]) -> Int[Array, ""]:
    """How many eigenvalues have a negative real part. Explicit for one or two unknowns."""
    m = matrix.shape[0]
    if m == 0:
        return jnp.zeros((), jnp.int32)
    if m == 1:
        return (matrix[0, 0] < 0).astype(jnp.int32)
    if m == 2:
        (a, b), (c, e) = matrix
        det, trace = a * e - b * c, a + e
        return jnp.where(det < 0, 1, jnp.where(trace < 0, 2, 0)).astype(jnp.int32)
    finite = jnp.all(jnp.isfinite(matrix))
    values = jnp.linalg.eigvals(jnp.where(finite, matrix, jnp.eye(m, dtype=matrix.dtype)))
    return jnp.sum(jnp.real(values) < 0).astype(jnp.int32)


def zero_crossings(ratio: Float[Array, "m m"]) -> Int[Array, ""]:
    """How many eigenvalues pass zero on the way from a matrix A to a matrix B, given ratio = B⁻¹A.

    det((1 - t) A + t B) vanishes for a t between 0 and 1 where the ratio has a negative eigenvalue, and the parity is
    that of the signs of the determinants. If |ratio - 1|² <= 2 no two eigenvalues are negative, and 0 is returned.
    """
    m = ratio.shape[0]
    if m <= 2:
        return negative_directions(ratio)
    far = ~(jnp.sum((ratio - jnp.eye(m, dtype=ratio.dtype)) ** 2) <= 2)
    return jax.lax.cond(far, negative_directions, lambda _: jnp.zeros((), jnp.int32), ratio)
