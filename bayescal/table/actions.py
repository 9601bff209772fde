"""Which action of a game's grid a cell names, by label or by value, and what to suggest if it names none."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from bayescal.table.columns import Column, as_number
from bayescal.table.faults import closest
from bayescal.table.game import Game

Grid = Float[np.ndarray, " actions"]


def match_actions(
    column: Column, codes: Int[np.ndarray, " texts"], game: Game, role: int, snap: bool
) -> tuple[Int[np.ndarray, " texts"], Bool[np.ndarray, " texts"]]:
    """The index of the action that each distinct value names (-1: none), and whether it was moved to the grid."""
    by_value = _by_value(game, role)
    index = np.full(len(codes), -1, dtype=np.int64)
    snapped = np.zeros(len(codes), dtype=bool)
    if not (by_value and column.numeric):
        labels = {label.strip(): i for i, label in enumerate(game.action_labels[role])}
        index[:] = [labels.get(column.texts[code], -1) for code in codes]
    if not by_value:
        return index, snapped
    numbers = column.numbers[codes]
    values = np.asarray(game.action_values[role], dtype=float)
    order = np.argsort(values)
    grid = values[order]
    near = _nearest(grid, numbers)
    exact = np.abs(numbers - grid[near]) <= _rounding(grid)
    index = np.where((index < 0) & exact, order[near], index)
    if snap and game.ordered:
        snapped = (index < 0) & (numbers > grid[0]) & (numbers < grid[-1])
        index = np.where(snapped, order[near], index)
    return index, snapped


def is_between(number: float, game: Game, role: int) -> bool:
    """Whether a number lies between two points of an ordered grid, so that it could be moved to the nearer one."""
    values = game.action_values[role]
    return bool(game.ordered and _by_value(game, role) and min(values) < number < max(values))


def suggestion(text: str, number: float, game: Game, role: int) -> str:
    """The one or two actions that were probably meant."""
    labels, values = game.action_labels[role], game.action_values[role]
    if not np.isfinite(number) or not game.ordered:
        return closest(text, labels)
    order = np.argsort(np.abs(np.asarray(values) - number), kind="stable")[:2]
    return f" (closest: {', '.join(labels[i] for i in sorted(order))})"


def grid_words(game: Game, role: int) -> str:
    """The actions of a role: all of them if they are few, the ends of a long grid."""
    labels = game.action_labels[role]
    if len(labels) <= 10:
        return ", ".join(repr(label) for label in labels)
    return f"{labels[0]}, {labels[1]}, ..., {labels[-1]} ({len(labels)} actions)"


def _by_value(game: Game, role: int) -> bool:
    """Whether a cell may hold an action's value: not if its label is another number (1, 2 for 0, 1)."""
    numbers = [as_number(label) for label in game.action_labels[role]]
    values = game.action_values[role]
    half = _spacing(np.sort(np.asarray(values, dtype=float))) / 2
    return all(math.isnan(x) or abs(x - v) < half for x, v in zip(numbers, values, strict=True))


def _nearest(grid: Grid, numbers: Float[np.ndarray, " numbers"]) -> Int[np.ndarray, " numbers"]:
    """The index of the nearest value of a sorted grid; the lower of two at equal distance."""
    above = np.clip(np.searchsorted(grid, numbers), 1, max(len(grid) - 1, 1))
    below = above - 1
    above = np.minimum(above, len(grid) - 1)
    return np.where(grid[above] - numbers < numbers - grid[below], above, below)


def _spacing(grid: Grid) -> float:
    return float(np.min(np.diff(grid))) if len(grid) > 1 else 1.0


def _rounding(grid: Grid) -> float:
    """How far a value may lie from its grid point: 0.1 + 0.2 is 0.3, and so is 0.3 in float32."""
    return min(1e-6 * _spacing(grid) + 1e-7 * float(np.max(np.abs(grid))), 0.1 * _spacing(grid))
