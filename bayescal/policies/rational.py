"""The rational player: the limit as the cost of information goes to zero.

In a one-shot game this is the Nash equilibrium at the end of the principal branch, which starts at the habit and is
followed as all costs fall together. In a game over time it is the optimum (one player) or the end of the same branch.
In a game that cannot be solved it is a learned policy at the smallest cost of its trained domain.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import Actions, Costs, Observation, Parameters, RoleActions, Seen
from bayescal.domain import REAL
from bayescal.environments.base import Environment, OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.errors import InputError
from bayescal.policies.base import ABSENT, PolicyFacts, PolicyKind, PriorPolicy
from bayescal.policies.eager import in_double_precision, traced
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.learned import LearnedPolicy
from bayescal.precision import double_precision
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform
from bayescal.solvers.path import CONVERGED

# As shares of the spread of payoffs; the first at which the solver converges is used.
_COSTS = (1e-6, 1e-5, 1e-4, 1e-3)
_TIE = 1e-9  # values tie if they differ by less than this share of their spread
NEVER = -1e5  # log-probability of an action that is available but never chosen; unlike -inf, lapses can choose it


def best_reply(log_q: Actions, q: Actions) -> Actions:
    """Log-probabilities of the best actions, ties split as in the habit; others have `NEVER`, absent ones -inf."""
    absent = log_q <= ABSENT / 2
    best = jnp.max(jnp.where(absent, -jnp.inf, q))
    spread = best - jnp.min(jnp.where(absent, jnp.inf, q))
    roundoff = max(_TIE, 100 * float(jnp.finfo(q.dtype).eps))
    chosen = ~absent & (q >= best - roundoff * spread)
    log_p = jnp.where(chosen, jax.nn.log_softmax(jnp.where(chosen, log_q, ABSENT)), NEVER)
    return jnp.where(absent, -jnp.inf, log_p)


class RationalPolicy(PriorPolicy):
    """Always plays a best action: cost, phi and psi do not matter.

    Args:
        environment: any game that `ExactPolicy` solves, or that the learned policy plays.
        prior: the habit: ties are split in proportion to it, and the principal branch starts there.
        learned: a learned policy to use instead of a solver, with all costs at the lower bound of its trained domain.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.policies.rational import RationalPolicy
        >>> nash = RationalPolicy(bc.get_game("selten-chmura-01"))
        >>> [round(float(p), 3) for p in nash.probabilities()[:, 0]]
        [0.091, 0.909]
    """

    policy_kind = PolicyKind.RATIONAL
    environment: Environment
    prior: Prior = Uniform()
    learned: LearnedPolicy | None = None

    def __check_init__(self) -> None:
        if self.learned is None and not solvable(self.environment):
            raise InputError(
                f"RationalPolicy: {self.environment.name} cannot be solved exactly: give a learned policy (learned=…), "
                "which is then used at the smallest cost of its trained domain."
            )

    @property
    def facts(self) -> PolicyFacts:
        return dataclasses.replace(super().facts, learned=self.learned is not None)

    def log_prior_of(self, role: int, psi: Parameters | None, observation: Observation) -> Actions:
        return super().log_prior_of(role, None, observation)  # psi does not matter

    def probabilities(self, params: Parameters | None = None) -> RoleActions:
        """The equilibrium of a one-shot game."""
        with double_precision():
            return jnp.exp(self.log_prob_all(None, None, None, params))

    def log_prob(
        self,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        env = self.environment
        if isinstance(env, OneShot):
            return self.log_prob_all(cost, phi, psi, params)[observation]
        role, seen = observation
        if self.learned is not None:
            policy, smallest, others, flat_psi = self._smallest()
            return policy.log_prob(observation, smallest, others, flat_psi, self.all_params(params))
        if isinstance(env, FiniteGame):
            return self._table(params)[role, env.situation_of(seen)]
        return self._best(role, seen, params)

    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        if self.learned is not None:
            policy, smallest, others, flat_psi = self._smallest()
            return policy.log_prob_all(smallest, others, flat_psi, self.all_params(params))
        return self._table(params)

    def log_prob_cells(
        self,
        role: int,
        seen: Seen,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Float[Array, "cells actions"]:
        env = self.environment
        if self.learned is None and isinstance(env, FiniteGame):
            return self._table(params)[role, env.situation_of(seen)]  # one solution serves all
        return super().log_prob_cells(role, seen, cost, phi, psi, params)

    @in_double_precision
    def _best(self, role: int, seen: Seen, params: Parameters | None) -> Actions:
        """In a game over time of one player that computes its own values."""
        env: Any = self.environment
        q = env.exact_values(seen, jnp.zeros(()), self.prior.defaults, self.all_params(params), self.prior)
        return best_reply(self.log_prior_of(role, None, seen), q)

    @in_double_precision
    def _table(self, params: Parameters | None) -> Float[Array, "roles *situations actions"]:
        """Log-probabilities from the solver, at the smallest cost at which it converges."""
        exact, params = ExactPolicy(self.environment, self.prior), self.all_params(params)
        scale = self.environment.payoff_scale(params)
        if not traced(params, scale):
            solution = exact.solve(_COSTS[0] * scale, params=params)
            if solution.converged:  # one compiled solver serves all games of a kind
                return solution.log_strategies

        def at(share):
            solution = exact.solve(share * scale, params=params)
            return solution.log_strategies, solution.status == CONVERGED

        tables, solved = jax.lax.map(at, jnp.asarray(_COSTS, jnp.result_type(float)))
        return tables[jnp.argmax(solved)]

    def _smallest(self) -> tuple[LearnedPolicy, np.ndarray, dict[str, float] | None, dict[str, float]]:
        """(the learned policy in this game, its smallest cost, the population at its lower bounds, a flat habit)."""
        assert self.learned is not None
        boxes = dict(self.learned.domain.intervals)
        population = self.learned.population
        policy = self.learned.play(self.environment, population)
        phi = None if population is None else {n: boxes[f"phi.{n}"].low for n in population.parameters}
        return policy, np.asarray(boxes["cost"].low), phi, flat(self.learned)


def solvable(environment: Environment) -> bool:
    """Whether `ExactPolicy` solves the game."""
    return environment.solvable


def flat(policy: LearnedPolicy) -> dict[str, float]:
    """Parameters at which the habit of a learned policy is uniform, clipped to its trained domain."""
    boxes = dict(policy.domain.intervals)
    psi = policy.prior.defaults | (policy.prior.flat_parameters or {})
    box_of = lambda name: boxes.get(f"psi.{name}", REAL)
    return {n: float(np.clip(x, box_of(n).low, box_of(n).high)) for n, x in psi.items()}
