"""Nagel (1995): four sessions of 15 to 18 people, who guessed four times and were told the result in between."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescal.environments.beauty_contest import BeautyContest
from bayescal.study.readers import Reading
from bayescal.study.readers._raw import label, raw_table

ROUNDS = ("round 1", "round 2", "round 3", "round 4")


def read(path: Path, **options: Any) -> Reading:
    """A column a round becomes a row a guess; a session is a group and, by its size, a game."""
    wide = raw_table(path, ("session", "id", *ROUNDS))
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
    games = {f"{n} players": BeautyContest(int(n), 2 / 3, **options) for n in sorted(set(size))}
    return table, games
