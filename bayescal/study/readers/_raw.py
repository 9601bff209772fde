"""What readers share: a file's columns, checked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from bayescal.errors import InputError
from bayescal.table.files import read_table, read_text


def raw_table(path: Path, columns: Sequence[str], skip_to: str | None = None) -> pd.DataFrame:
    """The file's cells as text, its index the line in the file.

    Args:
        columns: what the reader needs.
        skip_to: of a table separated by tabs, with a preface: how the header begins.
    """
    table = read_table(path) if skip_to is None else _tabbed(path, skip_to)
    missing = [name for name in columns if name not in table]
    if missing:
        raise InputError(
            f"{path.name} has no column {', '.join(map(repr, missing))}; it has {', '.join(map(str, table.columns))}: "
            "give the file that the study describes (`bayescal data describe`)."
        )
    return table


def numbers(table: pd.DataFrame, name: str, path: Path) -> Float[np.ndarray, " rows"]:
    """A column of numbers, none of them missing."""
    found = pd.to_numeric(table[name], errors="coerce").to_numpy(float)
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        told = ", ".join(f"line {table.index[i]} holds {table[name].iloc[i]!r}" for i in bad[:5])
        more = f" and {len(bad) - 5:,} more" if len(bad) > 5 else ""
        raise InputError(f"{path.name}, column {name!r}: {told}{more}: write a number there.")
    return found


def wholes(table: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    return numbers(table, name, path).astype(np.int64)


def label(*parts: np.ndarray | pd.Series) -> np.ndarray:
    """One text from several columns, row by row: session 4 and person 7 are 4-7."""
    texts = [np.asarray(part).astype(str) for part in parts]
    out = texts[0]
    for text in texts[1:]:
        out = np.char.add(np.char.add(out.astype(str), "-"), text)
    return out.astype(object)


def _tabbed(path: Path, skip_to: str) -> pd.DataFrame:
    lines = read_text(path).splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(skip_to)), None)
    if start is None:
        raise InputError(f"{path.name} has no line that begins with {skip_to!r} and names the columns.")
    rows = [line.split("\t") for line in lines[start:]]
    ragged = [i for i, row in enumerate(rows) if len(row) != len(rows[0])]
    if ragged:
        told = ", ".join(f"line {start + 1 + i} has {len(rows[i])}" for i in ragged[:5])
        raise InputError(f"{path.name}: the header names {len(rows[0])} columns, but {told}: separate them by tabs.")
    index = pd.Index(np.arange(len(rows) - 1) + start + 2, name="line")
    return pd.DataFrame(rows[1:], columns=rows[0], index=index, dtype=object)
