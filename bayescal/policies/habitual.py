"""The habitual player: always plays the habit, which costs no information."""

from bayescal._types import Actions, Costs, Observation, Parameters, RoleActions
from bayescal.environments.base import Environment, OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.policies.base import PolicyKind, PriorPolicy, hide_absent
from bayescal.policies.exact import ExactPolicy
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform


class HabitualPolicy(PriorPolicy):
    """Plays the habit: the limit of an infinite cost. Works for every game; cost, phi and params do not matter.

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
        if isinstance(env, FiniteGame) and not env.same_actions:  # actions differ by situation
            return hide_absent(ExactPolicy(env, self.prior).log_prior(psi)[role, env.situation_of(seen)])
        return hide_absent(self.log_prior_of(role, psi, seen))

    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        return hide_absent(self.log_prior(psi))
