"""`dataset.toml`: what a study's table means, where it comes from, and which games it records."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bayescal.errors import InputError
from bayescal.plain import Options
from bayescal.reading import TEXT_BYTES, odd_content, read_bytes
from bayescal.study.keys import META, META_RULES, MODEL, MODEL_RULES, SECTIONS, unknown_names, wrong_values
from bayescal.study.wide import Wide, read_wide
from bayescal.table.columns import Columns

FILE = "dataset.toml"


@dataclass(frozen=True)
class Dataset:
    """A checked dataset.toml.

    Nothing in it is code. A program of the study's own is game.py beside it, and runs only if the user trusts it.

    Example:
        [meta]                         # only the title is needed
        title = "Two matching-pennies games"
        source = "https://doi.org/..."
        licence = "CC-BY-4.0"
        citation = "Author (2020). Title. Journal."
        units = "euro cents"
        file = "decisions.csv"         # in the study's folder; this is the default
        sha256 = "..."                 # of that file; checked if it is given, and needed for a download
        where = "treatment == 1"       # which rows to use, if not all
        people = 120                   # how many people and decisions, for `bayescal data list`
        decisions = 2400

        # for a registered set, instead of file: a table that does not ship with bayescal
        external = "folder/file.csv"   # its place below $BAYESCAL_DATA_DIR or the user's cache
        address = "https://..."        # of the original file, which `bayescal data add` fetches ...
        commit = "2085872f..."
        derived = "names dropped"      # ... unless the table is not the original: what was done to it
        reader = "nagel-1995"          # one of bayescal.study.readers, instead of [columns] and [games]

        [columns]                      # what the file calls a column, where it has another name
        participant = "subject_id"
        round = ["round", "period"]    # one of these

        [wide]                         # for a spreadsheet with a column for each subject or round, see `Wide`
        columns = "round *"
        into = "round"

        [games]                        # what the file calls a game, and which game that is
        T1 = "matching-pennies"        # a named game (`bayescal games`)
        T2 = "payoffs.json"            # a file of payoffs beside dataset.toml
        T3 = { payoffs = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]], actions = [["U", "D"], ["L", "R"]] }
        T4 = { game = "bus-engine", discount = 0.9 }   # a game over time with options

        [model]
        by = "game"                    # costs may differ between games (or "group", "participant")
        parameters = ["RC"]            # parameters of the game that are inferred too
        snap = false                   # move values between two grid points to the nearer one
        hyperpriors = {}

        # for games over time:
        tolerance = 0.01               # how far a recorded number may differ from the one that the game gives
        cost = 1.0                     # a known cost
        policy = "beer-game"           # the likelihood uses a learned policy (`bayescal models`)
        prior = ["Previous", { kind = "Focal", every = 5 }]   # or: the habit is the product of these
        prior_parameters = true        # infer the habits' parameters too: for all, by "group" or by "participant"
        chance = true                  # estimate chance moves from the table first

        # for people who differ:
        population = "log-normal"      # costs are private and drawn from it
        beliefs = "consistent"         # about others' costs: or "free", or { log_mean = 1.0, log_sd = 0.5 }
        method = "marginal"            # or "joint", "compressed"
        covariates = "~ treatment + age"   # of log cost: columns of the table
        groups = "session"             # the column of group effects
        lapse = true                   # some decisions are made at random
        learning = true                # costs drift over rounds
    """

    folder: Path
    title: str
    games: Mapping[str, Any]
    columns: Columns
    source: str = ""
    licence: str = ""
    citation: str = ""
    units: str = "payoff units"
    wide: Wide | None = None
    file: str = "decisions.csv"
    sha256: str = ""
    external: str = ""
    where: str = ""
    by: str | None = None
    snap: bool = False
    hyperpriors: Options = field(default_factory=dict)
    tolerance: float = 0.01
    cost: float | None = None
    parameters: tuple[str, ...] = ()
    policy: str | None = None
    prior: tuple[Any, ...] = ()
    prior_parameters: bool | str = False
    chance: bool = False
    people: int | None = None
    decisions: int | None = None
    address: str = ""
    commit: str = ""
    derived: str = ""
    reader: str = ""
    population: str | None = None
    beliefs: Literal["consistent", "free"] | Mapping[str, float] | None = None
    method: str | None = None
    covariates: str | None = None
    groups: str | None = None
    lapse: bool = False
    learning: bool = False

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def registered(self) -> bool:
        """Whether the table does not ship with bayescal."""
        return bool(self.external)


class Checked(NamedTuple):
    """What could be read of a dataset.toml.

    Attributes:
        dataset: without the keys that are wrong.
        faults: a sentence for each fault.
        usable: whether columns and games are known, so that the table can be read.
    """

    dataset: Dataset
    faults: list[str]
    usable: bool


def read_dataset(path: Path) -> Dataset:
    """The dataset.toml at `path`; every fault in it in one InputError."""
    checked = check_dataset(path)
    if checked.faults:
        raise InputError(" ".join(checked.faults))
    return checked.dataset


def check_dataset(path: Path, changed: Options | None = None) -> Checked:
    """The dataset.toml at `path` and every fault in it; InputError if it cannot be read at all.

    Args:
        changed: keys of [model] in place of what the file says.
    """
    content = read_toml(path)
    unknown = unknown_names(path, "section", content, SECTIONS)
    broken: list[str] = []  # without these the table cannot be read
    meta, columns, games, model, unfolded = (_section(path, content, name, broken) for name in SECTIONS)
    model = {**model, **(changed or {})}
    wide = read_wide(path, unfolded, broken)
    faults = unknown_names(path, "key", meta, META, "meta") + unknown_names(path, "key", model, MODEL, "model")
    if not meta.get("title"):
        faults.append(f'{path} has no title: write [meta] and title = "..." in it.')
    if "prior" in model and "policy" in model:
        faults.append(
            f"{path}: [model] has a policy and a prior, but a learned policy has a prior of its own: leave one."
        )
    wrong = wrong_values(path, "meta", meta, META_RULES) + wrong_values(path, "model", model, MODEL_RULES)
    broken += _broken(path, meta, columns, games, unfolded)
    wrong_keys = {fault.key for fault in wrong}
    known = {key: meta[key] for key in META if key in meta} | {key: model[key] for key in MODEL if key in model}
    settings: dict[str, Any] = {"title": ""} | {k: v for k, v in known.items() if k not in wrong_keys}
    for key in ("parameters", "prior"):
        settings[key] = tuple(settings.get(key, ()))
    dataset = Dataset(folder=path.parent, games=games, columns=columns, wide=wide, **settings)
    every = [*unknown, *faults, *(fault.sentence for fault in wrong), *broken]
    return Checked(dataset, every, not (unknown or broken))


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a dataset.toml."""
    try:
        content = tomllib.loads(read_bytes(path, TEXT_BYTES).decode("utf-8-sig"))
    except OSError as error:
        raise InputError(
            f"Cannot read {path} ({error.strerror or error}): a study is a folder with {FILE} and its table."
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it again in UTF-8.") from None
    except ValueError as error:  # of TOML, or of a whole number with thousands of digits
        raise InputError(f"{path} is not TOML: {error}. Correct it there (texts need quotes).") from None
    except RecursionError:
        raise InputError(f"{path} is not TOML that can be read: its lists are nested too deep.") from None
    if odd := list(islice(odd_content(content), 5)):
        raise InputError(f"{path}: {'; '.join(odd)}: write it without.")
    return content


def _broken(path: Path, meta: Options, columns: Options, games: Options, wide: Options) -> list[str]:
    """Faults without whose repair the table cannot be read."""
    faults = []
    if "reader" in meta and (columns or games or wide):
        faults.append(f"{path}: the reader knows columns and games: leave out [columns], [games] and [wide], or it.")
    if not games and "reader" not in meta:
        faults.append(
            f'{path} names no games: write [games] and, for each, what the table calls it = "the name of '
            'a game" (see `bayescal games`), = "payoffs.json" or = { payoffs = [...] }.'
        )
    for key, value in columns.items():
        several = value if isinstance(value, list) and value else [value]
        if not all(isinstance(v, str) for v in several):
            faults.append(f"{path}: {key} under [columns] is {value!r}: write the name of a column in quotes.")
    return faults


def _section(path: Path, content: Options, name: str, faults: list[str]) -> dict[str, Any]:
    section = content.get(name, {})
    if isinstance(section, dict):
        return section
    faults.append(f"{path}: {name} is {section!r}: write a section, [{name}].")
    return {}
