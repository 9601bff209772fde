"""Bosch-Domenech, Montalvo, Nagel & Satorra (2002): beauty contests in classes, laboratories and newspapers."""

from pathlib import Path

import pandas as pd

from bayescal.environments.beauty_contest import BeautyContest
from bayescal.plain import Options
from bayescal.study.readers.base import Reader, Reading
from bayescal.study.readers.raw import label, raw_table, wholes

COLUMNS = ("guess", "session")


def read(path: Path, options: Options) -> Reading:
    """Everybody guessed once. A session is a group, and plays a game of as many players as there are guesses in it.
    Blank rows of the file are left out."""
    raw = raw_table(path, COLUMNS)
    raw = raw[(raw["guess"].str.strip() != "") | (raw["session"].str.strip() != "")]
    session = pd.Series(wholes(raw, "session", path), index=raw.index)
    number = session.groupby(session).cumcount() + 1
    game = "session " + session.astype(str)
    table = pd.DataFrame(
        {"participant": label(session, number), "group": session, "game": game, "action": raw["guess"]}
    )
    sizes = session.value_counts().sort_index()
    games = {f"session {s}": BeautyContest(int(n), 2 / 3, **options) for s, n in sizes.items()}
    return Reading(table, games)


EXAMPLE = """\
guess,session
25,1
20,1
33.0,1
0,2
,
67,2
100,2
"""

READER = Reader(read, COLUMNS, decisions=("guess",), labels=(), example=EXAMPLE)
