"""Rebuilding what subjects saw from the recorded decisions."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from bayescal._types import Number


class Fault(NamedTuple):
    """A recorded number that the game contradicts: the row (by position), the column, and both numbers."""

    row: int
    column: str
    found: float
    expected: float


class Replay(NamedTuple):
    """What `Environment.replay` rebuilds from a table of play.

    The table has one row per decision, in any order, with the columns participant, group (texts), role_index, round,
    action_index (integers), value (of the action), and those of `Environment.columns` as numbers, NaN where a cell
    is empty or the table has no such column.

    Attributes:
        observations: by name as in `Environment.observe`; arrays with the table's rows first.
        known: whether a row's observation could be rebuilt (earlier rounds may be missing). Other rows are not used
            as decisions, but still in the observations of others.
        faults: where the table contradicts the game by more than the tolerance. Nothing is corrected.
    """

    observations: dict[str, np.ndarray]
    known: Bool[np.ndarray, " rows"]
    faults: list[Fault] = []  # noqa: RUF012 - never changed


def contradictions(
    column: str,
    found: Float[np.ndarray, " rows"],
    expected: Float[np.ndarray, " rows"],
    tolerance: Number,
) -> list[Fault]:
    """Faults of one column: both numbers are known and differ by more than the tolerance."""
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(np.abs(found - expected) > tolerance)  # NaN is no contradiction
    return [Fault(int(i), column, float(found[i]), float(expected[i])) for i in rows]


def previous_row(table: pd.DataFrame) -> Int[np.ndarray, " rows"]:
    """Index of the same participant's row in the previous round; -1 if there is none."""
    who = pd.factorize(table["group"].astype(str) + "\0" + table["participant"].astype(str))[0].astype(np.int64)
    when = table["round"].to_numpy(np.int64)
    span = int(when.max() - when.min()) + 2 if len(when) else 1
    key = who * span + (when - when.min() if len(when) else when) + 1
    order = np.argsort(key, kind="stable")
    at = np.searchsorted(key[order], key - 1)
    at = np.minimum(at, max(len(key) - 1, 0))
    return np.where(key[order][at] == key - 1, order[at], -1) if len(key) else key


def first_round(table: pd.DataFrame) -> Bool[np.ndarray, " rows"]:
    """Whether a row is in its group's first recorded round, in which there is no past to see."""
    return (table["round"] == table.groupby("group", observed=True)["round"].transform("min")).to_numpy()


def round_table(table: pd.DataFrame) -> tuple[pd.DataFrame, Int[np.ndarray, " rows"]]:
    """(group and round number of every round, in order; index of each row's round)."""
    keys = pd.MultiIndex.from_arrays([table["group"].astype(str), table["round"]], names=["group", "round"])
    codes, distinct = keys.factorize(sort=True)
    return distinct.set_names(keys.names).to_frame(index=False), np.asarray(codes)
