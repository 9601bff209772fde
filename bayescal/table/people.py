"""Covariates of participants, read from a table of decisions: one value a person, whatever the number of rows."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from bayescal.table.codes import first_rows, natural_order, ranks, unique_rows
from bayescal.table.columns import TREATMENT, Column
from bayescal.table.faults import SHOWN
from bayescal.table.reader import OpenTable

# How tables write "not known" in a column of numbers.
UNKNOWN = ("na", "n/a", "nan", "null", "none", "inf", "-inf", "+inf", "infinity", "-infinity", ".", "-", "?")


def read_people(table: OpenTable) -> pd.DataFrame | None:
    """A row for each participant, by label, and a column for each covariate: numbers as float, others categorical.

    Faults are noted in the table. None if there are no subject identifiers, or no covariates are asked for.
    """
    who = table.columns.get("participant")
    if who is None or not table.covariates:
        return None
    people = {}
    order = natural_order(who.texts)
    first = first_rows(who.codes, len(who.texts))[order]
    for name in table.covariates:
        column = table.columns[name]
        people[name] = _values(table, column, who)[first]
        _check_one_value_each(
            table,
            who,
            column,
            "one value for each participant is supported (a covariate describes a person): give all rows of a person "
            "the same value, or leave the covariate out",
        )
    index = pd.Index([who.texts[i] for i in order], name="participant", dtype=object)
    return pd.DataFrame({name: pd.Series(values, index=index) for name, values in people.items()}, index=index)


def check_treatments(table: OpenTable) -> None:
    """A group's label means one group, so it has one treatment."""
    group, treatment = table.columns.get("group"), table.columns.get(TREATMENT)
    if group is not None and treatment is not None:
        _check_one_value_each(
            table,
            group,
            treatment,
            "a group has one treatment: give groups of different treatments labels of their own (say, treatment "
            "and number in one)",
        )


def _values(table: OpenTable, column: Column, who: Column) -> pd.Categorical | Float[np.ndarray, " rows"]:
    """The column row by row; an empty cell is a fault, and so is one without a finite number among numbers."""
    fix = "write what is known of the person, or leave such people or the covariate out."
    table.faults.note(
        repr(column.name), column.empty, "no covariate", lambda i: f"nothing (participant {_label(who, i)})", fix
    )
    unknown = np.array([text.lower() in UNKNOWN for text in column.texts], bool) & np.isnan(column.numbers)
    if column.numeric or (np.isfinite(column.numbers) | unknown).all():
        table.faults.note(
            repr(column.name),
            np.isnan(column.number()) & ~column.empty,
            "a covariate that is no finite number",
            lambda i: f"{column.text(i)!r} (participant {_label(who, i)})",
            fix,
        )
        return column.number()
    order = natural_order(column.texts) if column.order is None else column.order
    return pd.Categorical.from_codes(ranks(order)[column.codes], categories=[column.texts[i] for i in order])


def _check_one_value_each(table: OpenTable, key: Column, column: Column, fix: str) -> None:
    """Note every label of `key` with more than one value: each value once, with the row where it first stands."""
    rows = np.flatnonzero(~key.empty & ~column.empty)
    pairs = rows[unique_rows([key.codes[rows], column.codes[rows]])[0]]  # sorted by key
    several = np.flatnonzero(np.bincount(key.codes[pairs], minlength=1) > 1) if len(pairs) else []
    if not len(several):
        return
    labels = []
    for code in several[:SHOWN]:
        of_label = np.sort(pairs[key.codes[pairs] == code])
        values = [f"{column.text(i)!r} ({table.faults.place(int(i))})" for i in of_label[:SHOWN]]
        more = f" and {len(of_label) - SHOWN} more" if len(of_label) > SHOWN else ""
        labels.append(f"{key.texts[code]!r} has {', '.join(values)}{more}")
    more = f"; and {len(several) - SHOWN:,} more" if len(several) > SHOWN else ""
    count = f"{len(several):,} labels" if len(several) > 1 else "one label"
    table.faults.add(
        f"{table.faults.source}, column {column.name!r}: {count} of column {key.name!r} with more than one value: "
        f"{'; '.join(labels)}{more}; {fix}."
    )


def _label(who: Column, row: int) -> str:
    return "without a label" if who.empty[row] else repr(who.text(row))
