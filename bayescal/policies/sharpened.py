"""The sharpened policy: Newton steps from a network's answer to the equilibrium of a one-shot game.

A learned policy predicts values Q. In equilibrium Q = U(p(Q)): each value is what the action is worth if all play as
the values say. Newton's method solves this equation from the network's values, in three or four steps where it is
good. The result is differentiable by the implicit function theorem: one linear system, and no derivative of the
network.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from bayescal._types import Actions, Costs, Observation, Parameters, RoleActions
from bayescal.domain import Domain
from bayescal.environments.base import Environment, OneShot
from bayescal.errors import InputError
from bayescal.policies.base import PolicyKind
from bayescal.policies.eager import in_double_precision
from bayescal.policies.learned import LearnedPolicy, Others, replace_environment, with_network
from bayescal.policies.one_shot import Solution, sharpen_one_shot
from bayescal.populations.base import Population
from bayescal.priors.base import Prior


class SharpenedPolicy(LearnedPolicy):
    """The exact equilibrium of a one-shot game, found from a learned policy's answer.

    Args:
        learned: where Newton's method starts. Its domain, game, prior and population are also this policy's.
        steps: the most Newton steps. Where they do not come to rest, come to an equilibrium that is not stable under
            replies, or move a probability by more than 0.25, the principal branch is followed from the habit instead,
            as `ExactPolicy` does.

    In double precision its probabilities are those of `ExactPolicy` within 1e-8, except in games with several
    equilibria of which the network has learned another one than that of the principal branch: Newton's method then
    finds the network's. Compare with `ExactPolicy` (`bayescal.reweight`) where that matters.

    Differentiable in cost, phi, psi and params, forwards and backwards. As with `ExactPolicy`, an eager call computes
    in float64, and where no equilibrium is found probabilities are NaN and `solve` says so.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.SharpenedPolicy(bc.load_model("normal-form-2x2"))
        >>> here = policy.play(bc.get_game("selten-chmura-01"))
        >>> solved = here.solve(0.8)
        >>> solved.message, [f"{p:.4f}" for p in solved.strategies[:, 0]]
        ('converged', ['0.0380', '0.6741'])
    """

    policy_kind = PolicyKind.SHARPENED
    learned: LearnedPolicy
    network: PyTree
    environment: Environment
    variants: tuple[Environment, ...]
    prior: Prior
    population: Population | None
    domain: Domain = eqx.field(static=True)
    own_box: Domain | None = eqx.field(static=True)
    others: Others = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def __init__(self, learned: LearnedPolicy, *, steps: int = 8):
        if not isinstance(learned.environment, OneShot):
            raise InputError(
                f"SharpenedPolicy: {learned.environment.name} is a game over time, and Newton steps to an equilibrium "
                "are for one-shot games: train the policy longer, and look at its certificate."
            )
        if steps < 1:
            raise InputError(f"SharpenedPolicy: steps is {steps}; give at least one.")
        for name in ("network", "environment", "variants", "prior", "population", "domain", "own_box", "others"):
            setattr(self, name, getattr(learned, name))
        self.learned, self.steps = learned, steps

    @property
    def architecture(self) -> dict[str, Any]:
        return self.learned.architecture

    def fresh(self, key: PRNGKeyArray) -> PyTree:
        return self.learned.fresh(key)

    def check(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> None:
        self._start.check(cost, phi, psi, params)

    @property
    def _start(self) -> LearnedPolicy:
        """The learned policy in the game that this one is played in."""
        return with_network(replace_environment(self.learned, self.environment), self.network)

    @in_double_precision
    def solve(
        self,
        cost: Costs | None = None,
        phi: Parameters | None = None,
        psi: Parameters | None = None,
        params: Parameters | None = None,
    ) -> Solution:
        """The equilibrium, see `ExactPolicy.solve`. `steps` of the solution counts Newton steps and, where it was
        followed, those along the principal branch."""
        return self._sharpen(cost, phi, psi, params)[0]

    @in_double_precision
    def found_near(
        self,
        cost: Costs | None = None,
        phi: Parameters | None = None,
        psi: Parameters | None = None,
        params: Parameters | None = None,
    ) -> Bool[Array, ""]:
        """Whether Newton steps from the network's answer found the equilibrium, so that nothing was followed."""
        return self._sharpen(cost, phi, psi, params)[1]

    @in_double_precision
    def values(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """Expected payoff of each action in equilibrium, by role."""
        return self._sharpen(cost, phi, psi, params)[0].expected_payoffs

    def values_of(
        self,
        role: int,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        return self.values(cost, phi, psi, params)[role]

    # Probabilities follow from `values` as a learned policy's do.
    @in_double_precision
    def log_prob(
        self,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        return super().log_prob(observation, cost, phi, psi, params)

    @in_double_precision
    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        return super().log_prob_all(cost, phi, psi, params)

    @in_double_precision
    def log_prob_by_type(
        self, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> Float[Array, "roles types actions"]:
        return super().log_prob_by_type(phi, psi, params)

    def _sharpen(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> tuple[Solution, Bool[Array, ""]]:
        self.check(cost, phi, psi, params)
        assert isinstance(self.environment, OneShot)
        costs, weights = self._types(cost, phi)
        given = jax.lax.stop_gradient((None if self.private else costs[:, 0], phi, psi, self.all_params(params)))
        start = self._start.values(*given)
        log_q, params = self.log_prior(psi), self.all_params(params)
        return sharpen_one_shot(self.environment, log_q, costs, weights, params, start, self.steps)

    def _types(
        self, cost: Costs | None, phi: Parameters | None
    ) -> tuple[Float[Array, "roles types"], Float[Array, " types"]]:
        """(possible costs of a player of each role, their probabilities). Costs of zero and infinity, which are limits
        of the choice and not of the equilibrium, become the bounds of the trained domain."""
        if self.private:
            nodes, weights = self._population.quadrature(phi or {})
            return jnp.broadcast_to(nodes, (self.environment.roles, nodes.shape[0])), weights
        if cost is None:
            raise InputError("No cost was given: pass cost=… (one number, or one per role).")
        costs, box = self._costs(cost), self.cost_interval
        costs = jnp.where(costs > 0, jnp.where(jnp.isfinite(costs), costs, box.high), box.low)
        return costs[:, None], jnp.ones(1, costs.dtype)
