"""Tables in Parquet files. Reading them needs pyarrow, which nothing else in bayescal needs."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from bayescal.errors import InputError
from bayescal.reading import TABLE_BYTES, read_bytes, refuse_larger


def read_parquet(path: str | Path) -> pd.DataFrame:
    """A Parquet file, its rows counted from 0; cells without a value are missing.

    Whole numbers stay whole even if some are missing. Columns of other types than numbers, texts and booleans (dates,
    lists, …) stay as they are: a table may have them, but using one for decisions is a fault.
    """
    path = Path(path)
    arrow = _pyarrow(path)
    try:
        content = read_bytes(path)
    except OSError as error:
        raise InputError(f"Cannot read the decisions in {path}: {error.strerror or error}.") from None
    try:
        file = arrow.parquet.ParquetFile(arrow.BufferReader(content))
        _refuse_large(file.metadata, str(path))
        table = file.read()
        columns = {i: _column(arrow, column) for i, column in enumerate(table.columns)}
        frame = pd.DataFrame(columns, index=pd.RangeIndex(len(table)))
        frame.columns = [name.strip() for name in table.column_names]
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever pyarrow makes of a damaged file
        raise InputError(f"{path.name} is not a Parquet file, or is damaged: {_first_line(error)}.") from None
    return frame


def _refuse_large(metadata: Any, where: str) -> None:
    """A few bytes of Parquet can hold a value that is repeated without end."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    size = max(sum(g.total_byte_size for g in groups), 8 * metadata.num_rows * metadata.num_columns)
    refuse_larger(size, TABLE_BYTES, f"{where}, once it is decompressed,")


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
