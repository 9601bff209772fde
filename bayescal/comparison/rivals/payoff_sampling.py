"""Payoff-sampling equilibrium (Osborne & Rubinstein 1998; Selten & Chmura 2008)."""

from bayescal.comparison.mathml import ARGMAX, LAPSE, formula, over, sub, total
from bayescal.comparison.rivals.base import Field, Rival
from bayescal.comparison.rivals.sampling import build_sampling
from bayescal.model.model import Model
from bayescal.policies.payoff_sampling import PayoffSamplingPolicy


def build(field: Field) -> Model:
    choice = "the action that paid most in a sample of the payoffs of each"
    return build_sampling(field, PayoffSamplingPolicy, "Payoff-sampling", choice)


PAYOFF_SAMPLING = Rival(
    "payoff sampling",
    "Everybody tries each action n times against others, who do the same, and takes the one that paid most, except for "
    "lapses; n is inferred.",
    build,
    (formula("a=", ARGMAX, over("1", "n"), total("t"), "u(a,", sub("b", "at"), ")"), LAPSE),
)
