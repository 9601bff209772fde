"""A network for games of two players that commutes with relabelling: of either player's actions, and of the players.

Each player has a table of features by (own action, other's action). A layer mixes, in every cell, that cell of both
players' tables with their averages over own actions, over the other's, and over both. Both players have the same
weights. So another order of a player's actions is the same order of what comes out, whatever the weights; and where
the players change places, so do the answers (Marris et al. 2022, Turbocharging Solution Concepts).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.precision import FULL


class Equivariant(eqx.Module):
    """Tables of features -> a number for each own action, for both players. Weights are float32; it computes in the
    precision of its inputs.

    The numbers of actions are those of the tables, so one network serves games of any size.
    """

    # By layer: (out, 8 inp), for the cell and its three averages, each in both players' tables; and (out,).
    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]

    @classmethod
    def of(cls, inputs: int, width: int, depth: int) -> "Equivariant":
        """All weights zero: only the shape matters."""
        sizes = [(inputs if i == 0 else width, width) for i in range(depth)]
        shapes = [(out, 8 * inp) for inp, out in sizes] + [(1, width)]
        return cls(
            tuple(jnp.zeros(shape, jnp.float32) for shape in shapes),
            tuple(jnp.zeros(out, jnp.float32) for out, _ in shapes),
        )

    def fresh(self, key: PRNGKeyArray) -> "Equivariant":
        """Random weights of the same shape, with a small last layer."""
        keys = jax.random.split(key, len(self.weights))
        scale = lambda w: jnp.sqrt(2.0 / w.shape[1])
        weights = [scale(w) * jax.random.normal(k, w.shape, w.dtype) for k, w in zip(keys, self.weights, strict=True)]
        weights[-1] = 0.1 * weights[-1]
        return Equivariant(tuple(weights), self.biases)

    def __call__(
        self, one: Float[Array, "own other inputs"], two: Float[Array, "other own inputs"]
    ) -> tuple[Float[Array, " own"], Float[Array, " other"]]:
        """From each player's features, by own action and the other's."""
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for layer, (w, b) in enumerate(hidden):
            moved = _mixed(w, b, one, two), _mixed(w, b, two, one)
            one, two = moved if layer == 0 else (one + moved[0], two + moved[1])
        read = lambda table: _times(jnp.mean(table, axis=1), *last)[:, 0]
        return read(one), read(two)


def _mixed(
    w: Float[Array, "out _"],
    b: Float[Array, " out"],
    own: Float[Array, "own other inputs"],
    other: Float[Array, "other own inputs"],
) -> Float[Array, "own other out"]:
    both = jnp.concatenate([own, jnp.swapaxes(other, 0, 1)], axis=2)
    here, of_own, of_other, of_all = jnp.split(w, 4, axis=1)
    average = lambda axes: jnp.mean(both, axis=axes, keepdims=True)
    no = jnp.zeros_like(b)
    total = _times(both, here, b) + _times(average(0), of_own, no) + _times(average(1), of_other, no)
    return jax.nn.silu(total + _times(average((0, 1)), of_all, no))


def _times(x: Float[Array, "*rows inp"], w: Float[Array, "out inp"], b: Float[Array, " out"]) -> Array:
    return jnp.matmul(x, w.T.astype(x.dtype), precision=FULL) + b.astype(x.dtype)
