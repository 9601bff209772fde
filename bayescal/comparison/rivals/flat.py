"""A learned policy at a uniform habit."""

import equinox as eqx

from bayescal.comparison.rivals.base import NotApplicable
from bayescal.policies.learned import LearnedPolicy
from bayescal.policies.rational import flat
from bayescal.priors.base import Prior
from bayescal.priors.fixed import Fixed


def with_flat_habit(policy: LearnedPolicy) -> LearnedPolicy:
    """The policy with its habit held where it is uniform.

    Raises:
        NotApplicable: the policy's trained domain does not reach there.
    """
    habit = policy.prior
    if habit.flat:
        return policy
    if habit.flat_parameters is None:
        raise NotApplicable(f"the learned policy does not know a uniform habit ({habit.words} is never uniform)")
    psi = flat(policy)
    left = [n for n, x in habit.flat_parameters.items() if psi[n] != x]
    if left:
        raise NotApplicable(f"the learned policy does not know a uniform habit (its {', '.join(left)} cannot be 0)")
    return eqx.tree_at(lambda p: p.prior, policy, Fixed(habit, psi), is_leaf=lambda x: isinstance(x, Prior))
