"""What a table needs to know of a game. It is written out as protocols, so that reading data does not load JAX."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import pandas as pd


@runtime_checkable
class Contradiction(Protocol):
    """A recorded number that the rules of the game contradict: the row by position, the column, both numbers."""

    @property
    def row(self) -> int: ...
    @property
    def column(self) -> str: ...
    @property
    def found(self) -> float: ...
    @property
    def expected(self) -> float: ...


@runtime_checkable
class Replayed(Protocol):
    """What people saw before each decision, whether that is known, and where the table contradicts the game."""

    @property
    def observations(self) -> Mapping[str, np.ndarray]: ...
    @property
    def known(self) -> np.ndarray: ...
    @property
    def faults(self) -> Sequence[Any]: ...  # of Contradiction, as named tuples


@runtime_checkable
class Game(Protocol):
    """The part of `Environment` that reading a table uses."""

    @property
    def role_names(self) -> tuple[str, ...]: ...
    @property
    def action_values(self) -> tuple[tuple[float, ...], ...]: ...
    @property
    def action_labels(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def over_time(self) -> bool: ...
    @property
    def columns(self) -> Mapping[str, str]: ...
    def named_situations(self, role: int) -> Sequence[tuple[str, tuple[str, ...]]]: ...
    def replay(self, table: pd.DataFrame, *, tolerance: float = 0.01) -> Replayed: ...


class Grid(NamedTuple):
    """The actions that a decision is one of."""

    labels: tuple[str, ...]
    values: tuple[float, ...]
    ordered: bool


def grid_of(game: Game, role: int, situation: int = -1) -> Grid:
    """The actions of a role; those of one situation where these have names of their own (-1: it is not known)."""
    named = game.named_situations(role)
    if situation < 0 or not named:
        return Grid(game.action_labels[role], game.action_values[role], game.ordered)
    labels = named[situation][1]
    return Grid(labels, tuple(map(float, range(len(labels)))), False)


def longest_grid(game: Game) -> int:
    return max(len(grid) for grid in game.action_values)


def spellings(games: Sequence[Game]) -> tuple[list[str], list[str]]:
    """All names of roles and all labels of actions of some games, each once, in their order."""
    roles = (name for game in games for name in game.role_names)
    by_role = [(game, r) for game in games for r in range(len(game.role_names))]
    grids = (
        labels for game, r in by_role for labels in [game.action_labels[r], *(x for _, x in game.named_situations(r))]
    )
    actions = (label for labels in grids for label in labels)
    return list(dict.fromkeys(roles)), list(dict.fromkeys(actions))
