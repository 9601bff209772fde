"""Bosch-Domenech, Montalvo, Nagel & Satorra (2002): beauty contests of a class to those of a newspaper's readers."""

from pathlib import Path
from typing import Any

import pandas as pd

from bayescal.environments.beauty_contest import BeautyContest
from bayescal.study.readers import Reading
from bayescal.study.readers._raw import label, raw_table, wholes


def read(path: Path, **options: Any) -> Reading:
    """Everybody guessed once; a session is a group and a game of as many players as guessed in it. Blank rows of the
    file are left out."""
    raw = raw_table(path, ("guess", "session"))
    raw = raw[(raw["guess"].str.strip() != "") & (raw["session"].str.strip() != "")]
    session = pd.Series(wholes(raw, "session", path), index=raw.index)
    number = session.groupby(session).cumcount() + 1
    game = "session " + session.astype(str)
    table = pd.DataFrame(
        {"participant": label(session, number), "group": session, "game": game, "action": raw["guess"]}
    )
    sizes = session.value_counts().sort_index()
    games = {f"session {s}": BeautyContest(int(n), 2 / 3, **options) for s, n in sizes.items()}
    return table, games
