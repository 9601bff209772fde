"""The `[games]` section of a dataset.toml: a named game, a file of payoffs, or a table of payoffs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayescal import schema
from bayescal.environments.base import Environment
from bayescal.environments.named import PAYOFF_FILE, get_game, load_game_file
from bayescal.environments.normal_form import NormalForm
from bayescal.errors import InputError
from bayescal.study.dataset import FILE
from bayescal.study.where import refuse_outside


def build_games(
    folder: Path, games: Mapping[str, Any], options: Mapping[str, Any] | None = None, *, trust: bool = False
) -> dict[str, Environment]:
    """The environment of each game of the table.

    Args:
        options: for all named games; they override those of dataset.toml.
        trust: allow files of payoffs outside the folder.

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
    if isinstance(wanted, str) and wanted.endswith(".json"):
        if not trust:
            refuse_outside(folder, wanted, "a game")
        return load_game_file(folder / wanted)
    if isinstance(wanted, str):
        return get_game(wanted, **options)
    if isinstance(wanted, dict) and "game" in wanted:
        own = {k: v for k, v in wanted.items() if k != "game"}
        return get_game(str(wanted["game"]), **(own | options))
    if isinstance(wanted, dict):
        return _written_out(wanted)
    raise InputError(
        f"{wanted!r} is not a game: write the name of a game, {{ game = its name, option = ... }}, the name of a .json "
        "file of payoffs, or { payoffs = [...] }."
    )


def _written_out(wanted: Mapping[str, Any]) -> Environment:
    found = ", ".join(map(repr, wanted)) or "nothing"
    advice = "write payoffs = [...] and, if you like, name, roles (a text for each player), actions (a list for each)"
    schema.check(wanted, PAYOFF_FILE, f"found {found}", advice)
    return NormalForm(
        wanted["payoffs"],
        name=wanted.get("name", "game"),
        role_names=wanted.get("roles"),
        action_labels=wanted.get("actions"),
    )
