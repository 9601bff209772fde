"""The common part of trainers that fit one policy's weights to targets."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PyTree

from bayescal.training.base import GradientTrainer, Info
from bayescal.training.optimiser import average, descend, memory_of, optimiser


class Learner(NamedTuple):
    """The weights, their running average (used by the trained policy), the optimiser's state, and steps done."""

    network: PyTree
    average: PyTree
    memory: PyTree
    count: Int[Array, ""]


class Regression(GradientTrainer):
    """A trainer that fits the weights of one policy to targets."""

    learning_rate: eqx.AbstractVar[float]

    def begin(self, network: PyTree) -> Learner:
        """The learner with these weights before the first step."""
        return Learner(network, network, memory_of(self.optimiser, network), jnp.zeros((), jnp.int32))

    def improve(self, learner: Learner, data: PyTree) -> tuple[Learner, Info]:
        """The learner after one step of the optimiser on these data."""
        (loss, info), slope = self.gradient(learner.network, data)
        network, memory = descend(self.optimiser, learner.network, slope, learner.memory)
        mean = average(learner.average, network, learner.count, self.steps)
        return Learner(network, mean, memory, learner.count + 1), {"loss": loss, **info}

    @property
    def optimiser(self) -> optax.GradientTransformation:
        return optimiser(self.learning_rate, self.steps)
