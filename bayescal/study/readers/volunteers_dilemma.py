"""Goeree, Holt & Smith (2017): twenty rounds in groups of 2, 3, 6, 9 or 12, matched anew in every round."""

from pathlib import Path

import numpy as np
import pandas as pd

from bayescal.environments.volunteers_dilemma import VolunteersDilemma
from bayescal.plain import Options
from bayescal.study.readers.base import Reader, Reading
from bayescal.study.readers.raw import label, raw_table, wholes

COLUMNS = ("session", "round", "subject", "group_size", "volunteer")
LABELS = ("session", "subject")


def read(path: Path, options: Options) -> Reading:
    """Subjects are numbered from 1 in every session, so that a participant is a session and a number."""
    raw = raw_table(path, COLUMNS, filled=LABELS)
    size = wholes(raw, "group_size", path)
    volunteer = wholes(raw, "volunteer", path)
    table = pd.DataFrame(
        {
            "participant": label(raw["session"], raw["subject"]),
            "group": raw["session"],
            "game": [f"{n} players" for n in size],
            "round": raw["round"],
            "action": np.where(volunteer == 1, "volunteer", np.where(volunteer == 0, "wait", raw["volunteer"])),
            "group_size": size,
        },
        index=raw.index,
    )
    games = {f"{n} players": VolunteersDilemma(int(n), **options) for n in sorted(set(size.tolist()))}
    return Reading(table, games)


EXAMPLE = """\
session,round,subject,group_size,volunteer
1,1,1,2,1
1,1,2,2,0
1,2,1,2,0
1,2,2,2,0
2,1,1,3,1
2,1,2,3,0
2,1,3,3,1
"""

READER = Reader(read, COLUMNS, decisions=("volunteer",), labels=LABELS, example=EXAMPLE)
