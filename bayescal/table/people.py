"""Covariates of people, read from a table of decisions: one value a participant, whatever the number of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from bayescal.table.reader import SHOWN, TREATMENT, Column, TableReader, first_rows, natural_order, unique_rows

# What tables write in a column of numbers where there is none.
UNKNOWN = ("na", "n/a", "nan", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity", ".", "-", "?")


def read_people(reader: TableReader) -> pd.DataFrame | None:
    """A row for each participant, by label, and a column for each covariate: numbers as float, others categorical.

    Faults are noted with the reader. None where nobody is told apart, or nothing is asked for.
    """
    who = reader.columns.get("participant")
    if who is None or not reader.covariates:
        return None
    people = {}
    order = natural_order(who.texts)
    first = first_rows(who.codes, len(who.texts))[order]
    for name in reader.covariates:
        column = reader.columns[name]
        people[name] = _values(reader, column, who)[first]
        _one_value_each(
            reader, who, column,
            "one value for each participant is supported (a covariate is of the person): give all rows of a person "
            "the same, or leave the covariate out",
        )  # fmt: skip
    index = pd.Index([who.texts[i] for i in order], name="participant", dtype=object)
    return pd.DataFrame({name: pd.Series(values, index=index) for name, values in people.items()}, index=index)


def check_treatments(reader: TableReader) -> None:
    """A group's label means one group: not one of each treatment."""
    group, treatment = reader.columns.get("group"), reader.columns.get(TREATMENT)
    if group is not None and treatment is not None:
        _one_value_each(
            reader, group, treatment,
            "a group has one treatment: give groups of different treatments labels of their own (say, treatment and "
            "number in one)",
        )  # fmt: skip


def _values(reader: TableReader, column: Column, who: Column) -> pd.Categorical | Float[np.ndarray, " rows"]:
    """The column row by row; a cell that holds nothing, or no finite number among numbers, is a fault."""
    told = lambda i: f"nothing (participant {_label(who, i)})"
    fix = "write what is known of the person, or leave such people or the covariate out."
    empty = column.codes < 0
    reader.fault(repr(column.name), empty, "no covariate", told, fix)
    unknown = np.array([text.lower() in UNKNOWN for text in column.texts], bool) & np.isnan(column.numbers)
    if column.numeric or (np.isfinite(column.numbers) | unknown).all():
        bad = np.append(np.isnan(column.numbers), False)[column.codes] & ~empty
        told = lambda i: f"{column.text(i)!r} (participant {_label(who, i)})"
        reader.fault(repr(column.name), bad, "a covariate that is no finite number", told, fix)
        return column.number()
    order = column.order if column.order is not None else natural_order(column.texts)
    rank = np.full(len(order) + 1, -1)
    rank[order] = np.arange(len(order))
    return pd.Categorical.from_codes(rank[column.codes], categories=[column.texts[i] for i in order])


def _one_value_each(reader: TableReader, key: Column, column: Column, fix: str) -> None:
    """A fault that lists everybody with more than one value, each value once, with the row where it first stands."""
    rows = np.flatnonzero((key.codes >= 0) & (column.codes >= 0))
    pairs = rows[unique_rows([key.codes[rows], column.codes[rows]])[0]]  # sorted by key
    several = np.flatnonzero(np.bincount(key.codes[pairs], minlength=1) > 1) if len(pairs) else []
    if not len(several):
        return
    told = []
    for code in several[:SHOWN]:
        mine = np.sort(pairs[key.codes[pairs] == code])
        values = [f"{column.text(i)!r} ({reader.place(i)})" for i in mine[:SHOWN]]
        more = f" and {len(mine) - SHOWN} more" if len(mine) > SHOWN else ""
        told.append(f"{key.texts[code]!r} has {', '.join(values)}{more}")
    more = f"; and {len(several) - SHOWN:,} more" if len(several) > SHOWN else ""
    count = f"{len(several):,} labels" if len(several) > 1 else "one label"
    reader.faults.append(
        f"{reader.source}, column {column.name!r}: {count} of column {key.name!r} with more than one value: "
        f"{'; '.join(told)}{more}; {fix}."
    )


def _label(who: Column, row: int) -> str:
    return repr(who.text(row)) if who.codes[row] >= 0 else "without a label"
