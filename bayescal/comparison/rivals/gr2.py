"""Recursive reasoning GR2 (Wen, Yang, Luo & Wang 2019): replies to one imagined action of the others at a time."""

from functools import partial
from typing import Literal

from bayescal.comparison.mathml import EXP, formula, over, row, sub, total
from bayescal.comparison.rivals.base import Field, NotApplicable, Rival
from bayescal.comparison.rivals.levels import HIGHEST_POISSON, level_policy, poisson_hyperprior, replies_are_the_same
from bayescal.model.model import Model

_IMAGINED = {"GR2-L": "the level below", "GR2-M": "all lower levels"}
_REPLY = over(row(EXP, "(u(a,b)/λ)"), row(total("c"), EXP, "(u(c,b)/λ)"))


def build(field: Field, *, kind: Literal["GR2-L", "GR2-M"]) -> Model:
    if not field.over_time and not field.alone and replies_are_the_same(field):
        raise NotApplicable(
            f"in {field.game.name} the best reply is the same whatever the others do, so replies to what is imagined "
            "are those of the cognitive hierarchy"
        )
    policy = level_policy(field, kind, HIGHEST_POISSON)
    return field.typed(
        policy,
        poisson_hyperprior() | field.cost_hyperprior(),
        f"Recursive reasoning {kind}: a person of level 1 to {policy.levels} imagines what others of {_IMAGINED[kind]} "
        "do, and replies to each such case at a common cost of information; levels are Poisson",
    )


GR2_L = Rival(
    "GR2-L",
    "A person of level k imagines what a person of level k − 1 does, and so on down to level 0, and gives a noisy "
    "reply to each imagined action; the replies are averaged.",
    partial(build, kind="GR2-L"),
    (formula(sub("π", "k"), "(a)=", total("b"), sub("π", "k−1"), "(b)", _REPLY),),
)
GR2_M = Rival(
    "GR2-M",
    "As GR2-L, but the imagined people are a Poisson mixture of all lower levels.",
    partial(build, kind="GR2-M"),
    (formula(sub("π", "k"), "(a)=", total("b"), total("h<k"), sub("g", "h"), sub("π", "h"), "(b)", _REPLY),),
)
