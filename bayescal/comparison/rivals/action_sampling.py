"""Action-sampling equilibrium (Osborne & Rubinstein 2003; Selten & Chmura 2008)."""

from bayescal.comparison.mathml import ARGMAX, LAPSE, formula, over, sub, total
from bayescal.comparison.rivals.base import Field, Rival
from bayescal.comparison.rivals.sampling import build_sampling
from bayescal.model.model import Model
from bayescal.policies.action_sampling import ActionSamplingPolicy


def build(field: Field) -> Model:
    return build_sampling(
        field, ActionSamplingPolicy, "Action-sampling", "the best reply to a sample of others' actions"
    )


ACTION_SAMPLING = Rival(
    "action sampling",
    "Everybody sees n of the actions of others, who do the same, and plays the best reply to this sample, except for "
    "lapses; n is inferred.",
    build,
    (formula("a=", ARGMAX, over("1", "n"), total("t"), "u(a,", sub("b", "t"), ")"), LAPSE),
)
