"""The reply library: rules of thumb by kind of game. A new rule is one file and one line in `RULES`."""

from bayescal.environments.base import Environment
from bayescal.environments.cobweb import Cobweb
from bayescal.environments.cournot_repeated import RepeatedCournot
from bayescal.environments.supply_chain import SupplyChain
from bayescal.training.replies.adaptive import AdaptiveForecast, Naive
from bayescal.training.replies.base import Rule
from bayescal.training.replies.order_up_to import OrderUpTo, SmoothedOrderUpTo
from bayescal.training.replies.pass_on import PassOn
from bayescal.training.replies.regression import OneShotReply, RegressionForecast

__all__ = [
    "AdaptiveForecast", "Naive", "OneShotReply", "OrderUpTo", "PassOn", "RULES", "RegressionForecast", "Rule",
    "SmoothedOrderUpTo", "rules_of",
]  # fmt: skip

RULES: dict[type[Environment], tuple[Rule, ...]] = {
    SupplyChain: (OrderUpTo(), SmoothedOrderUpTo(), PassOn()),
    Cobweb: (Naive(), AdaptiveForecast(), RegressionForecast()),
    RepeatedCournot: (OneShotReply(),),
}


def rules_of(environment: Environment) -> tuple[Rule, ...]:
    """The rules of thumb for a game; none for a game that nobody has written rules for.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.training.replies import rules_of
        >>> [rule.name for rule in rules_of(bc.get_game("beer-game"))]
        ['order-up-to', 'smoothed order-up-to', 'pass on']
    """
    return next((rules for kind, rules in RULES.items() if isinstance(environment, kind)), ())
