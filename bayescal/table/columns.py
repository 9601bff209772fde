"""The columns of a table of decisions: their canonical names, and one column as codes into its distinct values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

COLUMNS = ("participant", "group", "game", "role", "round", "action", "n")
INDICES = ("game_index", "role_index", "action_index")
TREATMENT = "treatment"  # read where a table has it: a group has one treatment

# By canonical name, what a table calls the column: a name, or several names of which the table has one.
Columns = Mapping[str, str | Sequence[str]]
Cell = str | int | float | bool


@dataclass(frozen=True)
class Column:
    """One column as codes into the distinct values that it holds; -1 where the cell is empty.

    Attributes:
        name: what the table calls it.
        distinct: numbers if the column holds numbers, else texts.
        order: of the distinct values, where the table gives one (a categorical column).
    """

    name: str
    codes: Int[np.ndarray, " rows"]
    distinct: np.ndarray
    order: Int[np.ndarray, " texts"] | None = None

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(map(cell_text, self.distinct.tolist()))

    @cached_property
    def numbers(self) -> Float[np.ndarray, " texts"]:
        """The distinct values as numbers; NaN where one is not a finite number."""
        if self.numeric:
            return np.where(np.isfinite(self.distinct), self.distinct, np.nan).astype(float)
        if {text.lower() for text in self.texts} <= {"true", "false"}:
            return np.array([text.lower() == "true" for text in self.texts], dtype=float)
        return np.array([as_number(text) for text in self.texts], dtype=float)

    @property
    def numeric(self) -> bool:
        return self.distinct.dtype.kind in "iuf"

    @property
    def empty(self) -> np.ndarray:
        """Whether the cell of each row is empty."""
        return self.codes < 0

    def number(self) -> Float[np.ndarray, " rows"]:
        """The number in each row; NaN where there is none."""
        return np.append(self.numbers, np.nan)[self.codes]

    def text(self, row: int | np.integer) -> str:
        return self.texts[self.codes[row]]


def encode(series: pd.Series, name: str) -> Column:
    """Codes and distinct values of a column; None, NaN and blank cells are missing."""
    codes, distinct = pd.factorize(series)
    if isinstance(distinct.dtype, np.dtype) and distinct.dtype.kind in "iuf":
        return Column(name, codes.astype(np.int64), np.asarray(distinct))
    seen: dict[str, int] = {}
    remap = np.full(len(distinct) + 1, -1, dtype=np.int64)
    for i, value in enumerate(distinct.tolist()):
        text = cell_text(value)
        if text:
            remap[i] = seen.setdefault(text, len(seen))
    order = None
    if isinstance(series.dtype, pd.CategoricalDtype):
        texts = dict.fromkeys(cell_text(value) for value in series.cat.categories)
        order = np.array([seen[text] for text in texts if text in seen], dtype=np.int64)
    return Column(name, remap[codes], np.array(list(seen), dtype=object), order)


def cell_text(value: Cell) -> str:
    """A cell as text: a whole number without its decimal point, so that 1, 1.0 and "1" are one label."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def as_number(text: str) -> float:
    """The finite number that a text spells; NaN if it spells none."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) and "_" not in text else math.nan


def wrong_type(series: pd.Series, name: str, source: str) -> list[str]:
    """A fault if the cells of a column are not numbers, texts or booleans."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return wrong_type(pd.Series(dtype.categories), name, source)
    if isinstance(dtype, pd.ArrowDtype):
        usable, found = dtype.type in (int, float, str, bool), str(dtype.pyarrow_dtype)
    elif pd.api.types.is_object_dtype(dtype):
        cells = series.iloc[:100].tolist()  # a file gives cells of one type
        odd = next((c for c in cells if isinstance(c, list | tuple | dict | set | bytes | np.ndarray)), None)
        usable, found = odd is None, type(odd).__name__
    else:
        usable, found = dtype.kind not in "mMc", str(dtype)
    if usable:
        return []
    return [
        f"{source}, column {name!r}: its cells are of type {found}: write one number, text or true/false in each, or "
        "name another column."
    ]
