"""Which action of a game's grid a cell names, by label or by value, and what to suggest if it names none."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from bayescal.table.columns import Column, as_number
from bayescal.table.faults import closest
from bayescal.table.game import Grid

Values = Float[np.ndarray, " actions"]


def match_actions(
    column: Column, codes: Int[np.ndarray, " texts"], grid: Grid, snap: bool
) -> tuple[Int[np.ndarray, " texts"], Bool[np.ndarray, " texts"]]:
    """The index of the action that each distinct value names (-1: none), and whether it was moved to the grid."""
    by_value = _by_value(grid)
    index = np.full(len(codes), -1, dtype=np.int64)
    snapped = np.zeros(len(codes), dtype=bool)
    if not (by_value and column.numeric):
        labels = {label.strip(): i for i, label in enumerate(grid.labels)}
        index[:] = [labels.get(column.texts[code], -1) for code in codes]
    if not by_value:
        return index, snapped
    numbers = column.numbers[codes]
    values = np.asarray(grid.values, dtype=float)
    order = np.argsort(values)
    values = values[order]
    near = _nearest(values, numbers)
    exact = np.abs(numbers - values[near]) <= _rounding(values)
    index = np.where((index < 0) & exact, order[near], index)
    if snap and grid.ordered:
        snapped = (index < 0) & (numbers > values[0]) & (numbers < values[-1])
        index = np.where(snapped, order[near], index)
    return index, snapped


def is_between(number: float, grid: Grid) -> bool:
    """Whether a number lies between two points of an ordered grid, so that it could be moved to the nearer one."""
    return bool(grid.ordered and _by_value(grid) and min(grid.values) < number < max(grid.values))


def suggestion(text: str, number: float, grid: Grid) -> str:
    """The one or two actions that were probably meant."""
    if not np.isfinite(number) or not grid.ordered:
        return closest(text, grid.labels)
    order = np.argsort(np.abs(np.asarray(grid.values) - number), kind="stable")[:2]
    return f" (closest: {', '.join(grid.labels[i] for i in sorted(order))})"


def grid_words(grid: Grid) -> str:
    """All actions if they are few, the ends of a long grid."""
    labels = grid.labels
    if len(labels) <= 10:
        return ", ".join(repr(label) for label in labels)
    return f"{labels[0]}, {labels[1]}, ..., {labels[-1]} ({len(labels)} actions)"


def _by_value(grid: Grid) -> bool:
    """Whether a cell may hold an action's value: not if its label is another number (1, 2 for 0, 1)."""
    numbers = [as_number(label) for label in grid.labels]
    half = _spacing(np.sort(np.asarray(grid.values, dtype=float))) / 2
    return all(math.isnan(x) or abs(x - v) < half for x, v in zip(numbers, grid.values, strict=True))


def _nearest(grid: Values, numbers: Float[np.ndarray, " numbers"]) -> Int[np.ndarray, " numbers"]:
    """The index of the nearest value of a sorted grid; the lower of two at equal distance."""
    above = np.clip(np.searchsorted(grid, numbers), 1, max(len(grid) - 1, 1))
    below = above - 1
    above = np.minimum(above, len(grid) - 1)
    return np.where(grid[above] - numbers < numbers - grid[below], above, below)


def _spacing(grid: Values) -> float:
    return float(np.min(np.diff(grid))) if len(grid) > 1 else 1.0


def _rounding(grid: Values) -> float:
    """How far a value may lie from its grid point: 0.1 + 0.2 is 0.3, and so is 0.3 in float32."""
    return min(1e-6 * _spacing(grid) + 1e-7 * float(np.max(np.abs(grid))), 0.1 * _spacing(grid))
