"""Fixed points v = G(v, s) on the branch that starts at v = 0, s = 0, with derivatives."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from bayescal.solvers.linear import Linear
from bayescal.solvers.path import PathResult, follow_path
from bayescal.solvers.root import implicit_root


def principal_branch(
    update: Callable[[Float[Array, " d"], Float[Array, ""], PyTree], Float[Array, " d"]],
    size: int,
    end: Float[Array, ""],
    theta: PyTree,
    tie_break: Float[Array, " d"],
) -> tuple[Float[Array, " d"], PathResult]:
    """(the point at s = end, differentiable in theta; the path to it).

    Args:
        update: G(v, s, theta), with G(0, 0, theta) = 0; a unit of v is a logit.
    """
    fixed = jax.lax.stop_gradient(theta)

    def linearise(v, s):
        residual = lambda v, s: (v - update(v, s, fixed),) * 2  # traced once, for value and slopes
        (jac, slope), value = jax.jacfwd(residual, argnums=(0, 1), has_aux=True)(v, s)
        return value, Linear(jac), slope

    stop = jax.lax.stop_gradient(end)
    path = follow_path(linearise, jnp.zeros(size, end.dtype), stop, tie_break=tie_break)
    return implicit_root(lambda v, th: v - update(v, stop, th), path.point, theta), path
