"""The person of habit: plays what costs nothing, whatever it brings."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.environments.base import Environment, OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.policies.base import ABSENT, Policy, PolicyKind, padded_log_prior
from bayescal.policies.exact import ExactPolicy
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform


class HabitualPolicy(Policy):
    """Plays the prior: the limit of an infinite cost. Works for every game; cost, phi and params do not matter.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.policies.habitual import HabitualPolicy
        >>> habit = HabitualPolicy(bc.get_game("stag-hunt"))
        >>> habit.log_prob(0, None, None, None, None).round(3).tolist()
        [-0.6930000185966492, -0.6930000185966492]
    """

    policy_kind = PolicyKind.HABIT
    environment: Environment
    prior: Prior = Uniform()

    def log_prior(self, psi: Any = None) -> Float[Array, "roles actions"]:
        """log q of every role of a one-shot game over the padded grid; -1e30 stands for impossible."""
        return jnp.stack([self.log_prior_of(role, psi, role) for role in range(self.environment.roles)])

    def log_prior_of(self, role: int, psi: Any, observation: Any) -> Float[Array, " actions"]:
        return padded_log_prior(self.environment, self.prior, role, psi or self.prior.defaults, observation)

    def log_prob(self, observation: Any, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, " actions"]:
        env = self.environment
        if isinstance(env, OneShot):
            return self.log_prob_all(cost, phi, psi, params)[observation]
        role, seen = observation
        if isinstance(env, FiniteGame) and not env.same_actions:  # what can be done differs from situation to situation
            return _hidden(ExactPolicy(env, self.prior).log_prior(psi)[role, env.situation_of(seen)])
        return _hidden(self.log_prior_of(role, psi, seen))

    def log_prob_all(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "roles actions"]:
        return _hidden(self.log_prior(psi))


def _hidden(log_q: Float[Array, "*rows actions"]) -> Float[Array, "*rows actions"]:
    return jnp.where(log_q <= ABSENT / 2, -jnp.inf, log_q)
