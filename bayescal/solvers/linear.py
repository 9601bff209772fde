"""Small linear systems: the solution, the sign of the determinant, and how many eigenvalues are negative."""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Bool, Float, Int


def solve_with_sign(
    matrix: Float[Array, "d d"], rhs: Float[Array, "d k"]
) -> tuple[Float[Array, "d k"], Float[Array, ""]]:
    """(matrix⁻¹ rhs, sign of det matrix).

    Systems of one or two unknowns (every two-by-two game) have explicit formulas, and up to `SMALL` of them are
    eliminated here: a LAPACK call costs more than the arithmetic, and XLA compiles a loop that makes none as one piece,
    in two thirds of the time.
    """
    d = matrix.shape[0]
    if d == 1:
        return rhs / matrix[0, 0], jnp.sign(matrix[0, 0])
    if d == 2:
        (a, b), (c, e) = matrix
        det = a * e - b * c
        x = jnp.stack([e * rhs[0] - b * rhs[1], a * rhs[1] - c * rhs[0]]) / det
        return x, jnp.sign(det)
    if d <= SMALL:
        inverse, sign = inverse_with_sign(matrix)
        return product(inverse, rhs), sign  # linear in rhs, as derivatives need it
    lu, pivots = jsl.lu_factor(matrix)
    return jsl.lu_solve((lu, pivots), rhs), sign_of_lu(lu, pivots)


def inverse_with_sign(matrix: Float[Array, "d d"]) -> tuple[Float[Array, "d d"], Float[Array, ""]]:
    """(matrix⁻¹, sign of det matrix) by Gauss and Jordan, with the largest pivot of each column."""
    d = matrix.shape[0]
    rows = jnp.arange(d)

    def column(i: Int[Array, ""], carry: tuple[Array, Array]) -> tuple[Array, Array]:
        a, sign = carry
        best = jnp.argmax(jnp.where(rows >= i, jnp.abs(a[:, i]), -1.0))
        here, there = (rows == i)[:, None], (rows == best)[:, None]
        pivots = jnp.sum(jnp.where(there, a, 0.0), axis=0)
        a = jnp.where(here, pivots, jnp.where(there, a[i], a))
        a = jnp.where(here, a, a - a[:, i][:, None] * (pivots / pivots[i]))
        return a, sign * jnp.sign(pivots[i]) * jnp.where(best == i, 1, -1)

    both = jnp.concatenate([matrix, jnp.eye(d, dtype=matrix.dtype)], axis=1)
    a, sign = jax.lax.fori_loop(0, d, column, (both, jnp.ones((), matrix.dtype)))
    return a[:, d:] / jnp.diagonal(a[:, :d])[:, None], sign


def product(a: Float[Array, "m d"], b: Float[Array, "d k"]) -> Float[Array, "m k"]:
    """a @ b; of small matrices without a call of a library, see `solve_with_sign`."""
    if a.size * b.shape[1] > _FEW:
        return a @ b
    return jnp.sum(a[:, :, None] * b, axis=1)


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
        return cls(jnp.eye(left.shape[0], dtype=left.dtype) - product(right, left.T), None, left, right)

    @classmethod
    def bordered(cls, matrix: Float[Array, "d d"], identity: Bool[np.ndarray, " d"]) -> "Linear":
        """Of a matrix that is the identity in the block of these unknowns: the core is the rest, without them."""
        a, b = np.flatnonzero(~identity), np.flatnonzero(identity)
        return cls(matrix[np.ix_(a, a)] - product(matrix[np.ix_(a, b)], matrix[np.ix_(b, a)]), matrix)

    def solve(self, rhs: Float[Array, "d k"]) -> tuple[Float[Array, "d k"], Float[Array, ""]]:
        """(F_v⁻¹ rhs, sign of det F_v)."""
        if self.left is None or self.right is None:
            return solve_with_sign(self.core if self.matrix is None else self.matrix, rhs)
        solved, sign = solve_with_sign(self.core, product(self.right, rhs))
        return rhs + product(self.left.T, solved), sign


SMALL = 16  # up to this size systems are solved without LAPACK
EXPLICIT = 3  # up to this size eigenvalues are counted by a formula
_TURNS = 60  # most turns of the iteration for the matrix sign
_FEW = 1024  # multiplications, up to which a product is a sum


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
    matrix = jnp.where(finite, matrix, jnp.eye(m, dtype=matrix.dtype))
    if m <= SMALL:
        return _negative_by_sign(matrix)
    values = jnp.linalg.eigvals(matrix)
    return jnp.sum(jnp.real(values) < 0, dtype=jnp.int32)


def _negative_by_sign(matrix: Float[Array, "m m"]) -> Int[Array, ""]:
    """From the trace of the matrix sign function: Newton's iteration, scaled by norms (Higham 2008, ch. 5). 0 of a
    singular matrix, as at a fork itself."""
    m = matrix.shape[0]
    tol = jnp.sqrt(jnp.finfo(matrix.dtype).eps)

    def turn(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        x, _, k = carry
        inverse = inverse_with_sign(x)[0]
        scale = jnp.sqrt(jnp.linalg.norm(inverse) / jnp.linalg.norm(x))
        new = 0.5 * (scale * x + inverse / scale)
        return new, jnp.max(jnp.abs(new - x)), k + 1

    going = lambda carry: (carry[1] > tol) & (carry[2] < _TURNS)
    begin = (matrix, jnp.asarray(jnp.inf, matrix.dtype), jnp.zeros((), jnp.int32))
    sign = jax.lax.while_loop(going, turn, begin)[0]
    negative = jnp.round(0.5 * (m - jnp.trace(sign)))
    return jnp.clip(jnp.where(jnp.isfinite(negative), negative, 0), 0, m).astype(jnp.int32)


def change(old: Float[Array, "m m"], new: Float[Array, "m m"]) -> Float[Array, "m m"]:
    """A matrix of which as many eigenvalues are negative as pass zero on the way from one matrix to another.

    It is new⁻¹ old: det((1 - t) old + t new) vanishes for a t between 0 and 1 where that has a negative eigenvalue.
    Near each other the two have none, also where a pair of complex eigenvalues passes the imaginary axis.
    """
    if new.shape[0] == 0:
        return new
    if new.shape[0] > EXPLICIT:
        return solve_with_sign(new, old)[0]
    return product(_adjugate(new), old) / _determinant(new)


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
