"""Alsobay, Rand, Watts & Almaatouq (2025): public goods games of 2 to 20 people, the contribution stage alone."""

from pathlib import Path

import numpy as np
import pandas as pd

from bayescal.environments.public_goods import PublicGoods
from bayescal.plain import Options
from bayescal.study.readers.base import Reader, Reading
from bayescal.study.readers.raw import numbers, raw_table, wholes

COLUMNS = ("game", "participant", "group_size", "mpcr", "endowment", "round", "contribution")
LABELS = ("game", "participant")


def read(path: Path, options: Options) -> Reading:
    """A group is one of the file's games; groups with the same size, return and choices play one game here.

    In half of the experiment's games people could give only all or nothing. The file does not say in which; games of
    one size and return are taken to be of that kind if nobody in them ever gave an amount in between.
    """
    raw = raw_table(path, COLUMNS, filled=LABELS)
    size, endowment = wholes(raw, "group_size", path), wholes(raw, "endowment", path)
    mpcr, given = numbers(raw, "mpcr", path), numbers(raw, "contribution", path)
    kinds = pd.DataFrame({"size": size, "endowment": endowment, "mpcr": mpcr}, index=raw.index)
    between = pd.Series((given != 0) & (given != endowment), index=raw.index)
    kinds["binary"] = ~between.groupby([size, endowment, mpcr]).transform("any").to_numpy()
    of_row, _ = pd.MultiIndex.from_frame(kinds).factorize(sort=True)
    distinct = kinds.drop_duplicates().sort_values(list(kinds))
    names = [_name(*kind) for kind in distinct.itertuples(index=False, name=None)]
    table = pd.DataFrame(
        {
            "participant": raw["participant"],
            "group": raw["game"],
            "game": np.array(names, dtype=object)[of_row],
            "round": raw["round"],
            "action": raw["contribution"],
            "group_size": size,
            "mpcr": mpcr,
            "all_or_nothing": kinds["binary"].astype(int),
        }
    )
    for name in ("chat", "punish", "reward"):
        if name in raw:
            table[name] = raw[name]
    games = {
        name: PublicGoods(
            n,
            mpcr=mpcr,
            endowment=endowment,
            contributions=(0, endowment) if binary else range(endowment + 1),
            **options,
        )
        for name, (n, endowment, mpcr, binary) in zip(names, distinct.itertuples(index=False, name=None), strict=True)
    }
    return Reading(table, games)


def _name(size: int, endowment: int, mpcr: float, binary: bool) -> str:
    money = "" if endowment == 20 else f", endowment {endowment}"
    return f"{size} players, return {mpcr:g}{money}{', all or nothing' if binary else ''}"


EXAMPLE = """\
game,participant,group_size,mpcr,endowment,round,contribution,chat
g1,p1,2,0.6,20,1,20,1
g1,p2,2,0.6,20,1,0,1
g1,p1,2,0.6,20,2,20,1
g1,p2,2,0.6,20,2,20,1
g2,p3,3,0.5,20,1,7,0
g2,p4,3,0.5,20,1,0,0
g2,p5,3,0.5,20,1,20,0
"""

READER = Reader(read, COLUMNS, decisions=("contribution",), labels=LABELS, example=EXAMPLE)
