"""Zhu, Peterson, Enke & Griffiths (2024): 2,416 games with 2x2 actions, whose payoffs are in the table itself."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from bayescal.environments.normal_form import NormalForm
from bayescal.errors import InputError
from bayescal.plain import Options
from bayescal.study.readers.base import Reader, Reading
from bayescal.study.readers.raw import numbers, raw_table, refuse_cells

Payoffs = Float[np.ndarray, "rows 8"]
# As displayed: the row player's r and the column player's c, rows A and B by columns C and D.
PAYOFFS = ("rAC", "cAC", "rAD", "cAD", "rBC", "cBC", "rBD", "cBD")
# The four displays of one game: which of the columns above stands where, and whether the rows were swapped.
DISPLAYS = (
    ((0, 1, 2, 3, 4, 5, 6, 7), False),
    ((2, 3, 0, 1, 6, 7, 4, 5), False),
    ((4, 5, 6, 7, 0, 1, 2, 3), True),
    ((6, 7, 4, 5, 2, 3, 0, 1), True),
)
ROLES = ("row", "column")
ACTIONS = (("first", "second"), ("left", "right"))
COLUMNS = ("participant", "trial", "game_id", "choice", *PAYOFFS)
LABELS = ("participant", "game_id")


def read(path: Path, options: Options) -> Reading:
    """People chose a row in twenty games each, against an unnamed column player.

    A game was displayed in four ways, with rows and columns in either order. They are one game here: the display whose
    payoffs come first in order of size. The choice is a row of that display.
    """
    raw = raw_table(path, COLUMNS, filled=LABELS)
    shown = np.column_stack([numbers(raw, name, path) for name in PAYOFFS])
    game, ids = pd.factorize(raw["game_id"], sort=False)
    standard = _first_display(game, shown)
    swapped = _swapped(shown, standard[game], raw, path)
    choice = raw["choice"].map({"A": 0, "B": 1})
    refuse_cells(raw, "choice", path, choice.isna().to_numpy(bool), "write A or B, the row that was chosen")
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
        str(name): NormalForm(
            payoffs, name=f"zhu-{name}", role_names=("row", "column"), action_labels=ACTIONS, **options
        )
        for name, payoffs in zip(ids, tables, strict=True)
    }
    return Reading(table, dict(sorted(games.items(), key=lambda item: (len(item[0]), item[0]))))


def _first_display(game: Int[np.ndarray, " rows"], shown: Payoffs) -> Float[np.ndarray, "games 8"]:
    """By game: of all ways to display it, the one whose payoffs come first in order of size."""
    ways = np.concatenate([shown[:, list(order)] for order, _ in DISPLAYS])
    order = np.lexsort([*ways.T[::-1], np.tile(game, len(DISPLAYS))])
    first = np.unique(np.tile(game, len(DISPLAYS))[order], return_index=True)[1]
    return ways[order[first]]


def _swapped(shown: Payoffs, standard: Payoffs, raw: pd.DataFrame, path: Path) -> Bool[np.ndarray, " rows"]:
    """Whether a display has the rows of the standard one in the other order."""
    same = {way: (shown[:, list(order)] == standard).all(axis=1) for way, (order, _) in enumerate(DISPLAYS)}
    known = np.any(list(same.values()), axis=0)
    if not known.all():
        i = int(np.flatnonzero(~known)[0])
        raise InputError(
            f"{path.name}, columns {', '.join(PAYOFFS)}, line {raw.index[i]}: the payoffs of game "
            f"{raw['game_id'].iloc[i]!r} are not those of other rows of that game, whatever the order of rows and "
            "columns: correct them, or give the game another id."
        )
    return ~np.any([same[way] for way, (_, swap) in enumerate(DISPLAYS) if not swap], axis=0)


# Game 5 is displayed twice, the second time with its rows and its columns swapped.
EXAMPLE = """\
participant,trial,game_id,choice,rAC,cAC,rAD,cAD,rBC,cBC,rBD,cBD
1,1,5,A,3,4,0,7,5,1,2,2
2,1,5,B,2,2,5,1,0,7,3,4
1,2,6,B,9,1,1,9,2,8,8,2
2,2,6,A,9,1,1,9,2,8,8,2
"""

READER = Reader(read, COLUMNS, decisions=("choice",), labels=LABELS, example=EXAMPLE)
