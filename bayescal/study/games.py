"""The `[games]` section of a dataset.toml: a named game, a file of payoffs, or a table of payoffs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bayescal.environments.base import Environment
from bayescal.environments.named import get_game, load_game_file
from bayescal.environments.normal_form import NormalForm
from bayescal.errors import InputError
from bayescal.study.dataset import FILE

KEYS = ("payoffs", "name", "roles", "actions")


def build_games(
    folder: Path, games: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> dict[str, Environment]:
    """The environment of each game of the table.

    Args:
        options: for all named games; they override those of dataset.toml.

    Raises:
        InputError: with every fault.
    """
    built: dict[str, Environment] = {}
    faults: list[str] = []
    for name, wanted in games.items():
        try:
            built[name] = _build(folder, wanted, dict(options or {}))
        except InputError as error:
            faults.append(f"{folder / FILE}, game {name!r} under [games]: {error}")
    if faults:
        raise InputError(" ".join(faults))
    return built


def _build(folder: Path, wanted: Any, options: dict[str, Any]) -> Environment:
    if isinstance(wanted, str) and wanted.endswith(".json"):
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
    unknown = [key for key in wanted if key not in KEYS]
    if "payoffs" not in wanted or unknown:
        found = ", ".join(map(repr, wanted)) or "nothing"
        raise InputError(f"found {found}: write payoffs = [...] and, optionally, {', '.join(KEYS[1:])}.")
    roles, actions = wanted.get("roles"), wanted.get("actions")
    if roles is not None and not _texts(roles):
        raise InputError(f"roles is {roles!r}: write a list of texts, one for each player.")
    if actions is not None and not (isinstance(actions, list) and all(map(_texts, actions))):
        raise InputError(f"actions is {actions!r}: write a list of texts for each player.")
    return NormalForm(wanted["payoffs"], name=str(wanted.get("name", "game")), role_names=roles, action_labels=actions)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
