"""How many eigenvalues of a large matrix have a negative real part, from solutions of linear systems alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

_CLOSE = 1e-3  # of an eigenvalue of a small matrix to one of the large, relative to it


def negative_of_inverse(
    inverse: Callable[[Float[Array, " d"]], Float[Array, " d"]], start: Float[Array, " d"], *, most: int = 40
) -> Int[Array, ""]:
    """How many eigenvalues of the matrix have a negative real part, of those that Arnoldi's method finds.

    Eigenvalues of the inverse are the inverses of the matrix's, so the few on the other side of zero lie apart from
    all others, and these are found first (Saad 2011, ch. 6): `most` steps are made.
    """
    d, dtype = start.shape[0], start.dtype
    most = min(most, d)
    basis = jnp.zeros((most + 1, d), dtype).at[0].set(start / jnp.linalg.norm(start))

    def step(k, carry):
        basis, h = carry
        w = inverse(basis[k])
        first = basis @ w
        w = w - basis.T @ first
        again = basis @ w  # twice, for orthogonality to the last digit
        w = w - basis.T @ again
        size = jnp.linalg.norm(w)
        column = (first + again).at[k + 1].set(size)
        return basis.at[k + 1].set(w / jnp.where(size > 0, size, 1.0)), h.at[:, k].set(column)

    _, h = jax.lax.fori_loop(0, most, step, (basis, jnp.zeros((most + 1, most), dtype)))
    values, vectors = jnp.linalg.eig(jnp.where(jnp.all(jnp.isfinite(h)), h[:most], jnp.eye(most, dtype=dtype)))
    off = jnp.abs(h[most, most - 1] * vectors[most - 1])
    return jnp.sum((jnp.real(values) < 0) & (off <= _CLOSE * jnp.abs(values)), dtype=jnp.int32)
