"""Impulse balance equilibrium (Selten & Chmura 2008)."""

from bayescal.comparison.mathml import LAPSE, formula, total
from bayescal.comparison.rivals.base import LAPSES, Field, Rival, lapse_hyperprior
from bayescal.comparison.rivals.stationary import equilibrium_model, games_with_others
from bayescal.model.model import Model
from bayescal.policies.impulse_balance import ImpulseBalancePolicy


def build(field: Field) -> Model:
    game = games_with_others(field)[0]
    return equilibrium_model(
        field,
        lambda: ImpulseBalancePolicy(game),
        lapse_hyperprior(),
        f"Impulse balance equilibrium: in everybody's play the regrets towards and away from each action balance, and "
        f"losses count double{LAPSES}",
    )


IMPULSE_BALANCE = Rival(
    "impulse balance",
    "People feel an impulse towards what would have paid more, as strong as what they missed, losses against the "
    "maximin payoff counting double. In equilibrium the impulses towards and away from each action balance, except for "
    "lapses.",
    build,
    (formula(total("b"), "p(b)r(b,a)=p(a)", total("b"), "r(a,b)"), LAPSE),
)
