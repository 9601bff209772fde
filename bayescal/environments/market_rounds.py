"""The rounds of markets, from a table with one row per member and round."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from bayescal._types import Number
from bayescal.environments.replay import Fault, contradictions, round_table


class Rounds(NamedTuple):
    """The rounds of all markets in a table.

    Attributes:
        of_row: index of the row's round.
        before: index of the same market's previous round; -1 if the table does not have it.
        played: number of rounds before the row's decision, counted from the first recorded one.
        members: number of rows of the round.
    """

    of_row: Int[np.ndarray, " rows"]
    before: Int[np.ndarray, " rounds"]
    played: Int[np.ndarray, " rows"]
    members: Int[np.ndarray, " rounds"]


def find_rounds(table: pd.DataFrame) -> Rounds:
    frame, of_row = round_table(table)
    group, when = frame["group"].to_numpy(), frame["round"].to_numpy(int)
    follows = (group[1:] == group[:-1]) & (when[1:] == when[:-1] + 1)
    before = np.where(np.r_[False, follows], np.arange(len(frame)) - 1, -1) if len(frame) else np.zeros(0, int)
    first = frame.groupby("group", observed=True)["round"].transform("min").to_numpy(int)
    return Rounds(of_row, before, (when - first)[of_row], np.bincount(of_row, minlength=len(frame)))


def sums_by_round(rounds: Rounds, x: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rounds"]:
    return np.bincount(rounds.of_row, x, minlength=len(rounds.before))


def shared(rounds: Rounds, x: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rounds"]:
    """A number that all members of a round saw: the median of the recorded ones, NaN if there are none."""
    median = pd.Series(x).groupby(rounds.of_row).median()
    return median.reindex(range(len(rounds.before))).to_numpy(float)


def earlier(x: Float[np.ndarray, " rounds"], rounds: Rounds) -> Float[np.ndarray, " rounds"]:
    """The number of the previous round; NaN if it is not known."""
    return np.where(rounds.before >= 0, x[rounds.before], np.nan)


def disagreements(column: str, x: Float[np.ndarray, " rows"], rounds: Rounds, tolerance: Number) -> list[Fault]:
    """Rows with another number than the rest of their round."""
    return contradictions(column, x, shared(rounds, x)[rounds.of_row], tolerance)


def beyond(rounds: Rounds, table: pd.DataFrame, horizon: int) -> list[Fault]:
    """Rows of rounds that the game does not have."""
    late = np.flatnonzero(rounds.played >= horizon)
    return [Fault(int(i), "round", float(table["round"].iloc[i]), float(horizon)) for i in late]


def column(table: pd.DataFrame, name: str) -> Float[np.ndarray, " rows"]:
    """A column as numbers; NaN if the table does not have it."""
    return table[name].to_numpy(float) if name in table else np.full(len(table), np.nan)
