"""A policy answers: with which probability does a person choose each action?"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import Actions, Costs, Observation, Parameters, RoleActions, Seen
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.priors.base import ABSENT, Prior


def padded_log_prior(
    environment: Environment, prior: Prior, role: int, psi: Parameters | None, observation: Observation
) -> Actions:
    """log q of one role over the padded grid; ABSENT where there is no action."""
    values = environment.action_values[role]
    grid = jnp.asarray(values, jnp.result_type(float))
    row = jnp.maximum(prior.log_prob(observation, psi or prior.defaults, role=role, action_values=grid), ABSENT)
    return jnp.pad(row, (0, environment.mask.shape[1] - len(values)), constant_values=ABSENT)


def all_params(environment: Environment, params: Parameters | None) -> dict[str, Array]:
    """The parameters of the game: those given, and the game's own for the rest."""
    # NumPy arrays are copied: JAX finds the constants of a trace by the identity of the array, and would give one
    # that it met in float32 to a float64 trace.
    fresh = lambda x: np.array(x) if isinstance(x, np.ndarray) else x
    return {n: jnp.asarray(fresh(x)) for n, x in {**environment.params, **(params or {})}.items()}


def hide_absent(log_p: Float[Array, "*rows actions"]) -> Float[Array, "*rows actions"]:
    """-inf in place of ABSENT."""
    return jnp.where(log_p <= ABSENT / 2, -jnp.inf, log_p)


def tilt(log_q: Actions, q: Actions, cost: Costs) -> Actions:
    """log of q exp(Q / cost) / Z. At cost 0 the best action (ties as in the prior); at an infinite cost the prior."""
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
    SHARPENED = "sharpened"  # the equilibrium near a trained network's answer, computed
    RATIONAL = "rational"  # the limit of a vanishing cost
    LEVELS = "levels"  # levels of reasoning
    HABIT = "habit"  # the limit of an infinite cost
    STATIONARY = "stationary"  # an equilibrium of people who pay no cost of information: sampling, impulses, Luce
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
        habit = "" if prior is None else type(prior).__name__
        return PolicyFacts(self.policy_kind, public, habit, self.policy_kind is PolicyKind.LEARNED)

    @abstractmethod
    def log_prob(
        self,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        """Log-probabilities over the (padded) grid for one person in one state; -inf where there is no action.

        In a one-shot game the observation is the index of the person's role, else (role, what was seen).
        """

    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """`log_prob` of every role of a one-shot game."""
        return jax.vmap(lambda role: self.log_prob(role, cost, phi, psi, params))(jnp.arange(self.environment.roles))

    def log_prob_cells(
        self,
        role: int,
        seen: Seen,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Float[Array, "cells actions"]:
        """`log_prob` of many decisions of one role in a game over time; `cost` is one number, or one per decision."""
        one = lambda seen, cost: self.log_prob((role, seen), cost, phi, psi, params)
        return jax.vmap(one, in_axes=(0, None if cost is None or jnp.ndim(cost) == 0 else 0))(seen, cost)

    def all_params(self, params: Parameters | None) -> dict[str, Array]:
        """The parameters of the game: those given, and the game's own for the rest."""
        return all_params(self.environment, params)


class PriorPolicy(Policy):
    """A policy that departs from a habit."""

    prior: eqx.AbstractVar[Prior]

    def log_prior_of(self, role: int, psi: Parameters | None, observation: Observation) -> Actions:
        """log q of one role after what was seen, over the padded grid; ABSENT where there is no action."""
        return padded_log_prior(self.environment, self.prior, role, psi, observation)

    def log_prior(self, psi: Parameters | None = None) -> Float[Array, "roles *situations actions"]:
        """`log_prior_of` every role of a one-shot game."""
        return jnp.stack([self.log_prior_of(role, psi, role) for role in range(self.environment.roles)])
