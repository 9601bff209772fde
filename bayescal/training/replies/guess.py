"""The fitted reply: play what a guess of the improvement says, learned from the policy's own residual."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from bayescal.environments.base import Environment
from bayescal.training.replies.base import Decision, Reply, Rule, tilted, wanted_actions


class Basis(NamedTuple):
    """What a guess may depend on at each state: features of the observation, and of observation and action."""

    features: Float[Array, "*states features"]
    pairs: Float[Array, "*states actions pairs"]


class Guess(Reply):
    """A guess of the improvement d(o, a), in nats: the average of those of all folds."""

    slopes: Float[Array, "folds pairs"]
    layers: tuple[
        Float[Array, "folds features width"], Float[Array, "folds width"], Float[Array, "folds width actions"]
    ]
    centre: Float[Array, " features"]
    spread: Float[Array, " features"]
    norm: Float[Array, " pairs"]
    rules: tuple[Rule, ...]

    @property
    def name(self) -> str:
        return "fitted"

    def settings(self, environment: Environment, role: int, params: PyTree) -> Float[np.ndarray, "versions numbers"]:
        return np.array([[0.25], [0.5], [1.0]])

    def log_choices(
        self, environment: Environment, role: int, at: Decision, setting: Float[Array, " numbers"]
    ) -> Float[Array, " actions"]:
        """pi(a|o) exp(size · g)."""
        return tilted(at.log_pi, setting[0] * self.of(environment, role, at.seen, at.params, at.q))

    def of(
        self, environment: Environment, role: int, seen: PyTree, params: PyTree, q: Float[Array, " padded"]
    ) -> Float[Array, " actions"]:
        """g(o, a) of all actions of the role; `q` are the policy's values in nats."""
        basis = basis_of(environment, role, self.rules, seen, params, q)
        features = (basis.features - self.centre) / self.spread
        one = lambda slopes, layers: guessed(slopes, layers, features, basis.pairs / self.norm)
        return jnp.mean(jax.vmap(one)(self.slopes, self.layers), axis=0)


def basis_of(
    environment: Environment,
    role: int,
    rules: Sequence[Rule],
    seen: PyTree,
    params: PyTree,
    q: Float[Array, " padded"],
) -> Basis:
    """The features of one observation. Pairs are the values' own scale, each feature times the action and its square,
    and the distance to what each rule of thumb would do."""
    size = len(environment.action_values[role])
    features = jnp.concatenate([jnp.ones(1), environment.see(seen, params)])
    z = jnp.linspace(-1, 1, size)
    powers = jnp.stack([z, z**2], axis=1)
    pairs = [q[:size, None], (powers[:, None, :] * features[None, :, None]).reshape(size, -1)]
    values = jnp.asarray(environment.action_values[role], jnp.result_type(float))
    for rule in rules:
        away = values[:, None] - wanted_actions(rule, environment, role, seen, params)[None]
        scale = jnp.asarray((values[-1] - values[0]) / 4)
        pairs.append(jnp.abs(away) / scale)
    return Basis(features, jnp.concatenate(pairs, axis=1))


def guessed(slopes: Array, layers: tuple[Array, Array, Array], features: Array, pairs: Array) -> Array:
    return pairs @ slopes + jnp.tanh(features @ layers[0] + layers[1]) @ layers[2]
