"""Habit alone."""

from functools import partial

from numpyro import distributions as dist

from bayescal.comparison.ingredients import HABIT_ALONE, Ingredients
from bayescal.comparison.mathml import formula
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival, habit_intervals, lapse_hyperprior
from bayescal.model.model import Model
from bayescal.policies.differing_habits import DifferingHabits
from bayescal.policies.habitual import HabitualPolicy

_INFORMATION = 6.0  # the most in one decision on a standard normal effect, with a spread of 1.5


def build(field: Field, *, differ: bool = False) -> Model:
    """
    Args:
        differ: whether each person has a value of their own for the habit's first parameter.
    """
    if differ:
        return _differing(field)
    habit = field.require_habit()
    parameters = field.habit_hyperpriors(habit)
    inferred = "its parameters inferred" if parameters else "nothing inferred: lapses from it do not show"
    return field.typed(
        HabitualPolicy(field.game, habit),
        parameters or lapse_hyperprior(),  # samplers need a parameter; a uniform habit is the same with lapses
        f"Habit alone: everybody plays the habit ({habit.words}, {inferred}), whatever it pays",
        natural=habit_intervals(habit),
    )


def _differing(field: Field) -> Model:
    if field.over_time:
        raise NotApplicable("habits that differ between people are for one-shot games")
    if not field.has_subjects:
        raise NotApplicable("the table does not say who decided")
    habit = field.require_habit()
    policy = DifferingHabits(field.game, habit, field.most_decisions * _INFORMATION)
    if not habit.parameters:
        raise NotApplicable(f"the habit ({habit.words}) has no parameters in which people could differ")
    return field.typed(
        policy,
        field.habit_hyperpriors(habit) | {"spread": dist.HalfNormal(1.0)},
        f"Habit alone: everybody plays the habit ({habit.words}, its parameters inferred) with a {policy.differs} of "
        "their own, which is integrated out, whatever it pays",
        natural=habit_intervals(habit),
    )


PRIOR_ONLY = Rival(
    "prior only",
    "People act out of habit, whatever it pays: every action is drawn from the habit.",
    build,
    (formula("π(a|o)=q(a|o)"),),
    Ingredients(HABIT_ALONE, habit="inferred", payoffs=False),
)
PRIOR_ONLY_PEOPLE = Rival(
    "prior only, people differ",
    "People act out of habit, whatever it pays, and differ in the first parameter of the habit.",
    partial(build, differ=True),
    (formula("π(a|o)=q(a|o)"),),
    Ingredients(HABIT_ALONE, habit="inferred", heterogeneity="people differ", payoffs=False),
)
