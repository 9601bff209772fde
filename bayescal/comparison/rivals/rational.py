"""Full rationality, with lapses."""

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.mathml import LAPSE
from bayescal.comparison.rivals.base import LAPSES, Field, NotApplicable, Rival, lapse_hyperprior
from bayescal.model.model import Model
from bayescal.policies.rational import RationalPolicy, solvable


def build(field: Field) -> Model:
    field.refuse_known_cost()
    if not all(map(solvable, field.games)):
        raise NotApplicable(
            f"{field.game.name} cannot be solved exactly; see plain RL, the learned policy at its smallest cost"
        )
    play = "the optimum" if field.alone else "the Nash equilibrium at the end of the principal branch"
    return field.typed(
        RationalPolicy(field.game), lapse_hyperprior(), f"Full rationality: everybody plays {play}{LAPSES}"
    )


RATIONAL = Rival(
    "rational",
    "Everybody plays the Nash equilibrium, or the optimum where nobody else is met, except for lapses: with "
    "probability ε a decision is any action, all equally likely.",
    build,
    (LAPSE,),
    Ingredients("Nash equilibrium"),
)
