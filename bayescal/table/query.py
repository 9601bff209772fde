"""`--where`: which rows of a table to use.

A condition may come from a study's dataset.toml or from a saved fit, and pandas' `DataFrame.query` runs whatever
Python it is given ("@os.system(...)"). So a condition is parsed first, only comparisons are let through, and what
was checked is what pandas gets.
"""

import ast
import re

import pandas as pd

from bayescal.errors import InputError

_EXAMPLE = 'write for example "group in [1, 2, 3]" or "treatment == 1 and round <= 20"'
_QUOTED = re.compile(r"`([^`'\"]*)`")  # a column whose name is not a Python name
_ALLOWED = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd, ast.Invert, ast.Compare,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
    ast.Div, ast.FloorDiv, ast.Mod, ast.BitAnd, ast.BitOr, ast.Name, ast.Load, ast.Constant, ast.List, ast.Tuple,
)  # fmt: skip


def select_rows(table: pd.DataFrame, where: str, source: str) -> pd.DataFrame:
    """The rows for which a condition holds; columns that hold only numbers are compared as numbers.

    Raises:
        InputError: the condition is no comparison of columns with numbers, texts or lists, or no row meets it.
    """
    quoted: dict[str, str] = {}  # by stand-in: the column's name
    named = _QUOTED.sub(lambda match: quoted.setdefault(match[1], f"quoted_name_{len(quoted)}"), where)
    try:
        condition = _checked(named)
        frame = _as_numbers(table).rename(columns=quoted)
        selected = frame.query(condition, engine="python").index
    except InputError as error:
        raise InputError(f"--where {where!r} {error}: {_EXAMPLE}.") from None
    except Exception as error:  # noqa: BLE001 - pandas raises errors of many kinds for a bad condition
        raise InputError(
            f"--where {where!r} cannot be asked of {source} ({error}): its columns are "
            f"{', '.join(map(str, table.columns))}; {_EXAMPLE}."
        ) from None
    if not len(selected):
        raise InputError(f"--where {where!r} holds for no row of {source}.")
    return table.loc[selected]


def _checked(condition: str) -> str:
    """The condition again, once it is known to call nothing and to look into nothing."""
    tree = ast.parse(condition.strip(), mode="eval")
    refused = next((node for node in ast.walk(tree) if not isinstance(node, _ALLOWED)), None)
    if refused is not None:
        raise InputError(
            f"has {ast.unparse(refused)!r}, which is not a comparison of columns with numbers, texts or lists"
        )
    return ast.unparse(tree)


def _as_numbers(table: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for name in table.columns:
        column = pd.to_numeric(table[name], errors="coerce")
        empty = table[name].astype(str).str.strip() == ""
        columns[name] = column if (column.notna() | empty).all() else table[name]
    return pd.DataFrame(columns, index=table.index)
