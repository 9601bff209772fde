"""Faults of a table: collected while it is read, worded with file, line and column, and raised in one error."""

import difflib
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool

from bayescal.errors import InputError
from bayescal.table.columns import Column

SHOWN = 5  # offending rows that a message names before "and ... more"

Describe = Callable[[int], str]  # of a row: what it holds
Advise = Callable[[Sequence[int]], str]  # of the first offending rows: what to do about them


class Faults:
    """The faults found in one table so far.

    Args:
        source: the file, as messages name it.
        index: of the table. Its labels say where a row stands in the file: its line if the index is named "line".
    """

    def __init__(self, source: str, index: pd.Index):
        self.source = source
        self.sentences: list[str] = []
        self._labels = index
        self._unit = "line" if index.names[0] == "line" else "row"

    def __bool__(self) -> bool:
        return bool(self.sentences)

    def place(self, row: int) -> str:
        """Where a row stands in the file; a row of a wide table is one cell of a line."""
        label = self._labels[row]
        return f"{self._unit} {label[0]}, column {label[1]!r}" if isinstance(label, tuple) else f"{self._unit} {label}"

    def add(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def note(
        self,
        column: str,
        bad: Bool[np.ndarray, " rows"],
        what: str,
        describe: Describe | None,
        fix: str | Advise,
    ) -> None:
        """Add one kind of fault: where it is, how often, what the first few rows hold, and what to do."""
        rows = [int(i) for i in np.flatnonzero(bad)]
        if not rows:
            return
        where = listed(rows, lambda i: self.place(i) + (f" holds {describe(i)}" if describe else ""))
        advice = fix if isinstance(fix, str) else fix(rows[:SHOWN])
        times = f"{len(rows):,} rows hold" if len(rows) > 1 else "one row holds"
        self.add(f"{self.source}, column {column}: {times} {what}: {where}; {advice}")

    def missing(self, key: str, column: Column, bad: Bool[np.ndarray, " rows"]) -> None:
        """Add the empty cells of a column that may have none.

        Args:
            key: the canonical name of the column.
        """
        fix = "fill it in, or remove the row"
        if key in ("participant", "group", "round", "n"):
            fix += " (or the whole column, if it is not known)"
        self.note(repr(column.name), bad, "no value", None, f"{fix}.")

    def raise_if_any(self) -> None:
        if self.sentences:
            raise InputError(" ".join(self.sentences))


def closest(name: str, choices: Sequence[str]) -> str:
    """` (did you mean 'x'?)` if a choice is spelled almost like the name."""
    close = difflib.get_close_matches(name.lower(), [c.lower() for c in choices], n=1)
    choice = next((c for c in choices if close and c.lower() == close[0]), None)
    return f" (did you mean {choice!r}?)" if choice else ""


def quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def listed(rows: Sequence[int], describe: Describe) -> str:
    """The first few rows, each described, and how many more there are."""
    shown = ", ".join(describe(i) for i in rows[:SHOWN])
    return shown + (f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else "")
