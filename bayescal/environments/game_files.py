"""Files of games: payoffs or a tree in JSON, and Gambit's .nfg, .efg and .agg. Importing this file imports no JAX."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescal import schema
from bayescal.errors import InputError
from bayescal.files import write_atomically
from bayescal.reading import TEXT_BYTES, read_bytes, read_json

if TYPE_CHECKING:
    from bayescal.environments.base import Environment
    from bayescal.environments.extensive import ExtensiveForm
    from bayescal.environments.normal_form import NormalForm

SUFFIXES = (".json", ".nfg", ".efg", ".agg")

_SHAPE = 'a game file is {"payoffs": payoffs[player][a1][a2]…} or {"roles": [...], "tree": {...}}'
_NAMES = {"name": schema.text, "roles": schema.list_of(schema.text)}
_PAYOFFS = schema.record(
    {"payoffs": schema.anything}, {**_NAMES, "actions": schema.list_of(schema.list_of(schema.text))}
)
_TREE = schema.record({"tree": schema.section, "roles": schema.list_of(schema.text)}, {"name": schema.text})


def load_game_file(path: str | Path) -> "NormalForm | ExtensiveForm":
    """A game from a file.

    A JSON file holds `{"payoffs": payoffs[player][a1][a2]…}`, and optionally "name", "roles" and "actions"; or
    `{"roles": [...], "tree": {...}}` (see `tree_of`). Gambit's .nfg, .efg and .agg files are read too.

    Raises:
        InputError: with every fault of a JSON file; with the first one, and its line, of another.

    Example:
        >>> import bayescal as bc
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "chicken.json"
        ...     _ = path.write_text('{"payoffs": [[[0, 7], [2, 6]], [[0, 2], [7, 6]]], "roles": ["one", "other"]}')
        ...     game = bc.load_game_file(path)
        >>> game.name, game.role_names
        ('chicken', ('one', 'other'))
    """
    path = Path(path)
    if path.suffix in (".nfg", ".efg", ".agg"):
        from bayescal.environments import gambit

        readers = {".nfg": gambit.read_nfg, ".efg": gambit.read_efg, ".agg": gambit.read_agg}
        return readers[path.suffix](_text(path), str(path), path.stem)
    content = read_json(path, _SHAPE)
    if not isinstance(content, dict) or not {"payoffs", "tree"} & set(content):
        found = f"the keys {sorted(content)}" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise InputError(f'{path}: found {found} but neither "payoffs" nor "tree"; {_SHAPE}.')
    return game_of(content, str(path), path.stem)


def game_of(content: Mapping[str, Any], where: str, name: str) -> "NormalForm | ExtensiveForm":
    """The game that a JSON file or a section of a dataset.toml describes.

    Args:
        where: the file or section, for messages.
        name: of the game, if it gives none.
    """
    name = content.get("name", name)
    if "tree" in content:
        from bayescal.environments.written_tree import tree_of

        schema.check(content, _TREE, where, "a tree has the keys roles, tree and, if you like, name")
        return tree_of(content["tree"], content["roles"], where, name)
    advice = "a table of payoffs has the key payoffs and, if you like, name, roles (a text for each player) and actions"
    schema.check(content, _PAYOFFS, where, f"{advice} (a list for each)")
    from bayescal.environments.normal_form import NormalForm
    from bayescal.environments.payoffs import check_payoffs

    payoffs = check_payoffs(content["payoffs"], where)
    try:
        return NormalForm(payoffs, name=name, role_names=content.get("roles"), action_labels=content.get("actions"))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def save_game_file(game: "Environment", path: str | Path) -> Path:
    """Write a game for Gambit: one that is played once as .nfg, a tree as .efg.

    Raises:
        InputError: the suffix does not fit the game, or its table of payoffs would be too large.

    Example:
        >>> import bayescal as bc
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = bc.save_game_file(bc.get_game("kuhn-poker"), pathlib.Path(folder) / "kuhn.efg")
        ...     bc.load_game_file(path).tree == bc.get_game("kuhn-poker").tree
        True
    """
    from bayescal.environments import gambit
    from bayescal.environments.base import OneShot
    from bayescal.environments.extensive import ExtensiveForm

    path = Path(path)
    if isinstance(game, ExtensiveForm):
        wanted, write = ".efg", lambda: gambit.to_efg(game)
    elif isinstance(game, OneShot):
        wanted, write = ".nfg", lambda: gambit.to_nfg(game)
    else:
        raise InputError(f"{game.name} is neither played once nor a tree, and Gambit has no file for other games.")
    if path.suffix != wanted:
        raise InputError(f"{path}: Gambit's files for a game like {game.name} end in {wanted}: name it so.")
    write_atomically(path, write().encode())
    return path


def _text(path: Path) -> str:
    try:
        return read_bytes(path, TEXT_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; give the name of a game file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give the name of a game file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start + 1} is not UTF-8 text; save the file as UTF-8.") from None
