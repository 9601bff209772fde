"""Tables in Parquet files. Reading them needs pyarrow, which nothing else in bayescal needs."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from bayescal.errors import InputError


def read_parquet(path: str | Path) -> pd.DataFrame:
    """A Parquet file, its rows counted from 0; cells without a value are missing.

    Whole numbers stay whole even if some are missing. Columns of other types than numbers, texts and booleans (dates,
    lists, …) stay as they are: a table may have them, but using one for decisions is a fault.
    """
    path = Path(path)
    arrow = _pyarrow(path)
    try:
        # ParquetFile rather than read_table, which takes a folder whose name holds "=" for a column.
        table = arrow.parquet.ParquetFile(path).read()
    except OSError as error:
        reason = getattr(error, "strerror", None) or _first_line(error)
        raise InputError(f"Cannot read the decisions in {path}: {reason}.") from None
    except (arrow.ArrowException, ValueError) as error:
        raise InputError(f"{path.name} is not a Parquet file: {_first_line(error)}.") from None
    columns = {i: _column(arrow, column) for i, column in enumerate(table.columns)}
    frame = pd.DataFrame(columns, index=pd.RangeIndex(len(table)))
    frame.columns = [name.strip() for name in table.column_names]
    return frame


def _column(arrow: Any, column: Any) -> pd.Series:
    types, kind = arrow.types, column.type
    if column.null_count and types.is_integer(kind):  # integers of NumPy have no missing value
        whole = pd.UInt64Dtype() if types.is_unsigned_integer(kind) else pd.Int64Dtype()
        return column.to_pandas(types_mapper=lambda _: whole)
    if column.null_count and types.is_boolean(kind):
        return column.to_pandas(types_mapper=lambda _: pd.BooleanDtype())
    plain = (types.is_integer, types.is_boolean, types.is_floating, types.is_string, types.is_large_string)
    if any(is_it(kind) for is_it in (*plain, types.is_dictionary, types.is_null)):
        return column.to_pandas()
    if str(kind) == "string_view":
        return column.cast(arrow.string()).to_pandas()
    return column.to_pandas(types_mapper=pd.ArrowDtype)


def _pyarrow(path: Path) -> ModuleType:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(
            f"{path.name} is a Parquet file, which needs pyarrow: pip install 'bayescal[parquet]', or save the table "
            "as .csv."
        ) from None
    return pyarrow


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
