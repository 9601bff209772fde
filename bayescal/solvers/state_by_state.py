"""The linear systems of a Markov game of two players, solved state by state.

A change x of the values of actions moves the replies to them by

    (N x)_i(s, a) = sum_b M_i(s, a, b) dp_j(s, b) + sum_t D_i(s, a, t) dw_i(t),
    dp_j(s, b)    = sum_k C_jk(s, b, b') x_jk(s, b'),
    dw_ik(s)      = sum_a W_ik(s, a) x_ik(s, a)

for the players i and j, their types k, states s and t, own actions a and the other's b. Play in a state depends on
other states through the values w alone. Given these, play is solved in each state by itself, and the system that is
left has one unknown for each value: for 225 states and 15 actions 450 in place of 6,750.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.solvers.linear import sign_of_lu

Solver = Callable[[Float[Array, "d k"]], Float[Array, "d k"]]


class StateByState(NamedTuple):
    """1 - N. Rows and columns of actions that a player does not have are zero in all four arrays.

    Attributes:
        moves: M of each type.
        spread: C, times the share of the type.
        weigh: W.
        later: D.
        cells: (player, type, state, action) of each unknown.
    """

    moves: Float[Array, "2 types states actions actions"]
    spread: Float[Array, "2 types states actions actions"]
    weigh: Float[Array, "2 types states actions"]
    later: Float[Array, "2 states actions states"]
    cells: tuple[Int[np.ndarray, " d"], ...]

    @property
    def core(self) -> Float[Array, "0 0"]:
        """Eigenvalues that pass zero are not counted on the way: only the sign of the determinant is watched."""
        return jnp.zeros((0, 0), self.moves.dtype)

    def solve(self, rhs: Float[Array, "d k"]) -> tuple[Float[Array, "d k"], Float[Array, ""]]:
        """((1 - N)⁻¹ rhs, sign of det(1 - N))."""
        solver, sign = self.factor()
        return solver(rhs), sign

    def factor(self) -> tuple[Solver, Float[Array, ""]]:
        """(x -> (1 - N)⁻¹ x, sign of det(1 - N))."""
        moves, spread, weigh, later, cells = self
        _, types, states, width = weigh.shape
        dtype, n = moves.dtype, 2 * types * states
        # In a state: dp - (C M) dp of the other = C (y + D dw), for both players at once.
        cross = -jnp.einsum("iksab,iksbc->isac", spread, moves)
        one = jnp.broadcast_to(jnp.eye(width, dtype=dtype), cross.shape[1:])
        blocks = jnp.block([[one, cross[0]], [cross[1], one]])
        lu, pivots = jsl.lu_factor(blocks)
        inverse = jnp.linalg.inv(blocks).reshape(states, 2, width, 2, width)
        # Over states: dw - W (M dp of the other + D dw) = W y.
        pull = jnp.einsum("iksa,iksab->iksb", weigh, moves)
        turned = jnp.stack([jnp.einsum("ksb,sbja->skja", pull[i], inverse[:, 1 - i]) for i in range(2)], axis=1)
        into = jnp.einsum("jlsab,jsbt->jlsat", spread, later)
        coupled = jnp.einsum("sikja,jlsat->iksjlt", turned, into)
        own = jnp.einsum("iksa,isat->ikst", weigh, later)
        at = np.arange(2)[:, None], np.arange(types)[None, :]
        coupled = coupled.at[at[0], at[1], :, at[0], at[1]].add(own)
        values = jnp.eye(n, dtype=dtype) - coupled.reshape(n, n)
        lu_v, pivots_v = jsl.lu_factor(values)
        sign = jnp.prod(jax.vmap(sign_of_lu)(lu, pivots)) * sign_of_lu(lu_v, pivots_v)

        def solver(rhs):
            k = rhs.shape[1]
            y = jnp.zeros((*weigh.shape, k), dtype).at[cells].set(rhs)

            def play(y):
                """dp of both players if the replies move by y."""
                c = jnp.einsum("iksab,iksbn->isan", spread, y)
                return jnp.einsum("siajb,jsbn->isan", inverse, c)

            met = lambda p: jnp.einsum("iksab,isbn->iksan", moves, p[::-1])
            w = jnp.einsum("iksa,iksan->iksn", weigh, y + met(play(y)))
            w = jsl.lu_solve((lu_v, pivots_v), w.reshape(n, k)).reshape(2, types, states, k)
            y = y + jnp.einsum("isat,iktn->iksan", later, w)
            return (y + met(play(y)))[cells]

        return solver, sign
