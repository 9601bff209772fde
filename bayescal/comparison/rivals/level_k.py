"""Level-k reasoning with best replies and lapses (Nagel 1995; Costa-Gomes & Crawford 2006)."""

from dataclasses import replace
from functools import partial

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import ARGMAX, LAPSE, formula, sub
from bayescal.comparison.rivals.base import LAPSES, Field, Rival, habit_intervals, lapse_hyperprior
from bayescal.comparison.rivals.levels import HIGHEST, habit_of, level_policy, share_hyperpriors
from bayescal.model.model import Model


def build(field: Field, *, inferred_habit: bool = False) -> Model:
    """
    Args:
        inferred_habit: whether level 0 plays the study's habit.
    """
    habit, psi, first = habit_of(field, inferred=inferred_habit)
    policy = level_policy(field, "level-k", HIGHEST, habit)
    return field.typed(
        policy,
        share_hyperpriors(policy) | lapse_hyperprior() | psi,
        f"Levels of reasoning: everybody has a level from 0, which plays {first}, to {policy.levels}, and gives the "
        f"best reply to the level below; the shares of levels are inferred{LAPSES}",
        natural=habit_intervals(habit),
    )


LEVEL_K = Rival(
    "level-k",
    "A person of level k plays the best reply to level k − 1, without noise but for lapses; level 0 plays any action. "
    "Each person has a level of their own, which is summed out. With noisy replies it is quantal level-k.",
    build,
    (formula(sub("a", "k"), "=", ARGMAX, "E[u(a,", sub("a", "k−1"), ")]"), LAPSE),
    Ingredients("level-k"),
)
LEVEL_K_HABIT = replace(
    LEVEL_K,
    name="level-k, inferred prior",
    description="Level-k reasoning in which level 0 plays the habit, whose strength ψ is inferred, and shares ties.",
    build=partial(build, inferred_habit=True),
    ingredients=Ingredients("level-k", habit="inferred"),
    usual=False,
)
