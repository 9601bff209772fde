"""`bayescal games`: the registry as a table; and the game that a command is given."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescal.cli.show import print_json, print_table
from bayescal.environments.game_files import SUFFIXES, load_game_file
from bayescal.environments.named import GAMES, get_game
from bayescal.errors import InputError

if TYPE_CHECKING:
    from bayescal.environments.base import Environment


def list_games(as_json: bool) -> None:
    games = {name: GAMES[name] for name in GAMES}
    if as_json:
        keys = ("title", "players", "actions", "over_time", "source")
        print_json([{"name": name} | {key: getattr(g, key) for key in keys} for name, g in games.items()])
        return
    print_table(
        ("name", "what it is", "played", "players", "actions", "source"),
        (
            (name, g.title, "over time" if g.over_time else "once", str(g.players), g.actions, g.source)
            for name, g in games.items()
        ),
    )


def registered_name(game: str, trust: bool) -> str:
    """The name of a game in the registry, if it is given as a folder whose game.py registers it; else as it is."""
    if game in GAMES or not Path(game).parent.exists():
        return game
    from bayescal.study.trust import own_game

    return own_game(game, trust) or game


def find_game(game: str, **options: Any) -> "Environment":
    """The game of a file if there is one (or the name looks like one), otherwise a named game.

    Args:
        options: of a named game.
    """
    path = Path(game)
    if game not in GAMES and (path.is_file() or path.suffix in SUFFIXES):
        if options:
            raise InputError(f"--option was given, but {game} is a file: only named games have options.")
        return load_game_file(path)
    return get_game(game, **options)
