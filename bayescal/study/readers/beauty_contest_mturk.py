"""Engelhardt & Galeazzi (2019): beauty contests of 2, 4 and 8 people, eight rounds with feedback."""

from pathlib import Path

import pandas as pd

from bayescal.environments.beauty_contest import BeautyContest
from bayescal.plain import Options
from bayescal.study.readers.base import Reader, Reading
from bayescal.study.readers.raw import raw_table, wholes

COLUMNS = ("group_size", "group", "round", "subject", "guess")
LABELS = ("group", "subject")


def read(path: Path, options: Options) -> Reading:
    """Groups of one size play one game."""
    raw = raw_table(path, COLUMNS, filled=LABELS)
    size = wholes(raw, "group_size", path)
    table = pd.DataFrame(
        {
            "participant": raw["subject"],
            "group": raw["group"],
            "game": [f"{n} players" for n in size],
            "round": raw["round"],
            "action": raw["guess"],
            "group_size": size,
        }
    )
    games = {f"{n} players": BeautyContest(int(n), 2 / 3, **options) for n in sorted(set(size.tolist()))}
    return Reading(table, games)


EXAMPLE = """\
group_size,group,round,subject,guess
2,7,1,ann,50
2,7,1,bob,33
2,7,2,ann,20
2,7,2,bob,22.0
4,8,1,cy,66
4,8,1,dee,0
4,8,1,eve,12
4,8,1,fay,100
"""

READER = Reader(read, COLUMNS, decisions=("guess",), labels=LABELS, example=EXAMPLE)
