"""Replies: what a person could do instead of a learned policy, to find out whether somebody gains by it.

A rule of thumb wants an action after each observation. People pay for information, so a reply plays a rule softly: its
choice probabilities are q(a|o) exp(g(o, a)), where g falls with the distance from the action that the rule wants. How
firmly is found by a line search.
"""

from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from bayescal.environments.base import Environment
from bayescal.policies.base import ABSENT


class Play(NamedTuple):
    """Decisions of a policy from which a rule may learn, and what was seen next.

    Attributes:
        after: the player's next observation.
        features: numbers of order one that describe the observation, the first of them 1.
    """

    after: PyTree
    features: Float[np.ndarray, "states features"]


class Decision(NamedTuple):
    """A player at a decision: what was seen, the game's parameters, and the policy's habit, values (in nats) and
    log-probabilities over the padded grid."""

    seen: PyTree
    params: PyTree
    log_q: Float[Array, " actions"]
    q: Float[Array, " actions"]
    log_pi: Float[Array, " actions"]


class Reply(eqx.Module):
    """Something to play instead of a policy, in as many versions as `settings` has rows."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What a certificate calls it."""

    @abstractmethod
    def settings(self, environment: Environment, role: int, params: PyTree) -> Float[np.ndarray, "versions numbers"]:
        """The versions that a line search tries."""

    @abstractmethod
    def log_choices(
        self, environment: Environment, role: int, at: Decision, setting: Float[Array, " numbers"]
    ) -> Float[Array, " actions"]:
        """Log-probabilities of one version at a decision, over the padded grid."""


class Rule(eqx.Module):
    """A rule of thumb: registered for a kind of game in `RULES`."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What a certificate calls it."""

    @abstractmethod
    def wanted(self, environment: Environment, role: int, seen: PyTree, params: PyTree) -> Float[Array, " candidates"]:
        """The wanted action in the grid's units, for each candidate of the rule's own parameter."""

    def fitted(self, environment: Environment, role: int, play: Play) -> "Rule":
        """The rule after it has seen the policy play."""
        return self


def wanted_actions(
    rule: Rule, environment: Environment, role: int, seen: PyTree, params: PyTree
) -> Float[Array, " candidates"]:
    """What a rule wants, on the grid's range."""
    values = environment.action_values[role]
    return jnp.clip(rule.wanted(environment, role, seen, params), min(values), max(values))


def tilted(log_p: Float[Array, " actions"], g: Float[Array, " own"]) -> Float[Array, " actions"]:
    """log of p exp(g) / Z over the padded grid; g is of the role's own actions."""
    g = jnp.pad(g, (0, log_p.shape[0] - g.shape[0]))
    absent = log_p <= ABSENT / 2
    return jax.nn.log_softmax(jnp.where(absent, ABSENT, log_p + jnp.where(absent, 0.0, g)))
