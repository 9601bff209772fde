"""Habits that suit the games of a study."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from bayescal.environments.base import Environment
from bayescal.priors.anchored import Anchored
from bayescal.priors.base import Prior
from bayescal.priors.focal import Focal
from bayescal.priors.log_linear import LogLinear
from bayescal.priors.product import Product

ROUND = (5.0, 10.0)  # multiples of these are focal


def habit_for(games: Sequence[Environment]) -> Prior | None:
    """A habit that suits the games; None where none does.

    Where actions are quantities: staying near some value, and round numbers. Where there are two actions that mean the
    same in every game: a preference for one of them.
    """
    if all(g.ordered for g in games):
        grids = [np.asarray(values) for g in one_of_each(games) for values in g.action_values]
        focal = [Focal(every) for every in ROUND if any(some_are_multiples(grid, every) for grid in grids)]
        return Product((Anchored(), *focal)) if focal else Anchored()
    two = all(len(values) == 2 for g in games for values in g.action_values)
    same = all(g.shared_meaning for g in games) and len({g.action_labels[0] for g in games}) == 1
    return LogLinear() if two and same else None


def one_of_each[Game: Environment](games: Sequence[Game]) -> list[Game]:
    """One game of each kind and size: the others differ from it in their parameters only."""
    return list({(type(g), g.role_counts, g.action_values): g for g in games}.values())


def some_are_multiples(grid: Float[np.ndarray, " actions"], every: float) -> bool:
    """Whether some values of a grid, and not all of them, are multiples of a number."""
    return 0 < int(np.sum(np.isclose(grid / every, np.round(grid / every)))) < len(grid)
