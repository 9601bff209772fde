"""What each ingredient of a model is worth: differences between models that differ in this ingredient only.

An ingredient is looked at in every pair of models that differ in nothing else, and its worth is the mean over these
pairs, unit by unit; its standard error is that of the sum over units.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from bayescal.comparison.sums import Units
from bayescal.plain import plain

HABIT_ALONE = "habit alone"
NO_PAYOFFS = "no payoffs"

Habit = Literal["uniform", "inferred"]
Heterogeneity = Literal["alike", "people differ"]
Pooling = Literal["complete", "by game", "by group", "none"]

# What a value of an ingredient is called, beside the first value of the same ingredient.
ADDED = {
    "inferred": "an inferred prior",
    "people differ": "people who differ",
    "by game": "effects of games",
    "by group": "effects of groups",
    "none": "shares of each game by itself",
}


@dataclass(frozen=True)
class Ingredients:
    """What a model is made of.

    Attributes:
        behaviour: how people choose: "equilibrium", "cognitive hierarchy", …; "habit alone" or "no payoffs" where
            payoffs do not matter.
        habit: whether the default choice distribution is uniform, or inferred from the data.
        heterogeneity: whether people differ by degrees (in cost, or in what they lean to). Levels of reasoning belong
            to the behaviour.
        pooling: whether all games share their numbers, or each game (or group) has its own around a common mean
            ("by game"), or its own without any ("none").
        payoffs: whether payoffs matter.

    Example:
        >>> from bayescal.comparison.ingredients import Ingredients
        >>> Ingredients("equilibrium", habit="inferred").beyond(Ingredients("level-k"))
        ('an inferred prior',)
    """

    behaviour: str
    habit: Habit = "uniform"
    heterogeneity: Heterogeneity = "alike"
    pooling: Pooling = "complete"
    payoffs: bool = True

    def beyond(self, other: "Ingredients") -> tuple[str, ...]:
        """What it has that another one lacks, whatever their behaviours are."""
        own = [(getattr(self, n), getattr(other, n)) for n in ("habit", "heterogeneity", "pooling")]
        return tuple(ADDED[a] for a, b in own if a != b and a in ADDED and b not in ADDED)

    def like(self, other: "Ingredients") -> "Ingredients":
        """The same behaviour with the other's habit, heterogeneity and pooling."""
        return replace(other, behaviour=self.behaviour, payoffs=self.payoffs)


@dataclass(frozen=True)
class Worth:
    """What an ingredient is worth out of sample.

    Attributes:
        ingredient: what is added.
        over: what it is added to.
        nats: difference of expected log predictive density, the mean over the pairs.
        se: its standard error over units.
        pairs: (model without it, model with it).
    """

    ingredient: str
    over: str
    nats: float
    se: float
    pairs: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return plain({f.name: getattr(self, f.name) for f in fields(self)})


def worths(made_of: Mapping[str, Ingredients], pointwise: pd.DataFrame, units: Units) -> tuple[Worth, ...]:
    """What each ingredient is worth, over all pairs of models that differ in nothing else.

    Args:
        made_of: by model; models that are not among the columns of `pointwise` are left out.
        pointwise: expected log predictive density of each unit (rows) in each model (columns).
        units: what the rows stand for.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from bayescal.comparison.ingredients import Ingredients, worths
        >>> from bayescal.comparison.sums import Units
        >>> made_of = {"old": Ingredients("equilibrium"), "new": Ingredients("equilibrium", habit="inferred")}
        >>> pointwise = pd.DataFrame({"old": [-3.0, -4.0], "new": [-1.0, -3.0]})
        >>> [(w.ingredient, w.over, w.nats, w.se) for w in worths(made_of, pointwise, Units(np.array([1, 1])))]
        [('an inferred prior', 'a uniform prior', 3.0, 1.0)]
    """
    there = {n: i for n, i in made_of.items() if n in pointwise}
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for without, a in there.items():
        for having, b in there.items():
            for added in _added(a, b):
                pairs.setdefault(added, []).append((without, having))
    found = []
    for (ingredient, over), of in sorted(pairs.items(), key=lambda x: _order(*x[0])):
        mean = np.mean([(pointwise[b] - pointwise[a]).to_numpy() for a, b in of], axis=0)
        found.append(Worth(ingredient, over, float(mean.sum()), units.standard_error(mean), tuple(of)))
    return tuple(found)


# By ingredient, its first value, and how it is called.
_BASE = {
    "habit": ("uniform", "a uniform prior"),
    "heterogeneity": ("alike", "people who are alike"),
    "pooling": ("complete", "complete pooling"),
}


def _added(a: Ingredients, b: Ingredients) -> Iterator[tuple[str, str]]:
    """(what b has beyond a, what a has there), where they differ in one ingredient only."""
    apart = [n for n in ("behaviour", *_BASE) if getattr(a, n) != getattr(b, n)]
    if len(apart) != 1:
        return
    (name,) = apart
    if name in _BASE:
        base, words = _BASE[name]
        if getattr(a, name) == base:
            yield ADDED[getattr(b, name)], words
    elif a.behaviour == HABIT_ALONE and b.payoffs:
        yield b.behaviour, HABIT_ALONE
    elif a.behaviour == NO_PAYOFFS and b.payoffs:
        yield "payoffs", NO_PAYOFFS


def _order(ingredient: str, over: str) -> tuple[int, str]:
    """Behaviours first, equilibrium before others; then habit, heterogeneity, pooling; payoffs last."""
    if ingredient in ADDED.values():
        return 2 + list(ADDED.values()).index(ingredient), ""
    return (99, "") if over == NO_PAYOFFS else (0 if ingredient == "equilibrium" else 1, ingredient)
