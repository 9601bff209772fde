"""`bayescal games`: the registry as a table; and the game that a command is given."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bayescal.cli.show import print_json, print_table
from bayescal.environments.game_files import SUFFIXES, load_game_file, save_game_file
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


def show_game(game: str, out: str | None, trust: bool, as_json: bool) -> None:
    """Who plays, and what each role can do where; written to a file of Gambit's if that is asked for."""
    from bayescal.study.template import span

    rules = find_game(registered_name(game, trust))
    written = None if out is None else str(save_game_file(rules, out))
    rows: list[dict[str, Any]] = []
    for r, (role, count) in enumerate(zip(rules.role_names, rules.role_counts, strict=True)):
        for situation, labels in rules.named_situations(r) or [("", rules.action_labels[r])]:
            rows.append({"role": role, "players": count, "situation": situation, "actions": list(labels)})
    if as_json:
        print_json({"name": rules.name, "over_time": rules.over_time, "written": written, "roles": rows})
        return
    keys = ["role", "players", *(["situation"] if any(row["situation"] for row in rows) else []), "actions"]
    print_table(keys, ([span(row[key]) if key == "actions" else str(row[key]) for key in keys] for row in rows))
    if written is not None:
        click.echo(f"{rules.name} is written to {written}.")


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
    path = game_file(game)
    if path is None:
        return get_game(game, **options)
    if options:
        raise InputError(f"--option was given, but {game} is a file: only named games have options.")
    return load_game_file(path)


def game_file(game: str) -> Path | None:
    """The file that describes a game, if that is what is given, or looks so."""
    path = Path(game)
    return path if game not in GAMES and (path.is_file() or path.suffix in SUFFIXES) else None
