"""What a cost of information means for a choice."""

import math

import numpy as np

from bayescal.posterior.fit import Fit
from bayescal.posterior.tree import personal


def share_of_better(cost: float, gap: float) -> float:
    """How often the better of two options is chosen whose payoffs differ by `gap`, with no habit for either.

    Example:
        >>> from bayescal.report.meaning import share_of_better
        >>> round(share_of_better(0.8, 1.0), 2)
        0.78
    """
    return 1 / (1 + math.exp(-gap / cost))


def meaning_of(cost: float, units: str) -> str:
    """A cost in words, by two options whose payoffs differ by a round number that is near the cost.

    Example:
        >>> from bayescal.report.meaning import meaning_of
        >>> meaning_of(0.8, "points")
        'at a cost of 0.8 the better of two options that are 1 point apart is chosen 78% of the time'
    """
    tens = 10.0 ** math.floor(math.log10(cost))
    gap = min((k * tens for k in (1, 2, 5, 10)), key=lambda gap: abs(math.log(gap / (1.25 * cost))))
    unit = units.removesuffix("s") if gap == 1 else units
    share = share_of_better(cost, gap)
    return (
        f"at a cost of {cost:.3g} the better of two options that are {gap:g} {unit} apart is chosen {share:.0%} of "
        "the time"
    )


def typical_cost(fit: Fit) -> float | None:
    """The posterior median of the cost, over all who have one; None of a model without costs."""
    draws = personal(fit.tree)
    cost = float(np.median(draws["cost"].to_numpy())) if "cost" in draws else math.nan
    return cost if 0 < cost < math.inf else None
