"""Decisions of games over time, with what each person saw before each of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from bayescal.errors import InputError
from bayescal.table.game import Contradiction, Game, longest_grid


@dataclass(frozen=True, eq=False)
class Play:
    """The decisions of games over time, one by one, with what each person saw before them.

    Attributes:
        row: the row of `Decisions.table` of each decision that is used.
        observations: by game: what was seen, by name as in `Environment.observe`; arrays over that game's decisions.
        masked: number of rows of the table that are not used, because what was seen before them is not known.
        left_out: participants without a row that is used; they are in `table`, but not in `levels`, `cells`, `people`.
    """

    row: Int[np.ndarray, " decisions"]
    observations: Mapping[str, Mapping[str, np.ndarray]]
    masked: int
    left_out: tuple[str, ...] = ()


class GameRows(NamedTuple):
    """The rows of one game over time.

    Attributes:
        name, game: which game; `game` is the environment.
        row: rows of the whole table.
        table: those rows as `Environment.replay` takes them.
    """

    name: str
    game: Any  # of Environment, which this module does not import
    row: Int[np.ndarray, " rows"]
    table: pd.DataFrame


def rows_by_game(table: pd.DataFrame, environments: Mapping[str, Game]) -> Iterator[GameRows]:
    """Each game's rows, with what it records beside the decisions: NaN where the table does not have it."""
    table = table.copy(deep=False)
    width = max(map(longest_grid, environments.values()))
    if "group" not in table:
        table["group"] = "1"
    if "participant" not in table:  # then each role of a group is one person
        table["participant"] = table["role"].astype(str)
    for g, (name, game) in enumerate(environments.items()):
        row = np.flatnonzero(table["game_index"].to_numpy() == g)
        rows = table.iloc[row].reset_index(drop=True)
        grids = np.asarray([[*values, *[np.nan] * (width - len(values))] for values in game.action_values])
        rows["value"] = grids[rows["role_index"].to_numpy(), rows["action_index"].to_numpy()]
        for column in game.columns:
            if column not in rows:
                rows[column] = np.nan
        yield GameRows(name, game, row, rows)


def replay_games(
    table: pd.DataFrame, environments: Mapping[str, Game], tolerance: float, source: str
) -> tuple[Play, list[Contradiction]]:
    """(every game's decisions with what was seen before each, where the table contradicts a game)."""
    if (table["n"] != 1).any():
        raise InputError(f"{source}: in games over time every row is one decision (n = 1).")
    rows, observations, masked = [], {}, 0
    contradictions: list[Contradiction] = []
    for name, game, row, play in rows_by_game(table, environments):
        replay = game.replay(play, tolerance=tolerance)
        known = np.asarray(replay.known, bool)
        rows.append(row[known])
        masked += int((~known).sum())
        observations[name] = {k: np.asarray(v)[known] for k, v in replay.observations.items()}
        contradictions += [fault._replace(row=int(row[fault.row])) for fault in replay.faults]
    return Play(np.concatenate(rows), observations, masked), contradictions
