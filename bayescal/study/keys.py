"""The keys of a dataset.toml: which there are, and what their values may be."""

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bayescal import schema
from bayescal.populations import POPULATIONS
from bayescal.registry import Registry
from bayescal.table.decisions import LEVELS

SECTIONS = ("meta", "columns", "games", "model", "wide")
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
METHODS = ("joint", "marginal", "compressed")
BELIEFS = ("consistent", "free")  # or a table of the values that they are fixed at


class Rule(NamedTuple):
    """What the value of a key may be.

    Attributes:
        holds: whether a value may stand there.
        fix: what to write instead.
    """

    holds: Callable[[object], bool]
    fix: Callable[[], str]


class KeyFault(NamedTuple):
    """A key whose value may not stand there, and the sentence that says so."""

    key: str
    sentence: str


def wrong_values(path: Path, name: str, section: Mapping[str, object], rules: Mapping[str, Rule]) -> list[KeyFault]:
    return [
        KeyFault(key, f"{path}: {key} under [{name}] is {section[key]!r}: {rule.fix()}.")
        for key, rule in rules.items()
        if key in section and not rule.holds(section[key])
    ]


def unknown_names(path: Path, kind: str, names: Iterable[str], known: Collection[str], section: str = "") -> list[str]:
    """A sentence for each name that is not known, since a misspelt key would be ignored without a word.

    Args:
        kind: what it names ("key").
    """
    where = f" under [{section}]" if section else ""
    faults = []
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
            faults.append(f"{path} has an unknown {kind} {name!r}{where}: {hint}")
    return faults


def _is_positive(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and 0 < value < 1e300


def _is_count(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, int) and value > 0


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _are_habits(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(h, str) or (isinstance(h, dict) and "kind" in h) for h in value)


def _is_inside(value: object) -> bool:
    """A path that stays below the folder of tables: the table that is fetched is written there."""
    if not isinstance(value, str):
        return False
    parts = PurePosixPath(value.replace("\\", "/"))
    return not parts.is_absolute() and ".." not in parts.parts and ":" not in value


def _rule(holds: Callable[[object], bool], fix: str) -> Rule:
    return Rule(holds, lambda: fix)


def _one_of(choices: Collection[object] | Registry) -> Rule:
    # The choices are listed when they are needed: kinds may be registered later.
    return Rule(
        lambda value: isinstance(value, str | bool) and value in choices,
        lambda: f"write one of {', '.join(map(repr, choices))}",
    )


META_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(TEXTS, _rule(_is_text, "write a text in quotes")),
    **dict.fromkeys(COUNTS, _rule(_is_count, "write a whole number")),
    "address": _rule(
        lambda value: isinstance(value, str) and (not value or value.startswith("https://")),
        "write an https:// address",
    ),
    "external": _rule(_is_inside, 'write where the table is below the folder of tables, "folder/file.csv"'),
}
MODEL_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("snap", "chance", "lapse", "learning"), _rule(_is_flag, "write true or false")),
    **dict.fromkeys(("tolerance", "cost"), _rule(_is_positive, "write a positive number")),
    "by": _one_of(LEVELS),
    "prior_parameters": _one_of((True, False, "shared", "group", "participant")),
    "method": _one_of(METHODS),
    "beliefs": _rule(
        lambda value: (
            (isinstance(value, str) and value in BELIEFS)
            or (isinstance(value, dict) and not any(schema.map_of(schema.number)(value, "")))
        ),
        'write "consistent", "free" or the values of the population\'s parameters, { log_mean = 1.0, log_sd = 0.5 }',
    ),
    "population": _one_of(POPULATIONS),
    "parameters": _rule(_are_texts, 'write a list of names, ["RC", "theta11"]'),
    "prior": _rule(_are_habits, 'write a list of habits, ["Previous", { kind = "Focal", every = 5 }]'),
    "policy": _rule(_is_text, "write the name of a model in quotes"),
    "covariates": _rule(_is_text, 'write a formula in quotes, "~ treatment + age"'),
    "groups": _rule(_is_text, "write the name of a column in quotes"),
    "hyperpriors": _rule(lambda value: isinstance(value, dict), "write a table, [model.hyperpriors]"),
}
