"""Level-k reasoning with best replies and lapses (Nagel 1995; Costa-Gomes & Crawford 2006)."""

from numpyro import distributions as dist

from bayescal.comparison.mathml import ARGMAX, LAPSE, formula, sub
from bayescal.comparison.rivals.base import LAPSES, Field, Rival, lapse_hyperprior
from bayescal.comparison.rivals.levels import level_policy
from bayescal.model.model import Model

HIGHEST = 3  # people of higher levels are hardly ever found


def build(field: Field) -> Model:
    policy = level_policy(field, "level-k", HIGHEST)
    shares = {name: dist.Normal(0.0, 1.5) for name in policy.parameters}
    return field.typed(
        policy,
        shares | lapse_hyperprior(),
        f"Levels of reasoning: everybody has a level from 0, which plays any action, to {policy.levels}, and gives the "
        f"best reply to the level below; the shares of levels are inferred{LAPSES}",
    )


LEVEL_K = Rival(
    "level-k",
    "A person of level k plays the best reply to level k − 1, without noise but for lapses; level 0 plays any action. "
    "Each person has a level of their own, which is summed out. (With noisy replies it is quantal level-k.)",
    build,
    (formula(sub("a", "k"), "=", ARGMAX, "E[u(a,", sub("a", "k−1"), ")]"), LAPSE),
)
