"""The network of learned policies: a multilayer perceptron."""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal._types import Index
from bayescal.precision import FULL


class Network(eqx.Module):
    """x -> W_n silu(… silu(W_1 x + b_1) …) + b_n. Weights are float32; it computes in the precision of x."""

    # By layer: (out, inp) and (out,). Roles that have weights of their own are a leading dimension.
    weights: tuple[Float[Array, "... _ _"], ...]
    biases: tuple[Float[Array, "... _"], ...]

    @classmethod
    def of(cls, inputs: int, outputs: int, width: int, depth: int) -> "Network":
        """All weights zero: only the shape matters."""
        sizes = [inputs, *[width] * depth, outputs]
        pairs = list(pairwise(sizes))
        return cls(
            tuple(jnp.zeros((o, i), jnp.float32) for i, o in pairs), tuple(jnp.zeros(o, jnp.float32) for _, o in pairs)
        )

    def by_role(self, roles: int) -> "Network":
        """Weights for each role."""
        return jax.tree.map(lambda w: jnp.stack([w] * roles), self)

    def of_role(self, role: Index) -> "Network":
        return jax.tree.map(lambda w: w[role], self)

    def fresh_by_role(self, key: PRNGKeyArray) -> "Network":
        """`fresh`, where each role has weights."""
        return jax.vmap(Network.fresh)(self, jax.random.split(key, self.biases[0].shape[0]))

    def fresh(self, key: PRNGKeyArray) -> "Network":
        """Random weights of the same shape, with a small last layer: training starts near the habit."""
        keys = jax.random.split(key, len(self.weights))
        weights = [
            jax.random.normal(k, w.shape, w.dtype) * jnp.sqrt(2.0 / w.shape[-1])
            for k, w in zip(keys, self.weights, strict=True)
        ]
        weights[-1] = 0.1 * weights[-1]
        return Network(tuple(weights), tuple(jnp.zeros_like(b) for b in self.biases))

    def __call__(self, x: Float[Array, " inp"]) -> Float[Array, " out"]:
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for w, b in hidden:
            x = jax.nn.silu(jnp.matmul(w.astype(x.dtype), x, precision=FULL) + b.astype(x.dtype))
        return jnp.matmul(last[0].astype(x.dtype), x, precision=FULL) + last[1].astype(x.dtype)
