"""Small linear systems: the solution, the sign of the determinant, and how many eigenvalues are negative."""

from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Bool, Float, Int


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
    return jsl.lu_solve((lu, pivots), rhs), sign_of_lu(lu, pivots)


def sign_of_lu(lu: Float[Array, "d d"], pivots: Int[Array, " d"]) -> Float[Array, ""]:
    """The sign of the determinant of a factored matrix."""
    swaps = jnp.sum(pivots != jnp.arange(lu.shape[0]))
    return jnp.prod(jnp.sign(jnp.diagonal(lu))) * (1 - 2 * (swaps % 2))


@runtime_checkable
class Derivative(Protocol):
    """A derivative F_v, as a path needs it (see `Linear`)."""

    @property
    def core(self) -> Float[Array, "m m"]: ...

    def solve(self, rhs: Float[Array, "d k"]) -> tuple[Float[Array, "d k"], Float[Array, ""]]: ...


class Linear(NamedTuple):
    """A derivative F_v, and its core: a matrix, smaller if possible, of which as many eigenvalues pass zero as of F_v.

    F_v is `matrix`, or 1 - leftᵀ right, which acts in few directions (Woodbury: the core is 1 - right leftᵀ), or the
    core itself.
    """

    core: Float[Array, "m m"]
    matrix: Float[Array, "d d"] | None = None
    left: Float[Array, "m d"] | None = None
    right: Float[Array, "m d"] | None = None

    @classmethod
    def low_rank(cls, left: Float[Array, "m d"], right: Float[Array, "m d"]) -> "Linear":
        return cls(jnp.eye(left.shape[0], dtype=left.dtype) - right @ left.T, None, left, right)

    @classmethod
    def bordered(cls, matrix: Float[Array, "d d"], identity: Bool[np.ndarray, " d"]) -> "Linear":
        """Of a matrix that is the identity in the block of these unknowns: the core is the rest, without them."""
        a, b = np.flatnonzero(~identity), np.flatnonzero(identity)
        return cls(matrix[np.ix_(a, a)] - matrix[np.ix_(a, b)] @ matrix[np.ix_(b, a)], matrix)

    def solve(self, rhs: Float[Array, "d k"]) -> tuple[Float[Array, "d k"], Float[Array, ""]]:
        """(F_v⁻¹ rhs, sign of det F_v)."""
        if self.left is None or self.right is None:
            return solve_with_sign(self.core if self.matrix is None else self.matrix, rhs)
        solved, sign = solve_with_sign(self.core, self.right @ rhs)
        return rhs + self.left.T @ solved, sign


EXPLICIT = 3  # up to this size eigenvalues are counted without being computed


def negative_directions(matrix: Float[Array, "m m"]) -> Int[Array, ""]:
    """How many eigenvalues have a negative real part."""
    m = matrix.shape[0]
    none = jnp.zeros((), jnp.int32)
    if m == 0:
        return none
    trace, det = jnp.trace(matrix), _determinant(matrix)
    if m == 1:
        return none + (trace < 0)
    if m == 2:
        return none + jnp.where(det < 0, 1, jnp.where(trace < 0, 2, 0))
    if m == 3:  # Routh & Hurwitz
        minors = 0.5 * (trace**2 - jnp.sum(matrix * matrix.T))
        all_positive = (trace > 0) & (trace * minors > det)
        all_negative = (trace < 0) & (trace * minors < det)
        return none + jnp.where(det < 0, jnp.where(all_negative, 3, 1), jnp.where(all_positive, 0, 2))
    finite = jnp.all(jnp.isfinite(matrix))
    values = jnp.linalg.eigvals(jnp.where(finite, matrix, jnp.eye(m, dtype=matrix.dtype)))
    return jnp.sum(jnp.real(values) < 0, dtype=jnp.int32)


def change(old: Float[Array, "m m"], new: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """A matrix of which as many eigenvalues are negative as pass zero on the way from one matrix to another.

    It is new⁻¹ old: det((1 - t) old + t new) vanishes for a t between 0 and 1 where that has a negative eigenvalue.
    Near each other the two have none, also where a pair of complex eigenvalues passes the imaginary axis.
    """
    if new.shape[0] == 0:
        return new
    if new.shape[0] > EXPLICIT:
        return solve_with_sign(new, old)[0]
    return _adjugate(new) @ old / _determinant(new)


def _determinant(matrix: Float[Array, "m m"]) -> Float[Array, ""]:
    """Up to three rows; zero for more."""
    match matrix.shape[0]:
        case 1:
            return matrix[0, 0]
        case 2:
            return matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
        case 3:
            return jnp.dot(matrix[0], jnp.cross(matrix[1], matrix[2]))
    return jnp.zeros((), matrix.dtype)


def _adjugate(matrix: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """det · inverse, of up to three rows."""
    match matrix.shape[0]:
        case 1:
            return jnp.ones_like(matrix)
        case 2:
            (a, b), (c, e) = matrix
            return jnp.stack([jnp.stack([e, -b]), jnp.stack([-c, a])])
    a, b, c = matrix
    return jnp.stack([jnp.cross(b, c), jnp.cross(c, a), jnp.cross(a, b)], axis=1)
