"""`dataset.toml`: what a study's table means, where it comes from, and which games it records."""

import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bayescal.errors import InputError
from bayescal.populations import POPULATIONS
from bayescal.registry import Registry
from bayescal.study.wide import Wide, read_wide
from bayescal.table.columns import Columns
from bayescal.table.decisions import LEVELS

FILE = "dataset.toml"
TEXTS = (
    "title", "source", "licence", "citation", "units", "file", "sha256", "external", "where", "address", "commit",
    "derived", "reader",
)  # fmt: skip
COUNTS = ("people", "decisions")
META = TEXTS + COUNTS
MODEL = (
    "by", "snap", "hyperpriors", "tolerance", "cost", "parameters", "policy", "prior", "prior_parameters", "chance",
    "population", "beliefs", "method", "covariates", "groups", "lapse", "learning",
)  # fmt: skip
FLAGS = ("snap", "chance", "lapse", "learning")
METHODS = ("joint", "marginal", "compressed")
BELIEFS = ("consistent", "free")  # or a table of the values that they are fixed at
SECTIONS = ("meta", "columns", "games", "model", "wide")


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
        where = "treatment == 1"       # which rows, where it is not all
        people = 120                   # how many there are, for `bayescal data list`
        decisions = 2400

        # of a registered set, instead of file: a table that does not come with bayescal
        external = "folder/file.csv"   # where it is below $BAYESCAL_DATA_DIR or the user's cache
        address = "https://..."        # of the original file, which `bayescal data add` fetches ...
        commit = "2085872f..."
        derived = "names dropped"      # ... unless the table is not the original: what was done to it
        reader = "nagel-1995"          # a function of bayescal.study.readers, instead of [columns] and [games]

        [columns]                      # what the file calls a column, where it has another name
        participant = "subject_id"
        round = ["round", "period"]    # one of these

        [wide]                         # of a spreadsheet with a column a subject or a round, see `Wide`
        columns = "round *"
        into = "round"

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
        prior_parameters = true        # infer the habits' parameters too: for all, or by "group", or by "participant"
        chance = true                  # what chance does is counted from the table first

        # of people who differ:
        population = "log-normal"      # costs are private and drawn from it
        beliefs = "consistent"         # of what others' costs are: or "free", or { log_mean = 1.0, log_sd = 0.5 }
        method = "marginal"            # or "joint", "compressed"
        covariates = "~ treatment + age"   # of log cost; columns of the table
        groups = "session"             # the column of group effects
        lapse = true                   # some decisions are made without thinking
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
    hyperpriors: Mapping[str, Any] = field(default_factory=dict)
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
    beliefs: Any = None
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
        """Whether the table does not come with bayescal."""
        return bool(self.external)


class Checked(NamedTuple):
    """What could be read of a dataset.toml: faulty keys are left out; `usable` where columns and games are known."""

    dataset: Dataset
    faults: list[str]
    usable: bool


def read_dataset(path: Path) -> Dataset:
    """The dataset.toml at `path`; every fault in it in one InputError."""
    checked = check_dataset(path)
    if checked.faults:
        raise InputError(" ".join(checked.faults))
    return checked.dataset


def check_dataset(path: Path, changed: Mapping[str, Any] | None = None) -> Checked:
    """The dataset.toml at `path` and every fault in it; InputError where it cannot be read at all.

    Args:
        changed: keys of [model] in place of what it says.
    """
    content = _parse(path)
    unknown = _unknown(path, "section", content, SECTIONS)
    broken: list[str] = []  # without these the table cannot be read
    meta, columns, games, model, unfolded = (_section(path, content, name, broken) for name in SECTIONS)
    model = {**model, **(changed or {})}
    wide = read_wide(path, unfolded, broken)
    faults = _unknown(path, "key", meta, META, "meta") + _unknown(path, "key", model, MODEL, "model")
    if not meta.get("title"):
        faults.append(f'{path} has no title: write [meta] and title = "..." in it.')
    wrong = _wrong(path, "meta", meta, _META_RULES) + _wrong(path, "model", model, _MODEL_RULES)
    if "reader" in meta and (columns or games or unfolded):
        broken.append(f"{path}: the reader knows columns and games: leave out [columns], [games] and [wide], or it.")
    if not games and "reader" not in meta:
        broken.append(
            f'{path} names no games: write [games] and, for each, what the table calls it = "the name of '
            'a game" (see `bayescal games`), = "payoffs.json" or = { payoffs = [...] }.'
        )
    for key, value in columns.items():
        several = value if isinstance(value, list) and value else [value]
        if not all(isinstance(v, str) for v in several):
            broken.append(f"{path}: {key} under [columns] is {value!r}: write the name of a column in quotes.")
    if "prior" in model and "policy" in model:
        faults.append(
            f"{path}: [model] has a policy and a prior, but a learned policy has a prior of its own: leave one."
        )
    sound = lambda section, known: {k: v for k, v in section.items() if k in known and k not in {n for n, _ in wrong}}
    settings: dict[str, Any] = {"title": ""} | sound(meta, META) | sound(model, MODEL)
    for key in ("parameters", "prior"):
        settings[key] = tuple(settings.get(key, ()))
    dataset = Dataset(folder=path.parent, games=games, columns=columns, wide=wide, **settings)
    return Checked(dataset, [*unknown, *faults, *(text for _, text in wrong), *broken], not (unknown or broken))


def _positive(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and value > 0


def _count(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int) and value > 0


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(n, str) for n in value)


def _habits(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(h, str) or (isinstance(h, dict) and "kind" in h) for h in value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _one_of(choices: Collection[Any] | Registry[Any]) -> tuple[Any, Any]:
    # A function, since a user may register a choice later.
    return (lambda value: value in choices), lambda: f"write one of {', '.join(map(repr, choices))}"


_META_RULES = dict.fromkeys(TEXTS, (_text, "write a text in quotes")) | dict.fromkeys(
    COUNTS, (_count, "write a whole number")
)
_MODEL_RULES = {
    **dict.fromkeys(FLAGS, (_flag, "write true or false")),
    **dict.fromkeys(("tolerance", "cost"), (_positive, "write a positive number")),
    "by": _one_of(LEVELS),
    "prior_parameters": _one_of((True, False, "shared", "group", "participant")),
    "method": _one_of(METHODS),
    "beliefs": (
        lambda value: value in BELIEFS or isinstance(value, dict),
        'write "consistent", "free" or the values of the population\'s parameters, { log_mean = 1.0, log_sd = 0.5 }',
    ),
    "population": _one_of(POPULATIONS),
    "parameters": (_names, 'write a list of names, ["RC", "theta11"]'),
    "prior": (_habits, 'write a list of habits, ["Previous", { kind = "Focal", every = 5 }]'),
    "policy": (_text, "write the name of a model in quotes"),
    "covariates": (_text, 'write a formula in quotes, "~ treatment + age"'),
    "groups": (_text, "write the name of a column in quotes"),
    "hyperpriors": (lambda value: isinstance(value, dict), "write a table, [model.hyperpriors]"),
}


def _wrong(path: Path, name: str, section: Mapping[str, Any], rules: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, what is wrong with its value) of each that is."""
    found = []
    for key, (right, fix) in rules.items():
        if key in section and not right(section[key]):
            found.append((key, f"{path}: {key} under [{name}] is {section[key]!r}: {fix() if callable(fix) else fix}."))
    return found


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
