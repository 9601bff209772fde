"""Luce (power) quantal response equilibrium."""

from numpyro import distributions as dist

from bayescal.comparison.mathml import formula, over, power, row, total
from bayescal.comparison.rivals.base import Field, Rival
from bayescal.comparison.rivals.stationary import equilibrium_model, games_with_others
from bayescal.model.model import Model
from bayescal.policies.luce import LucePolicy, check_payoffs


def build(field: Field) -> Model:
    game = games_with_others(field)[0]

    def policy() -> LucePolicy:
        check_payoffs(field.one_shot_games)
        return LucePolicy(game)

    return equilibrium_model(
        field,
        policy,
        {"mu": dist.LogNormal(-1.0, 1.0)},
        "Luce quantal response equilibrium: everybody chooses in proportion to a power 1/mu of the expected payoff, as "
        "everybody knows",
    )


LUCE = Rival(
    "Luce",
    "Everybody chooses with probabilities in proportion to a power of the expected payoff, and knows that the others "
    "do. The unit of payoffs does not matter, but a sum added to all of them does. Payoffs are not negative.",
    build,
    (formula("π(a)=", over(power("U(a)", "1/μ"), row(total("b"), power("U(b)", "1/μ")))),),
    usual=False,
)
