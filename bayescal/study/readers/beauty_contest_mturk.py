"""Engelhardt & Galeazzi (2019): beauty contests of 2, 4 and 8 people, who guessed eight times, told the result."""

from pathlib import Path
from typing import Any

import pandas as pd

from bayescal.environments.beauty_contest import BeautyContest
from bayescal.study.readers import Reading
from bayescal.study.readers._raw import raw_table, wholes


def read(path: Path, **options: Any) -> Reading:
    raw = raw_table(path, ("group_size", "group", "round", "subject", "guess"))
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
    return table, games
