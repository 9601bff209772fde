"""Wide spreadsheets: a column for each subject or for each round becomes one row for each decision."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescal.errors import InputError
from bayescal.plain import Options
from bayescal.table.columns import COLUMNS, Columns

KEYS = ("columns", "into", "values", "within")
VALUE = "value"
_MARK = re.compile(r"\*|\{(\w*)\}")


@dataclass(frozen=True)
class Wide:
    """The `[wide]` section of a dataset.toml: which columns hold decisions, and what their names mean.

    Example:
        [wide]                                  # a column a round: session,id,round 1,round 2
        columns = "round *"                     # what * stands for ...
        into = "round"                          # ... is the round

        [wide]                                  # a column a subject: period,subject 1,subject 2,price
        columns = "subject *"                   # or a list of names, or "*" for all that [columns] does not name
        into = "participant"
        values = "action"                       # what the cells are; this is the default

        [wide]                                  # several a subject: period,s1_quantity,s1_profit,s2_quantity,...
        columns = "s{participant}_{value}"      # {value} is the name of a column, for [columns]

        within = "group"                        # in any of these: people are numbered (or named by role) anew in each

    All other columns hold for every decision in their line. If the cells of a decision are empty, it was not made.
    """

    columns: tuple[str, ...]
    into: str = ""
    values: str = "action"
    within: str = ""

    def parts(self, name: str) -> dict[str, str] | None:
        """What a column's name says, by key; None for other columns."""
        for pattern in self.columns:
            if found := _regex(pattern).fullmatch(name):
                parts = dict(zip(_names(pattern, self.into), (text.strip() for text in found.groups()), strict=True))
                return dict(sorted(parts.items()))
        return None


def read_wide(path: str | Path, section: Options, faults: list[str]) -> Wide | None:
    """The checked section; None if there is none, or if it has a fault."""
    if not section:
        return None
    before = len(faults)
    say = lambda text: faults.append(f"{path}: {text}")
    for key in (k for k in section if k not in KEYS):
        say(f"unknown key {key!r} under [wide]: known are {', '.join(KEYS)}.")
    into, values, columns = section.get("into", ""), section.get("values", "action"), section.get("columns")
    within = section.get("within", "")
    for key, text in (("into", into), ("values", values), ("within", within)):
        if not isinstance(text, str):
            say(f"{key} under [wide] is {text!r}: write the name of a column in quotes.")
    several: list[Any] = columns if isinstance(columns, list) else [columns]
    if not several or not all(isinstance(c, str) and c for c in several):
        say(f'columns under [wide] is {columns!r}: write "round *", "s{{participant}}_{{value}}" or a list of names.')
    elif len(faults) == before:
        for pattern in several:
            if wrong := _wrong(pattern, isinstance(columns, list), into, "values" in section):
                say(f"columns under [wide] has {pattern!r}: {wrong}.")
    if len(faults) == before and len({frozenset(_names(p, into)) for p in several}) > 1:
        say(f"columns under [wide] is {columns!r}: let the names of all columns say the same things.")
    elif len(faults) == before and within and not {"participant", "role"} & set(_names(several[0], into)):
        say(f"within under [wide] is {within!r}, but the names of columns hold no participant or role: leave it out.")
    return Wide(tuple(several), into, values, within) if len(faults) == before else None


def _wrong(pattern: str, listed: bool, into: str, values: bool) -> str:
    marks = [m.group(1) or "*" for m in _MARK.finditer(pattern)]
    names = _names(pattern, into)
    if "{}" in pattern or re.search(r"[{}]", _MARK.sub("", pattern)):
        return 'write names in braces, "s{participant}_{value}"'
    if not marks and not listed:
        return 'it has no mark that stands for a subject or a round: write for example "round *"'
    if ("*" in marks or not marks) and not into:
        return 'say what its name means: into = "round", or "participant"'
    if into and marks and "*" not in marks:
        return "leave out `into`, which is for *: names in braces say what they are"
    if VALUE in marks and values:
        return "leave out `values`: {value} names them"
    if len(set(names)) < len(names):
        return f"{', '.join(sorted({n for n in names if names.count(n) > 1}))} is in it twice"
    if _MARK.search(pattern) and re.search(r"(\*|\})(\*|\{)", pattern):
        return "it is not clear where one mark ends and the next begins: put something between them"
    return ""


def _names(pattern: str, into: str) -> list[str]:
    """What the parts of a column's name mean, in their order."""
    return [mark.group(1) or into for mark in _MARK.finditer(pattern)] or [into]


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    """What a mark stands for ends where the text after it first stands. Nothing is tried twice, so no pattern takes
    long."""
    marks = list(_MARK.finditer(pattern))
    if not marks:
        return re.compile(f"({re.escape(pattern)})")
    out = re.escape(pattern[: marks[0].start()])
    for mark, after in pairwise(marks):
        out += f"(?>(.+?){re.escape(pattern[mark.end() : after.start()])})"
    return re.compile(f"{out}(.+?){re.escape(pattern[marks[-1].end() :])}")


def unfold(table: pd.DataFrame, wide: Wide, source: str, columns: Columns | None = None) -> pd.DataFrame:
    """One row for each decision, in the order of lines; the index is (line, column), for messages.

    Args:
        columns: the names under [columns], which are not unfolded.

    Raises:
        InputError: no such columns, or names that are taken.
    """
    named = {n for names in (columns or {}).values() for n in ([names] if isinstance(names, str) else names)}
    parts = {
        i: wide.parts(str(name))
        for i, name in enumerate(table.columns)
        if str(name) not in {*COLUMNS, *named} or name in wide.columns
    }
    found = {i: part for i, part in parts.items() if part is not None}
    has = ", ".join(map(str, table.columns))
    patterns = ", ".join(map(repr, wide.columns))
    missing = [p for p in wide.columns if not _MARK.search(p) and p not in map(str, table.columns)]
    if not found or missing:
        raise InputError(
            f"{source} has no column {', '.join(map(repr, missing)) or f'like {patterns}'} ([wide] in dataset.toml); "
            f"it has {has}: correct the names."
        )
    rest = [i for i in range(table.shape[1]) if i not in found]
    values = {i: parts.pop(VALUE, wide.values) for i, parts in found.items()}
    made = list(dict.fromkeys([*(k for parts in found.values() for k in parts), *values.values()]))
    if taken := [name for name in made if name in {str(table.columns[i]) for i in rest}]:
        raise InputError(
            f"{source} has a column {', '.join(map(repr, taken))} of its own, which [wide] makes of {patterns}: give "
            "another name there, or rename the column."
        )
    units = _units(found, values, table, source)
    cells = {
        name: _stacked(table, [unit.get(name) for unit in units.values()]) for name in dict.fromkeys(values.values())
    }
    lines, width = len(table), len(units)
    out = {str(table.columns[i]): table.iloc[:, i].repeat(width).reset_index(drop=True) for i in rest}
    for place, name in enumerate(next(iter(found.values()))):
        out[name] = pd.Series(np.tile(np.array([key[place] for key in units], dtype=object), lines), dtype=object)
    frame = pd.DataFrame(out | cells)
    if wide.within:
        if wide.within not in frame:
            raise InputError(f"{source} has no column {wide.within!r} (within, under [wide]); it has {has}.")
        who = "participant" if "participant" in frame else "role"
        pairs = zip(frame[wide.within].tolist(), frame[who].tolist(), strict=True)
        frame["participant"] = [f"{str(a).strip()}-{b}" for a, b in pairs]
    labels = [_label(table, unit) for unit in units.values()]
    frame.index = pd.MultiIndex.from_arrays(
        [np.repeat(table.index.to_numpy(), width), np.tile(labels, lines)],
        names=["line" if table.index.name == "line" else "row", "column"],
    )
    empty = [frame[name].isna() | (frame[name].astype(str).str.strip() == "") for name in cells]
    return frame[~np.all(empty, axis=0)]


def _units(
    found: Mapping[int, dict[str, str]], values: Mapping[int, str], table: pd.DataFrame, source: str
) -> dict[tuple[str, ...], dict[str, int]]:
    """By what column names say about a decision: the column of each of its values."""
    units: dict[tuple[str, ...], dict[str, int]] = {}
    for i, parts in found.items():
        unit = units.setdefault(tuple(parts.values()), {})
        if values[i] in unit:
            raise InputError(
                f"{source} has two columns for the same decision, {table.columns[unit[values[i]]]!r} and "
                f"{table.columns[i]!r}: rename one."
            )
        unit[values[i]] = i
    return units


def _stacked(table: pd.DataFrame, columns: Collection[int | None]) -> pd.Series:
    """These columns line by line; empty if a decision has no such value."""
    lines = len(table)
    nothing = pd.Series([None] * lines, dtype=object)
    parts = [nothing if i is None else table.iloc[:, i].reset_index(drop=True) for i in columns]
    if len({str(part.dtype) for part in parts}) > 1:
        parts = [part.astype(object) for part in parts]
    order = np.arange(lines * len(parts)).reshape(len(parts), lines).T.ravel()
    return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)


def _label(table: pd.DataFrame, unit: Mapping[str, int]) -> str:
    return ", ".join(str(table.columns[i]) for i in unit.values())
