"""`dataset.toml`: what a study's table means, where it comes from, and which games it records."""

import difflib
import hashlib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayescal._table import Columns
from bayescal.decisions import LEVELS
from bayescal.errors import InputError

FILE = "dataset.toml"
META = ("title", "source", "licence", "citation", "units", "file", "sha256", "external", "where")
MODEL = (
    "by", "snap", "hyperpriors", "tolerance", "cost", "parameters", "policy", "prior", "prior_parameters", "chance",
)  # fmt: skip
DATA_DIR = "BAYESCAL_DATA_DIR"
SECTIONS = ("meta", "columns", "games", "model")


@dataclass(frozen=True)
class Dataset:
    """A checked dataset.toml.

    Example:
        [meta]                         # title is needed, the rest is good manners
        title = "Two matching-pennies games"
        source = "https://doi.org/..."
        licence = "CC-BY-4.0"
        citation = "Author (2020). Title. Journal."
        units = "euro cents"
        file = "decisions.csv"         # beside dataset.toml; this is the default
        sha256 = "..."                 # of that file: checked when it is given
        external = "folder/file.csv"   # instead of file: a table that does not ship, below $BAYESCAL_DATA_DIR
        where = "treatment == 1"       # which rows, where it is not all

        [columns]                      # what the file calls a column, where it has another name
        participant = "subject_id"
        round = ["round", "period"]    # one of these

        [games]                        # what the file calls a game, and which game that is
        T1 = "matching-pennies"        # a named game (`bayescal games`)
        T2 = "payoffs.json"            # a file of payoffs beside dataset.toml
        T3 = { payoffs = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]], actions = [["U", "D"], ["L", "R"]] }
        T4 = { game = "bus-engine", discount = 0.9 }   # a game over time with options

        [model]
        by = "game"                    # costs may differ between games (or "group", "participant")
        snap = false                   # move values between two grid points to the nearer one
        hyperpriors = {}

        # of games over time:
        tolerance = 0.01               # by how much a recorded number may differ from what the game makes it
        cost = 1.0                     # a known cost, where parameters of the game are inferred instead
        parameters = ["RC"]
        policy = "beer-game"           # a learned policy as the likelihood (`bayescal models`)
        prior = ["Previous", { kind = "Focal", every = 5 }]   # or: habits, of which the product is the prior
        prior_parameters = true        # infer the habits' parameters too
        chance = true                  # what chance does is counted from the table first
    """

    folder: Path
    title: str
    games: Mapping[str, Any]
    columns: Columns
    source: str = ""
    licence: str = ""
    citation: str = ""
    units: str = "payoff units"
    file: str = "decisions.csv"
    sha256: str = ""
    external: str = ""
    where: str = ""
    by: str | None = None
    snap: bool = False
    hyperpriors: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0.01
    cost: float | None = None
    parameters: tuple[str, ...] = ()
    policy: str | None = None
    prior: tuple[Any, ...] = ()
    prior_parameters: bool = False
    chance: bool = False

    @property
    def csv(self) -> Path:
        return Path(os.environ.get(DATA_DIR, ".")) / self.external if self.external else self.folder / self.file

    def check_file(self) -> None:
        """The table is there, and is the one that dataset.toml describes."""
        if self.external and not self.csv.is_file():
            raise InputError(
                f"The decisions of {self.folder.name!r} do not come with bayescal (source: {self.source}). Give the "
                f"file with --data FILE, or set {DATA_DIR} to the folder that holds {self.external}."
            )
        try:
            found = hashlib.sha256(self.csv.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(
                f"Cannot read {self.csv}, the table that {FILE} describes ({error.strerror or error}): put "
                'the file there, or write its name as file = "..." under [meta].'
            ) from None
        if self.sha256 and found != self.sha256.lower():
            raise InputError(
                f"{self.csv} is not the file that {FILE} describes: its sha256 is {found}, {FILE} says "
                f"{self.sha256}. Restore the file or, if the change is meant, write the new sum under [meta]."
            )


def read_dataset(path: Path) -> Dataset:
    """The dataset.toml at `path`; every fault in it in one InputError."""
    content = _parse(path)
    faults: list[str] = []
    faults += _unknown(path, "section", content, SECTIONS)
    meta, columns, games, model = (_section(path, content, name, faults) for name in SECTIONS)
    faults += _unknown(path, "key", meta, META, "meta") + _unknown(path, "key", model, MODEL, "model")
    for key in META:
        if key in meta and not isinstance(meta[key], str):
            faults.append(f"{path}: {key} under [meta] is {meta[key]!r}: write a text in quotes.")
    if not meta.get("title"):
        faults.append(f'{path} has no title: write [meta] and title = "..." in it.')
    if not games:
        faults.append(
            f'{path} names no games: write [games] and, for each, what the table calls it = "the name of '
            'a game" (see `bayescal games`), = "payoffs.json" or = { payoffs = [...] }.'
        )
    for key, value in columns.items():
        several = value if isinstance(value, list) and value else [value]
        if not all(isinstance(v, str) for v in several):
            faults.append(f"{path}: {key} under [columns] is {value!r}: write the name of a column in quotes.")
    by = model.get("by")
    if by is not None and by not in LEVELS:
        faults.append(f"{path}: by under [model] is {by!r}: write one of {', '.join(map(repr, LEVELS))}.")
    for key in ("snap", "prior_parameters", "chance"):
        if not isinstance(model.get(key, False), bool):
            faults.append(f"{path}: {key} under [model] is {model[key]!r}: write true or false.")
    for key in ("tolerance", "cost"):
        value = model.get(key, 1.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            faults.append(f"{path}: {key} under [model] is {value!r}: write a positive number.")
    names = model.get("parameters", [])
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        faults.append(f'{path}: parameters under [model] is {names!r}: write a list of names, ["RC", "theta11"].')
    habits = model.get("prior", [])
    if not isinstance(habits, list) or not all(
        isinstance(h, str) or (isinstance(h, dict) and "kind" in h) for h in habits
    ):
        faults.append(
            f'{path}: prior under [model] is {habits!r}: write a list of habits, ["Previous", {{ kind = "Focal", '
            "every = 5 }]."
        )
    if habits and "policy" in model:
        faults.append(
            f"{path}: [model] has a policy and a prior, but a learned policy has a prior of its own: leave one."
        )
    if not isinstance(model.get("policy", ""), str):
        faults.append(f"{path}: policy under [model] is {model['policy']!r}: write the name of a model in quotes.")
    hyperpriors = model.get("hyperpriors", {})
    if not isinstance(hyperpriors, dict):
        faults.append(f"{path}: hyperpriors under [model] is {hyperpriors!r}: write a table, [model.hyperpriors].")
    if faults:
        raise InputError(" ".join(faults))
    settings = {k: v for k, v in model.items() if k not in ("hyperpriors", "parameters", "prior")}
    return Dataset(
        folder=path.parent,
        games=games,
        columns=columns,
        hyperpriors=hyperpriors,
        parameters=tuple(names),
        prior=tuple(habits),
        **settings,
        **meta,
    )


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(
            f"Cannot read {path} ({error.strerror or error}): a study is a folder with {FILE} and its table."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it again in UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}. Correct it there (texts need quotes).") from None


def _section(path: Path, content: dict[str, Any], name: str, faults: list[str]) -> dict[str, Any]:
    section = content.get(name, {})
    if isinstance(section, dict):
        return section
    faults.append(f"{path}: {name} is {section!r}: write a section, [{name}].")
    return {}


def _unknown(path: Path, kind: str, found: Iterable[str], known: tuple[str, ...], section: str = "") -> list[str]:
    """A misspelt key would be ignored in silence."""
    where = f" under [{section}]" if section else ""
    faults = []
    for name in found:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
            faults.append(f"{path} has an unknown {kind} {name!r}{where}: {hint}")
    return faults
