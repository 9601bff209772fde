"""The `[games]` section of a dataset.toml: a named game, a file, a table of payoffs, or a tree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayescal.environments.base import Environment
from bayescal.environments.game_files import SUFFIXES, game_of, load_game_file
from bayescal.environments.named import get_game
from bayescal.errors import InputError
from bayescal.study.dataset import FILE
from bayescal.study.where import refuse_outside


def build_games(
    folder: Path, games: Mapping[str, Any], options: Mapping[str, Any] | None = None, *, trust: bool = False
) -> dict[str, Environment]:
    """The environment of each game of the table.

    Args:
        options: for all named games; they override those of dataset.toml.
        trust: allow files of games outside the folder.

    Raises:
        InputError: with every fault.
    """
    built: dict[str, Environment] = {}
    faults: list[str] = []
    for name, wanted in games.items():
        try:
            built[name] = _build(folder, wanted, dict(options or {}), trust)
        except InputError as error:
            faults.append(f"{folder / FILE}, game {name!r} under [games]: {error}")
    if faults:
        raise InputError(" ".join(faults))
    return built


def _build(folder: Path, wanted: Any, options: dict[str, Any], trust: bool) -> Environment:
    if isinstance(wanted, str) and wanted.endswith(SUFFIXES):
        if not trust:
            refuse_outside(folder, wanted, "a game")
        return load_game_file(folder / wanted)
    if isinstance(wanted, str):
        return get_game(wanted, **options)
    if isinstance(wanted, dict) and "game" in wanted:
        own = {k: v for k, v in wanted.items() if k != "game"}
        return get_game(str(wanted["game"]), **(own | options))
    if isinstance(wanted, dict):
        return game_of(wanted, f"found {', '.join(map(repr, wanted)) or 'nothing'}", "game")
    raise InputError(
        f"{wanted!r} is not a game: write the name of a game, {{ game = its name, option = ... }}, the name of a file "
        f"({', '.join(SUFFIXES)}), {{ payoffs = [...] }}, or {{ roles = [...], tree = ... }}."
    )
