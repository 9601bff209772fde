"""What commands print: sentences, tables, and JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from bayescal.plain import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def say(console: "Console", text: str) -> None:
    """A sentence as it is: nothing in it is coloured, folded or taken for markup."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def empty_table(title: str, left: Sequence[str], right: Sequence[str], *, folds: bool = False) -> "Table":
    """Columns of names, then columns of numbers.

    Args:
        folds: whether names go on in a second line where there is no room.
    """
    from rich.table import Table

    found = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in left:
        found.add_column(column, no_wrap=not folds)
    for column in right:
        found.add_column(column, justify="right")
    return found


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Texts; those that stand right, and the first column, are not folded."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    found = Table(box=None, pad_edge=False)
    for i, name in enumerate(head):
        found.add_column(name, justify="right" if name in right else "left", no_wrap=i == 0 or name in right)
    for row in rows:
        found.add_row(*map(escape, row))
    # In a pipe there is no window to fit: rich would fold every row at 80 columns.
    Console(width=None if sys.stdout.isatty() else 160).print(found)


def print_json(content: Any) -> None:
    json.dump(plain(content), sys.stdout, allow_nan=False)
    sys.stdout.write("\n")
