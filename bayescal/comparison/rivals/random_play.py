"""Random play: every action is as likely as any other."""

from bayescal.comparison.ingredients import HABIT_ALONE, Ingredients
from bayescal.comparison.mathml import formula, over, text
from bayescal.comparison.rivals.base import Field, Rival, lapse_hyperprior
from bayescal.model.model import Model
from bayescal.policies.habitual import HabitualPolicy


def build(field: Field) -> Model:
    return field.typed(
        HabitualPolicy(field.game),
        lapse_hyperprior(),  # samplers need a parameter; uniform play is the same with lapses
        "Random play: every action is as likely as any other, whatever it pays",
    )


RANDOM_PLAY = Rival(
    "random play",
    "People act at random: every action is as likely as any other.",
    build,
    (formula("p(a)=", over("1", text("number of actions"))),),
    Ingredients(HABIT_ALONE, payoffs=False),
)
