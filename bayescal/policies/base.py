"""A policy answers: with which probability does a person choose each action?"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.priors.base import Prior

ABSENT = -1e30  # log-probability of an action that cannot be played, finite so that gradients stay so


def padded_log_prior(
    environment: Environment, prior: Prior, role: int, psi: Any, observation: Any
) -> Float[Array, " actions"]:
    """log q of one role over the padded grid; ABSENT stands for impossible."""
    values = environment.action_values[role]
    grid = jnp.asarray(values, jnp.result_type(float))
    row = jnp.maximum(prior.log_prob(observation, psi, role=role, action_values=grid), ABSENT)
    return jnp.pad(row, (0, environment.mask.shape[1] - len(values)), constant_values=ABSENT)


def tilt(log_q: Float[Array, " actions"], q: Float[Array, " actions"], cost: Any) -> Float[Array, " actions"]:
    """log of q exp(Q / cost) / Z; at cost 0 the best action (ties as in the prior), at an infinite cost the prior."""
    absent = log_q <= ABSENT / 2
    q = jnp.where(absent, 0.0, q)
    best = jnp.max(jnp.where(absent, -jnp.inf, q))
    still = jnp.where(cost > 0, cost, 1.0)
    # The best value is taken off before the division, so that a tiny cost overflows nothing.
    tilted = jnp.where(cost > 0, log_q + (q - best) / still, jnp.where(q == best, log_q, ABSENT))
    absent = absent | (tilted <= ABSENT / 2)
    return jnp.where(absent, -jnp.inf, jax.nn.log_softmax(jnp.where(absent, ABSENT, tilted)))


class PolicyKind(StrEnum):
    """How a policy finds its probabilities."""

    SOLVED = "solved"  # the equilibrium of the game, computed
    LEARNED = "learned"  # a trained network
    RATIONAL = "rational"  # the limit of a vanishing cost
    LEVELS = "levels"  # levels of reasoning
    HABIT = "habit"  # the limit of an infinite cost
    OTHER = "other"  # a policy that a user has written


@dataclass(frozen=True)
class PolicyFacts:
    """Which policy a model or a fit was built on.

    Attributes:
        kind: how the policy finds its probabilities.
        name: of its public class.
        habit: the class name of its prior; "" if it has none.
        learned: whether its probabilities come from a network.

    Example:
        >>> import bayescal as bc
        >>> bc.ExactPolicy(bc.get_game("stag-hunt")).facts.as_dict()
        {'kind': 'solved', 'name': 'ExactPolicy', 'habit': 'Uniform', 'learned': False}
    """

    kind: PolicyKind
    name: str
    habit: str
    learned: bool

    def as_dict(self) -> dict[str, str | bool]:
        """For JSON."""
        return asdict(self) | {"kind": self.kind.value}

    @classmethod
    def from_dict(cls, facts: Mapping[str, object]) -> "PolicyFacts":
        """What `as_dict` returned.

        Raises:
            InputError: an entry is missing, or is of another type.
        """
        match facts:
            case {"kind": str(kind), "name": str(name), "habit": str(habit), "learned": bool(learned)} if kind in set(
                PolicyKind
            ):
                return cls(PolicyKind(kind), name, habit, learned)
        raise InputError(
            f"The facts of a policy are kind (one of {', '.join(PolicyKind)}), name, habit and learned; found "
            f"{dict(facts)}."
        )


class Policy(eqx.Module):
    """(observation, cost, phi, psi, params) -> log-probabilities over the grid.

    Learned, solved, rational and level-k policies are interchangeable wherever one is asked for.
    """

    environment: eqx.AbstractVar[Environment]
    policy_kind: ClassVar[PolicyKind] = PolicyKind.OTHER

    @property
    def facts(self) -> PolicyFacts:
        """Which policy this is."""
        prior = getattr(self, "prior", None)
        public = next(c.__name__ for c in type(self).__mro__ if not c.__name__.startswith("_"))
        return PolicyFacts(
            self.policy_kind,
            public,
            "" if prior is None else type(prior).__name__,
            self.policy_kind is PolicyKind.LEARNED,
        )

    @abstractmethod
    def log_prob(self, observation: Any, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, " actions"]:
        """Log-probabilities over the (padded) grid for one person in one state; -inf where there is no action.

        In a one-shot game the observation is the index of the person's role, else (role, what was seen).
        """

    def log_prob_all(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "roles actions"]:
        """`log_prob` of every role of a one-shot game at once."""
        return jax.vmap(lambda role: self.log_prob(role, cost, phi, psi, params))(jnp.arange(self.environment.roles))

    def log_prob_cells(
        self, role: int, seen: Any, cost: Any, phi: Any, psi: Any, params: Any
    ) -> Float[Array, "cells actions"]:
        """`log_prob` of many decisions of one role in a game over time; `cost` is one number, or one for each."""
        one = lambda seen, cost: self.log_prob((role, seen), cost, phi, psi, params)
        return jax.vmap(one, in_axes=(0, 0 if jnp.ndim(cost) else None))(seen, cost)
