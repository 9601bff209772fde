"""The Poisson cognitive hierarchy with quantal replies (Camerer, Ho & Chong 2004).

With an inferred prior, the habit is the play of level 0 and what replies depart from. (Were it only the one or the
other, higher levels would know of a default that nobody has, or the other way round.)
"""

from dataclasses import replace
from functools import partial

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import EXP, POISSON, formula, over, sub, text, total
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival, habit_intervals
from bayescal.comparison.rivals.levels import HIGHEST_POISSON, LEVEL_0, habit_of, level_policy, poisson_hyperprior
from bayescal.model.model import Model
from bayescal.policies.level_costs import LevelCostsPolicy
from bayescal.policies.level_k import LevelKPolicy
from bayescal.populations.log_normal import LogNormal

_KIND = "cognitive hierarchy"
_INFORMATION = 0.6 * 2.0**2  # in one decision on a standard normal cost, where log costs have a standard deviation of 2
_MOST = 3_000_000  # probabilities that are computed in each step in reasonable time


def build(field: Field, *, inferred_habit: bool = False, differ: bool = False) -> Model:
    """
    Args:
        inferred_habit: whether level 0 plays the study's habit, from which replies depart as well.
        differ: whether people have costs of their own.
    """
    habit, psi, first = habit_of(field, inferred=inferred_habit)
    policy: LevelKPolicy | LevelCostsPolicy = level_policy(field, _KIND, HIGHEST_POISSON, habit)
    levels = policy.levels
    if differ:
        field.refuse_known_cost()
        policy, costs = _with_costs(field, policy), LogNormal().default_hyperpriors(field.payoff_scale)
        costs |= field.population_hyperpriors(LogNormal())
        at = "a cost of their own, drawn from a log-normal population, to the average of these people"
    else:
        costs, at = field.cost_hyperprior(), "a common cost of information"
    return field.typed(
        policy,
        poisson_hyperprior() | costs | psi,
        f"Poisson cognitive hierarchy: a person of level 1 to {levels} meets people of all lower levels (level 0 plays "
        f"{first}) and replies at {at}",
        natural=habit_intervals(habit),
    )


def _with_costs(field: Field, policy: LevelKPolicy) -> LevelCostsPolicy:
    """The same levels for people whose costs differ."""
    if not field.has_subjects:
        raise NotApplicable("the table does not say who decided")
    made = LevelCostsPolicy(policy.environment, _KIND, policy.prior, policy.levels, field.most_decisions * _INFORMATION)
    size = (made.levels + 1) * len(field.places) * field.decisions.counts.shape[1]
    if size > _MOST:
        raise NotApplicable(f"{size:,} probabilities would be computed in each step, which takes too long")
    return made


COGNITIVE_HIERARCHY = Rival(
    "cognitive hierarchy",
    "A person of level k replies, with noise, to a Poisson mixture of all lower levels. Each person has a level of "
    "their own, which is summed out.",
    build,
    (
        formula(
            *(sub("π", "k"), "(a)∝", EXP, "(", over("1", "λ"), total("h<k"), sub("g", "h"), "E[u(a,", sub("a", "h")),
            *(")]),  ", text("  "), *POISSON),
        ),
    ),
    Ingredients(_KIND),
)
_COSTS = "People differ in their cost of information too, and reply to the average of lower levels."
HIERARCHY_HABIT = replace(
    COGNITIVE_HIERARCHY,
    name="cognitive hierarchy, inferred prior",
    description=f"A cognitive hierarchy with a habit. {LEVEL_0}",
    build=partial(build, inferred_habit=True),
    ingredients=Ingredients(_KIND, habit="inferred"),
)
HIERARCHY_COSTS = replace(
    COGNITIVE_HIERARCHY,
    name="cognitive hierarchy, different costs",
    description=f"A cognitive hierarchy. {_COSTS}",
    build=partial(build, differ=True),
    ingredients=Ingredients(_KIND, heterogeneity="people differ"),
    usual=False,
)
HIERARCHY_COSTS_HABIT = replace(
    COGNITIVE_HIERARCHY,
    name="cognitive hierarchy, different costs, inferred prior",
    description=f"{_COSTS} {LEVEL_0}",
    build=partial(build, inferred_habit=True, differ=True),
    ingredients=Ingredients(_KIND, habit="inferred", heterogeneity="people differ"),
    usual=False,
)
