"""Recursive reasoning GR2 (Wen, Yang, Luo & Wang 2019): replies to one imagined action of the others at a time."""

from dataclasses import replace
from functools import partial
from typing import Literal

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import EXP, formula, over, row, sub, total
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival, habit_intervals
from bayescal.comparison.rivals.levels import (
    HIGHEST_POISSON,
    LEVEL_0,
    habit_of,
    level_policy,
    poisson_hyperprior,
    replies_are_the_same,
)
from bayescal.model.model import Model

_IMAGINED = {"GR2-L": "the level below", "GR2-M": "all lower levels"}
_REPLY = over(row(EXP, "(u(a,b)/λ)"), row(total("c"), EXP, "(u(c,b)/λ)"))


def build(field: Field, *, kind: Literal["GR2-L", "GR2-M"], inferred_habit: bool = False) -> Model:
    """
    Args:
        inferred_habit: whether level 0 plays the study's habit, from which replies depart as well.
    """
    if not field.over_time and not field.alone and replies_are_the_same(field):
        raise NotApplicable(
            f"in {field.game.name} the best reply is the same whatever the others do, so replies to what is imagined "
            "are those of the cognitive hierarchy"
        )
    habit, psi, first = habit_of(field, inferred=inferred_habit)
    policy = level_policy(field, kind, HIGHEST_POISSON, habit)
    return field.typed(
        policy,
        poisson_hyperprior() | field.cost_hyperprior() | psi,
        f"Recursive reasoning {kind}: a person of level 1 to {policy.levels} imagines what others of {_IMAGINED[kind]} "
        f"do, and replies to each such case at a common cost of information; level 0 plays {first}; levels are Poisson",
        natural=habit_intervals(habit),
    )


GR2_L = Rival(
    "GR2-L",
    "A person of level k imagines what a person of level k − 1 does, and so on down to level 0, and gives a noisy "
    "reply to each imagined action; the replies are averaged.",
    partial(build, kind="GR2-L"),
    (formula(sub("π", "k"), "(a)=", total("b"), sub("π", "k−1"), "(b)", _REPLY),),
    Ingredients("GR2-L"),
)
GR2_M = Rival(
    "GR2-M",
    "As GR2-L, but the imagined people are a Poisson mixture of all lower levels.",
    partial(build, kind="GR2-M"),
    (formula(sub("π", "k"), "(a)=", total("b"), total("h<k"), sub("g", "h"), sub("π", "h"), "(b)", _REPLY),),
    Ingredients("GR2-M"),
)
GR2_L_HABIT = replace(
    GR2_L,
    name="GR2-L, inferred prior",
    description=f"GR2-L with a habit. {LEVEL_0}",
    build=partial(build, kind="GR2-L", inferred_habit=True),
    ingredients=Ingredients("GR2-L", habit="inferred"),
    usual=False,
)
GR2_M_HABIT = replace(
    GR2_M,
    name="GR2-M, inferred prior",
    description=f"GR2-M with a habit. {LEVEL_0}",
    build=partial(build, kind="GR2-M", inferred_habit=True),
    ingredients=Ingredients("GR2-M", habit="inferred"),
    usual=False,
)
