"""Habit alone."""

from bayescal.comparison.mathml import formula
from bayescal.comparison.rivals.base import Field, Rival, habit_intervals, lapse_hyperprior
from bayescal.model.model import Model
from bayescal.policies.habitual import HabitualPolicy
from bayescal.priors.uniform import Uniform


def build(field: Field) -> Model:
    habit = field.habit or Uniform()
    parameters = field.habit_hyperpriors(habit)
    inferred = "its parameters inferred" if parameters else "nothing inferred: lapses from it do not show"
    return field.typed(
        HabitualPolicy(field.game, habit),
        parameters or lapse_hyperprior(),  # samplers need a parameter; a uniform habit is the same with lapses
        f"Habit alone: everybody plays the habit ({habit.words}, {inferred}), whatever it pays",
        natural=habit_intervals(habit),
    )


PRIOR_ONLY = Rival(
    "prior only",
    "People act out of habit, whatever it pays: every action is drawn from the habit.",
    build,
    (formula("π(a|o)=q(a|o)"),),
)
