"""What commands print: sentences, tables, and JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bayescal.plain import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def say(console: "Console", text: str) -> None:
    """Print a sentence as it is: without colours, line breaks or markup."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def empty_table(title: str, left: Sequence[str], right: Sequence[str], *, folds: bool = False) -> "Table":
    """A table with columns of names, then columns of numbers.

    Args:
        folds: whether long names are broken into lines.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left", box=None, pad_edge=False)
    for column in left:
        table.add_column(escape(column), no_wrap=not folds)
    for column in right:
        table.add_column(escape(column), justify="right", no_wrap=True)
    return table


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print a table of texts; the first column and those aligned right are not broken into lines."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, name in enumerate(head):
        table.add_column(name, justify="right" if name in right else "left", no_wrap=i == 0 or name in right)
    for row in rows:
        table.add_row(*map(escape, row))
    stdout_console().print(table)


def stdout_console() -> "Console":
    """Without a terminal rich would break every row at 80 columns."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


def print_json(content: object) -> None:
    json.dump(plain(content), sys.stdout, allow_nan=False)
    sys.stdout.write("\n")
