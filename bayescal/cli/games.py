"""`bayescal games`: the registry as a table."""

import json
import sys

from bayescal.environments.named import NAMED_GAMES


def list_games(as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "name": n,
                "title": g.title,
                "players": g.players,
                "actions": g.actions,
                "over_time": g.over_time,
                "source": g.source,
            }
            for n, g in NAMED_GAMES.items()
        ]
        json.dump(rows, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("what it is", "played", "players", "actions", "source"):
        table.add_column(column)
    for name, game in NAMED_GAMES.items():
        table.add_row(
            name, game.title, "over time" if game.over_time else "once", str(game.players), game.actions, game.source
        )
    # In a pipe there is no window to fit: rich would fold every row at 80 columns.
    Console(width=None if sys.stdout.isatty() else 160).print(table)
