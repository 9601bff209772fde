"""The Poisson cognitive hierarchy with quantal replies (Camerer, Ho & Chong 2004)."""

from bayescal.comparison.mathml import EXP, POISSON, formula, over, sub, text, total
from bayescal.comparison.rivals.base import Field, Rival
from bayescal.comparison.rivals.levels import HIGHEST_POISSON, level_policy, poisson_hyperprior
from bayescal.model.model import Model


def build(field: Field) -> Model:
    policy = level_policy(field, "cognitive hierarchy", HIGHEST_POISSON)
    return field.typed(
        policy,
        poisson_hyperprior() | field.cost_hyperprior(),
        f"Poisson cognitive hierarchy: a person of level 1 to {policy.levels} meets people of all lower levels (level "
        "0 plays any action) and replies at a common cost of information",
    )


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
)
