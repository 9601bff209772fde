"""Zhu, Peterson, Enke & Griffiths (2024): 2,416 games of 2x2 actions, the payoffs of which are in the table itself."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from bayescal.environments.normal_form import NormalForm
from bayescal.errors import InputError
from bayescal.study.readers import Reading
from bayescal.study.readers._raw import numbers, raw_table

# As displayed: the row player's r and the column player's c, rows A and B by columns C and D.
PAYOFFS = ("rAC", "cAC", "rAD", "cAD", "rBC", "cBC", "rBD", "cBD")
# The four displays of one game: which of the columns above stands where, and whether the rows were swapped.
DISPLAYS = (
    ((0, 1, 2, 3, 4, 5, 6, 7), False),
    ((2, 3, 0, 1, 6, 7, 4, 5), False),
    ((4, 5, 6, 7, 0, 1, 2, 3), True),
    ((6, 7, 4, 5, 2, 3, 0, 1), True),
)
ROWS, COLUMNS = ("first", "second"), ("left", "right")


def read(path: Path) -> Reading:
    """People played the row of twenty games each, against nobody in particular.

    A game was displayed in four ways, with rows and columns in either order: they are one game here, that whose payoffs
    come first in order of size, and the choice is the row of that one.
    """
    raw = raw_table(path, ("participant", "trial", "game_id", "choice", *PAYOFFS))
    shown = np.column_stack([numbers(raw, name, path) for name in PAYOFFS])
    game, ids = pd.factorize(raw["game_id"], sort=False)
    standard = _first_display(game, shown)
    swapped = _swapped(shown, standard[game], raw, path)
    choice = raw["choice"].map({"A": 0, "B": 1})
    if choice.isna().any():
        lines = raw.index[choice.isna()]
        raise InputError(f"{path.name}, column 'choice', line {lines[0]}: write A or B, the row that was chosen.")
    table = pd.DataFrame(
        {
            "participant": raw["participant"],
            "game": raw["game_id"],
            "role": "row",
            "round": raw["trial"],
            "action": np.where(swapped, 1 - choice, choice).astype(int),
            "rows_swapped": swapped.astype(int),
        }
    )
    tables = standard.reshape(-1, 2, 2, 2).transpose(0, 3, 1, 2)  # by game, player, row, column
    games = {
        str(name): NormalForm(payoffs, name=f"zhu-{name}", role_names=("row", "column"), action_labels=(ROWS, COLUMNS))
        for name, payoffs in zip(ids, tables, strict=True)
    }
    return table, dict(sorted(games.items(), key=lambda item: (len(item[0]), item[0])))


def _first_display(game: Int[np.ndarray, " rows"], shown: np.ndarray) -> np.ndarray:
    """By game: of all ways to display what is displayed, the first in order of size."""
    ways = np.concatenate([shown[:, list(order)] for order, _ in DISPLAYS])
    order = np.lexsort([*ways.T[::-1], np.tile(game, len(DISPLAYS))])
    first = np.unique(np.tile(game, len(DISPLAYS))[order], return_index=True)[1]
    return ways[order[first]]


def _swapped(shown: np.ndarray, standard: np.ndarray, raw: pd.DataFrame, path: Path) -> np.ndarray:
    """Whether each display has the rows of the standard one in the other order."""
    same = {way: (shown[:, list(order)] == standard).all(axis=1) for way, (order, _) in enumerate(DISPLAYS)}
    known = np.any(list(same.values()), axis=0)
    if not known.all():
        i = int(np.flatnonzero(~known)[0])
        raise InputError(
            f"{path.name}, line {raw.index[i]}: the payoffs of game {raw['game_id'].iloc[i]!r} are not those of other "
            "rows of that game, whatever the order of rows and columns: correct them, or give the game another id."
        )
    return ~np.any([same[way] for way, (_, swap) in enumerate(DISPLAYS) if not swap], axis=0)
