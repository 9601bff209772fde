"""Goeree, Holt & Smith (2017): twenty rounds in groups of 2, 3, 6, 9 or 12, matched anew in every round."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescal.environments.volunteers_dilemma import VolunteersDilemma
from bayescal.study.readers import Reading
from bayescal.study.readers._raw import label, raw_table, wholes


def read(path: Path, **options: Any) -> Reading:
    """Numbers of people start anew in every session."""
    raw = raw_table(path, ("session", "round", "subject", "group_size", "volunteer"))
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
    return table, games
