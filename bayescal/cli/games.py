"""`bayescal games`: the registry as a table."""

from bayescal.cli.show import print_json, print_table
from bayescal.environments.named import GAMES


def list_games(as_json: bool) -> None:
    games = {name: GAMES[name] for name in GAMES}
    if as_json:
        keys = ("title", "players", "actions", "over_time", "source")
        print_json([{"name": n} | {key: getattr(g, key) for key in keys} for n, g in games.items()])
        return
    print_table(
        ("name", "what it is", "played", "players", "actions", "source"),
        (
            (n, g.title, "over time" if g.over_time else "once", str(g.players), g.actions, g.source)
            for n, g in games.items()
        ),
    )
