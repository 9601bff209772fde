"""Programs in a study folder: `game.py` and the experiment.py of a model. They run only if the user trusts the study.

Everything else in a study is data, and is never evaluated as code: formulas are checked (`formula.py`), conditions
are parsed (`table/query.py`).
"""

import hashlib
import re
import sys
import traceback
from collections.abc import Container
from pathlib import Path
from types import ModuleType
from typing import Any

from bayescal.environments.named import GAMES
from bayescal.errors import InputError
from bayescal.plain import Options, listed
from bayescal.populations import POPULATIONS
from bayescal.priors import HABITS
from bayescal.registry import source
from bayescal.study.dataset import Dataset, read_toml
from bayescal.study.readers import READERS
from bayescal.training.recipe import EXPERIMENT, model_names

GAME = "game.py"
_HOW = "it is a program and has your rights. Read it, then allow it with --trust (trust=True in Python)."
_RUN: dict[Path, str] = {}  # the sum of each file that has run in this process


def run_game_file(folder: Path) -> Path | None:
    """Run the folder's game.py, which registers its games, habits, populations, rivals and readers.

    A file that has not changed since it ran in this process is not run again.

    Raises:
        InputError: the program fails; the message says on which line.
    """
    path = (folder / GAME).resolve()
    if not path.is_file():
        return None
    program = path.read_bytes()
    content = hashlib.sha256(program).hexdigest()
    if _RUN.get(path) == content:
        return path
    module = ModuleType("game_of_" + re.sub(r"\W", "_", path.parent.name))
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look up the module of their class
    try:
        with source(str(path)):
            exec(compile(program, str(path), "exec"), vars(module))  # the user has said that it may run
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # whatever the program raises
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else (lines or [None])[-1]
        where = f"{path}, line {line}" if line else str(path)
        raise InputError(f"{where}: the program failed ({type(error).__name__}: {error}): correct it there.") from error
    _RUN[path] = content
    return path


def refuse_unknown_kinds(path: Path, model: Options) -> None:
    """An InputError if a study that is not trusted names kinds that only its game.py may define. Nothing is run.

    Args:
        path: of dataset.toml.
        model: keys of [model] in place of what the file says.
    """
    program = path.parent / GAME
    if not program.is_file():
        return
    unknown = _unknown_kinds(read_toml(path), model)
    if unknown:
        several = "are" if len(unknown) > 1 else "is"
        raise InputError(
            f"{path}: {listed(unknown)} {several} not known to bayescal. {program} may define what is missing, but was "
            f"not run: {_HOW}"
        )


def own_game(game: str, trust: bool) -> str | None:
    """The registered name of a game given as FOLDER or FOLDER/NAME, whose game.py registers it; None for others.

    Raises:
        InputError: the study is not trusted, or which of several games is meant is not said.
    """
    path = Path(game)
    if game in GAMES:
        return None
    folder, name = (path, "") if (path / GAME).is_file() else (path.parent, path.name)
    if not (folder / GAME).is_file():
        return None
    if not trust:
        if not name or not path.exists():
            raise InputError(f"{game}: {folder / GAME} may define this game, but was not run: {_HOW}")
        return None
    names = GAMES.names_from(str(run_game_file(folder)))
    if not name and len(names) == 1:
        return names[0]
    if name in names:
        return name
    raise InputError(
        f"{game}: {folder / GAME} registers {'the games ' + ', '.join(names) if names else 'no game'}: write "
        f"{folder}/ and the name of one."
    )


def own_policy(dataset: Dataset, trust: bool) -> str | None:
    """The policy that [model] names: one of bayescal's models or, if the study is trusted, a folder with a program."""
    policy = dataset.policy
    if policy is None or policy in model_names():
        return policy
    asked = Path(policy).parent if Path(policy).name == EXPERIMENT else Path(policy)
    try:
        folder = next((f for f in (dataset.folder / asked, asked) if (f / EXPERIMENT).is_file()), None)
    except OSError:  # a name that is too long
        folder = None
    if folder is None:
        raise InputError(
            f"policy under [model] is {policy!r}: there is no such model; the models are {', '.join(model_names())}, "
            f"and one of the study's own is a folder with an {EXPERIMENT}."
        )
    if not trust:
        raise InputError(
            f"policy under [model] is {policy!r}, which is not one of bayescal's models ({', '.join(model_names())}) "
            f"but a folder whose {EXPERIMENT} would run: {_HOW}"
        )
    return str(folder)


def _unknown_kinds(content: Options, model: Options) -> list[str]:
    """In words, the games, habits, populations and readers that a dataset.toml names and no registry has."""
    section = lambda name: content[name] if isinstance(content.get(name), dict) else {}
    games = [g.get("game") if isinstance(g, dict) else g for g in section("games").values()]
    models = {**section("model"), **model}
    habits = models.get("prior")
    kinds = [h.get("kind") if isinstance(h, dict) else h for h in habits] if isinstance(habits, list) else []
    named: tuple[tuple[str, Container[str], list[Any]], ...] = (
        ("game", GAMES, [g for g in games if not str(g).endswith(".json")]),
        ("habit", HABITS, kinds),
        ("population", POPULATIONS, [models.get("population")]),
        ("reader", READERS, [section("meta").get("reader")]),
    )
    return [
        f"the {noun} {name!r}"
        for noun, registry, names in named
        for name in dict.fromkeys(n for n in names if isinstance(n, str))
        if name not in registry
    ]
