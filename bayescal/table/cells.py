"""Counting decisions: one cell for all that one person did in one role of one game."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Int

from bayescal.table.codes import unique_rows
from bayescal.table.columns import COLUMNS, INDICES
from bayescal.table.game import Game, longest_grid, spellings


class Cells(NamedTuple):
    """Rows that are counted.

    Attributes:
        table: the canonical rows, columns in their standard order.
        environments: the games that were played.
        cells: game, group, participant (if known), role and the index of each.
        counts: decisions by cell and action.
    """

    table: pd.DataFrame
    environments: dict[str, Game]
    cells: pd.DataFrame
    counts: Int[np.ndarray, "cells actions"]


def count_cells(rows: pd.DataFrame, environments: Mapping[str, Game]) -> Cells:
    """The cells of canonical rows; games that nobody played, and labels with only empty counts, are dropped."""
    rows = rows.copy(deep=False)
    played = np.unique(rows["game_index"])
    rows["game_index"] = np.searchsorted(played, rows["game_index"])
    names = [list(environments)[g] for g in played]
    games = {name: environments[name] for name in names}
    roles, actions = spellings(list(games.values()))
    rows["game"] = rows["game"].cat.set_categories(names)
    rows["role"] = rows["role"].cat.set_categories(roles)
    rows["action"] = rows["action"].cat.set_categories(actions)
    identities = [level for level in ("group", "participant") if level in rows]
    for level in identities:
        rows[level] = rows[level].cat.remove_unused_categories()

    keys = ["game", *identities]
    codes = [rows[key].cat.codes.to_numpy() for key in keys] + [rows["role_index"].to_numpy()]
    cell, of_row = unique_rows(codes)
    cells = pd.DataFrame({key: rows[key].iloc[cell].array for key in [*keys, "role"]})
    for key in keys:
        cells[f"{key}_index"] = cells[key].cat.codes.to_numpy(dtype=np.int64)
    cells["role_index"] = rows["role_index"].to_numpy()[cell]

    width = max(map(longest_grid, games.values()))
    counts = np.zeros(len(cell) * width, dtype=np.int64)
    np.add.at(counts, of_row * width + rows["action_index"].to_numpy(), rows["n"].to_numpy())
    order = [c for c in COLUMNS if c in rows] + list(INDICES)
    order += [c for c in rows if c not in order and not str(c).endswith("_index")]  # what games over time record
    return Cells(rows[order], games, cells, counts.reshape(len(cell), width))
