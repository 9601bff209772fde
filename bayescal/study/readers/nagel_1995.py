"""Nagel (1995): beauty contests in four sessions of 15 to 18 people, four rounds with feedback."""

from pathlib import Path

import numpy as np
import pandas as pd

from bayescal.environments.beauty_contest import BeautyContest
from bayescal.plain import Options
from bayescal.study.readers.base import Reader, Reading
from bayescal.study.readers.raw import label, raw_table

ROUNDS = ("round 1", "round 2", "round 3", "round 4")
COLUMNS = ("session", "id", *ROUNDS)
LABELS = ("session", "id")


def read(path: Path, options: Options) -> Reading:
    """The file has a column for each round. A session is a group, and its size says which game it plays."""
    wide = raw_table(path, COLUMNS, filled=LABELS)
    size = wide.groupby("session")["id"].transform("size")
    row = np.repeat(np.arange(len(wide)), len(ROUNDS))
    table = pd.DataFrame(
        {
            "participant": label(wide["session"], wide["id"]),
            "group": wide["session"],
            "game": [f"{n} players" for n in size],
        },
        index=wide.index,
    ).iloc[row]
    table["round"] = np.tile(np.arange(len(ROUNDS)) + 1, len(wide))
    table["action"] = wide[list(ROUNDS)].to_numpy().ravel()
    table.index = pd.MultiIndex.from_arrays(
        [wide.index.to_numpy()[row], np.tile(np.array(ROUNDS, dtype=object), len(wide))], names=["line", "column"]
    )
    games = {f"{n} players": BeautyContest(int(n), 2 / 3, **options) for n in sorted(set(size))}
    return Reading(table, games)


EXAMPLE = """\
session,id,round 1,round 2,round 3,round 4
1,1,50,33,20,10
1,2,25,21,12,9
1,3,100,67,30,0
2,1,35,20,15,10
2,2,33,22,14.0,9
"""

READER = Reader(read, COLUMNS, decisions=ROUNDS, labels=LABELS, example=EXAMPLE)
