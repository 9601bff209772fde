"""Trainers: each improves a policy step by step; `train` is the loop around them."""

from abc import abstractmethod

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bayescal.environments.normal_form import NormalForm
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.learned import LearnedPolicy

Info = dict[str, Float[Array, ""]]


class Trainer(eqx.Module):
    """A learning algorithm together with the policy that it trains.

    `init(key)` returns a state, a pytree of arrays; `step(key, state)` returns the next state and some figures. Both
    are pure functions that may be jitted, scanned and vmapped over keys, so a run that is interrupted and resumed
    ends exactly where an uninterrupted one does.
    """

    skeleton: eqx.AbstractVar[LearnedPolicy]

    @abstractmethod
    def init(self, key: PRNGKeyArray) -> PyTree:
        """The state before the first step."""

    @abstractmethod
    def step(self, key: PRNGKeyArray, state: PyTree) -> tuple[PyTree, Info]:
        """The state after one more step, and figures such as the loss."""

    @abstractmethod
    def policy(self, state: PyTree) -> LearnedPolicy:
        """The policy learned so far."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """The number of steps of a complete training."""

    @classmethod
    def example(cls) -> "Trainer":
        """A trainer for a small solvable game, which takes a second or two; used by the tests of all trainers."""
        return cls(example_policy())


class GradientTrainer(Trainer):
    """A trainer whose step collects data and then follows the gradient of a loss on them.

    The data contain all targets, so `loss` is an ordinary function of the weights and `gradient` its derivative.
    """

    @abstractmethod
    def weights(self, state: PyTree) -> PyTree:
        """The arguments of the gradient: one network or several."""

    @abstractmethod
    def experience(self, key: PRNGKeyArray, state: PyTree) -> tuple[PyTree, PyTree]:
        """(the state after playing some rounds, the data for this step)."""

    @abstractmethod
    def loss(self, weights: PyTree, data: PyTree) -> tuple[Float[Array, ""], Info]:
        """The loss, and figures to report beside it."""

    def gradient(self, weights: PyTree, data: PyTree) -> tuple[tuple[Float[Array, ""], Info], PyTree]:
        """((loss, figures), derivative of the loss in the weights)."""
        return jax.value_and_grad(self.loss, has_aux=True)(weights, data)


def example_policy() -> AmortisedPolicy:
    """An untrained policy for a 2x2 game with one mixed equilibrium and known costs."""
    game = NormalForm([[[3, 0], [0, 1]], [[0, 1], [1, 0]]], name="asymmetric matching pennies")
    return AmortisedPolicy(game, {"cost": (0.5, 5.0)}, width=8, depth=1)
