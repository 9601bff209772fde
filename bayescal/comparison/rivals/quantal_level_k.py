"""Quantal level-k (Stahl & Wilson 1994, 1995): levels whose replies are noisy."""

from bayescal.comparison.mathml import EXP, formula, sub
from bayescal.comparison.rivals.base import Field, Rival
from bayescal.comparison.rivals.levels import HIGHEST, level_policy, share_hyperpriors
from bayescal.model.model import Model


def build(field: Field) -> Model:
    policy = level_policy(field, "quantal level-k", HIGHEST)
    return field.typed(
        policy,
        share_hyperpriors(policy) | field.cost_hyperprior(),
        f"Quantal levels of reasoning: everybody has a level from 0, which plays any action, to {policy.levels}, and "
        "replies at a common cost of information to the level below; the shares of levels are inferred",
    )


QUANTAL_LEVEL_K = Rival(
    "quantal level-k",
    "A person of level k replies, with noise, to level k − 1; level 0 plays any action. The noise is the same at all "
    "levels. Each person has a level of their own, which is summed out.",
    build,
    (formula(sub("π", "k"), "(a)∝", EXP, "(E[u(a,", sub("a", "k−1"), ")]/λ)"),),
    usual=False,
)
