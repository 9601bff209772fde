"""Tables in files, every cell as it was written: comma-separated (perhaps .gz) or Parquet."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayescal.errors import InputError
from bayescal.reading import decompress, read_bytes
from bayescal.table.columns import COLUMNS
from bayescal.table.faults import listed

if TYPE_CHECKING:
    from _csv import Reader

CHUNK = 100_000  # rows that are split into cells at a time


def read_table(path: str | Path) -> pd.DataFrame:
    """A table from a file: Parquet if its name ends in .parquet or .pq, else comma-separated."""
    if Path(path).suffix.lower() in (".parquet", ".pq"):
        from bayescal.table.parquet import read_parquet

        return read_parquet(path)
    return read_csv(path)


def read_csv(path: str | Path) -> pd.DataFrame:
    """A comma-separated file (perhaps .gz) as text; the index ("line") is the line in the file.

    The csv module is used rather than pandas: it knows the line of each row even after quoted line breaks, and it
    turns neither participant "007" into 7 nor the action "NA" into a missing value.
    """
    path = Path(path)
    lines: list[np.ndarray] = []
    ragged: list[tuple[int, int]] = []  # line, number of cells
    try:
        reader = csv.reader(io.StringIO(read_text(path), newline=""))
        header = [name.strip() for name in next(reader, [])]
        columns: list[list[np.ndarray]] = [[] for _ in header]
        known: list[dict[str, str]] = [{} for _ in header]  # equal texts of a column share one object
        rows = _numbered(reader)
        while chunk := list(islice(rows, CHUNK)):
            ragged += [(line, len(row)) for line, row in chunk if len(row) != len(header)]
            if not ragged:
                lines.append(np.array([line for line, _ in chunk], dtype=np.int64))
                by_column = zip(*(row for _, row in chunk), strict=True)
                for parts, texts, cells in zip(columns, known, by_column, strict=True):
                    parts.append(np.array([texts.setdefault(cell, cell) for cell in cells], dtype=object))
    except csv.Error as error:
        raise InputError(f"{path.name} is not a comma-separated table: {error}.") from None
    if not header:
        raise InputError(f"{path.name} is empty: its first line must name the columns ({', '.join(COLUMNS)}).")
    if ragged:
        some = listed(range(len(ragged)), lambda i: f"line {ragged[i][0]} has {ragged[i][1]}")
        raise InputError(
            f"{path.name}: the header names {len(header)} columns, but {some}: give every row {len(header)} "
            "cells (put a text that holds a comma in double quotes)."
        )
    join = lambda parts, dtype: np.concatenate(parts) if parts else np.zeros(0, dtype)
    index = pd.Index(join(lines, np.int64), name="line", dtype=np.int64)
    table = pd.DataFrame({i: join(parts, object) for i, parts in enumerate(columns)}, index=index, dtype=object)
    table.columns = header
    return table


def _numbered(reader: "Reader") -> Iterator[tuple[int, list[str]]]:
    """The rows of a csv.reader with the line on which each begins; blank lines are skipped."""
    end = reader.line_num
    for row in reader:
        if any(row):
            yield end + 1, row
        end = reader.line_num


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, which may be compressed by gzip."""
    try:
        content = decompress(read_bytes(path), str(path))
    except OSError as error:
        raise InputError(f"Cannot read the decisions in {path}: {error.strerror or error}.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = f"{error.object[error.start]:#04x}"
        raise InputError(
            f"{path.name}, line {line}: the byte {found} is not UTF-8 text: save the table as "
            "comma-separated values in UTF-8."
        ) from None
