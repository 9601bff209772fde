"""Even nodes: their weights in an integral, and polynomials between them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Gregory's end corrections make the trapezoid rule exact to the fourth order where a bound cuts the integrand.
_ENDS = np.array([3 / 8, 7 / 6, 23 / 24])


def ends(nodes: int) -> Float[np.ndarray, " nodes"]:
    """Weights of so many even nodes, all one but near the ends."""
    out = np.ones(nodes)
    out[: len(_ENDS)], out[-len(_ENDS) :] = _ENDS, _ENDS[::-1]
    return out


def interpolate(
    curves: Float[Array, "people nodes"], nodes: Float[Array, " nodes"], at: Float[Array, "*people points"]
) -> Float[Array, "people points"]:
    """The curves between their nodes: the polynomial through the six nearest."""
    matrix = lagrange(nodes, at)
    return curves @ matrix.T if matrix.ndim == 2 else jnp.einsum("pg,pkg->pk", curves, matrix)


def lagrange(nodes: Float[Array, " nodes"], at: Float[Array, "*people points"]) -> Float[Array, "*people points nodes"]:
    """By which factors values at the nodes are multiplied and summed, for the polynomial through the six nearest."""
    n = nodes.shape[0]
    place = (at - nodes[0]) / (nodes[1] - nodes[0])
    first = jnp.clip(jnp.floor(jax.lax.stop_gradient(place)) - 2, 0, n - 6)
    u = place - first  # 0 to 5 inside the stencil
    others = np.array([[k for k in range(6) if k != j] for j in range(6)])
    scale = np.array([np.prod([j - k for k in others[j]]) for j in range(6)], float)
    weights = jnp.prod(u[..., None, None] - others, axis=-1) / scale
    column = first[..., None].astype(int) + np.arange(6)
    return jnp.sum(jnp.where(column[..., None] == np.arange(n), weights[..., None], 0.0), axis=-2)
