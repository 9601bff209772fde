"""What readers share: the file's cells with its lines, and columns of numbers, checked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from bayescal.errors import InputError
from bayescal.table.faults import listed
from bayescal.table.files import read_table, read_text


def raw_table(path: Path, columns: Sequence[str], *, filled: Sequence[str] = (), tabs: bool = False) -> pd.DataFrame:
    """The file's cells as text, its index the line in the file.

    Args:
        columns: what the reader needs.
        filled: those of them in which an empty cell is a fault.
        tabs: whether the cells are separated by tabs, below a preface of any lines.
    """
    table = _tab_separated(path, columns) if tabs else read_table(path)
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(
            f"{path.name} has no column {', '.join(map(repr, missing))}; it has {', '.join(map(str, table.columns))}: "
            "give the file that the study describes (`bayescal data describe`)."
        )
    for name in filled:
        refuse_cells(table, name, path, (table[name].str.strip() == "").to_numpy(bool), "fill it in")
    return table


def numbers(table: pd.DataFrame, name: str, path: Path) -> Float[np.ndarray, " rows"]:
    """A column of numbers without missing values."""
    found = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
    refuse_cells(table, name, path, ~np.isfinite(found), "write a number there")
    return found


def wholes(table: pd.DataFrame, name: str, path: Path) -> Int[np.ndarray, " rows"]:
    """A column of whole numbers without missing values."""
    found = numbers(table, name, path)
    refuse_cells(table, name, path, found != np.floor(found), "write a whole number there")
    return found.astype(np.int64)


def refuse_cells(table: pd.DataFrame, name: str, path: Path, bad: Bool[np.ndarray, " rows"], fix: str) -> None:
    """An InputError that names the bad cells of a column by line, if there are any."""
    rows = [int(i) for i in np.flatnonzero(bad)]
    if rows:
        cells = listed(rows, lambda i: f"line {table.index[i]} holds {table[name].iloc[i]!r}")
        raise InputError(f"{path.name}, column {name!r}: {cells}: {fix}.")


def label(*parts: np.ndarray | pd.Series) -> np.ndarray:
    """One text from several columns, row by row: session 4 and person 7 are 4-7."""
    texts = [np.asarray(part).astype(str) for part in parts]
    joined = texts[0]
    for text in texts[1:]:
        joined = np.char.add(np.char.add(joined.astype(str), "-"), text)
    return joined.astype(object)


def _tab_separated(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The table below the first line that names one of the columns."""
    lines = read_text(path).splitlines()
    start = next((i for i, line in enumerate(lines) if set(line.split("\t")) & set(columns)), None)
    if start is None:
        raise InputError(f"{path.name} has no line that names the columns {', '.join(columns)}, separated by tabs.")
    rows = [line.split("\t") for line in lines[start:]]
    ragged = [i for i, row in enumerate(rows) if len(row) != len(rows[0])]
    if ragged:
        some = listed(ragged, lambda i: f"line {start + 1 + i} has {len(rows[i])}")
        raise InputError(f"{path.name}: the header names {len(rows[0])} columns, but {some}: separate them by tabs.")
    index = pd.Index(np.arange(len(rows) - 1) + start + 2, name="line")
    return pd.DataFrame(rows[1:], columns=rows[0], index=index, dtype=object)
