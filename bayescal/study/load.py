"""A study: the decisions of an experiment, its games, where it comes from, and the model to begin with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.plain import Options
from bayescal.priors.base import Prior
from bayescal.study.dataset import FILE, Checked, Dataset, check_dataset
from bayescal.study.formula import formula_columns
from bayescal.study.games import build_games
from bayescal.study.habits import build_prior
from bayescal.study.readers import read_with
from bayescal.study.trust import own_policy, refuse_unknown_kinds, run_game_file
from bayescal.study.where import find_study, locate_table
from bayescal.study.wide import unfold
from bayescal.table.columns import COLUMNS, Columns
from bayescal.table.decisions import Decisions
from bayescal.table.files import read_table
from bayescal.table.query import select_rows


@dataclass(frozen=True, eq=False)
class Study:
    """Decisions with their games, as `bayescal calibrate` takes them.

    Attributes:
        environments: all the games that dataset.toml names; `decisions.environments` are those that were played.
        by, hyperpriors, cost, parameters, prior_parameters, and all from population to learning: the study's
            defaults for `build_model`.
        policy: the name of the learned policy that the likelihood uses (None: solved exactly, with `prior`).
        columns: those of the table that was read; --where and covariates may name them.
        chance_log_likelihood: of the chance moves, if they are estimated from the table (else 0).

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura")
        >>> study.title
        'Twelve completely mixed 2x2 games (Selten & Chmura 2008)'
        >>> study.units, int(study.decisions.counts.sum())
        ('payoff points', 86400)
    """

    name: str
    title: str
    decisions: Decisions
    environments: Mapping[str, Environment]
    source: str = ""
    licence: str = ""
    citation: str = ""
    units: str = "payoff units"
    by: str | None = None
    hyperpriors: Options = field(default_factory=dict)
    folder: Path | None = None
    cost: float | None = None
    parameters: tuple[str, ...] = ()
    policy: str | None = None
    prior: Prior | None = None
    prior_parameters: bool | str = False
    chance_log_likelihood: float = 0.0
    columns: tuple[str, ...] = ()
    population: str | None = None
    beliefs: Literal["consistent", "free"] | Mapping[str, float] | None = None
    method: str | None = None
    covariates: str | None = None
    groups: str | None = None
    lapse: bool = False
    learning: bool = False


class _Source(NamedTuple):
    """A table and its games, before the decisions are checked."""

    table: pd.DataFrame
    environments: Mapping[str, Environment]
    columns: Columns
    name: str


class _Reading(NamedTuple):
    """How the user asks for the table to be read; None means as dataset.toml says."""

    data: Path | None
    where: str | None
    options: Options
    tolerance: float | None
    snap: bool | None


def load_study(
    study: str | Path,
    *,
    data: str | Path | None = None,
    where: str | None = None,
    options: Options | None = None,
    tolerance: float | None = None,
    snap: bool | None = None,
    model: Options | None = None,
    trust: bool = False,
) -> Study:
    """Read a study by its name, or from a folder that holds dataset.toml (or that file itself).

    Args:
        data: another table in place of the study's own.
        where: which of its rows, as a comparison of columns: "group in [1, 2]".
        options: of the study's games: {"discount": 0.0}.
        tolerance: how far a recorded number may differ from the one that the game gives.
        snap: whether to move values between two points of an ordered grid to the nearer one (None: as dataset.toml
            says); `Decisions.snapped` counts them.
        model: keys of [model] in place of those in dataset.toml: {"covariates": "~ treatment", "lapse": True}.
        trust: run the folder's game.py, which registers games, habits, populations, rivals and readers of the
            study's own, let [model] name a policy whose folder holds a program, and let the study name files outside
            its folder. Nothing in a study runs otherwise.

    Raises:
        InputError: no such study, or anything wrong in dataset.toml, in the games or in the table.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("cournot-simulated", where="round <= 5")
        >>> len(study.decisions.levels("participant")), study.policy
        (60, 'cournot')
    """
    path = find_study(study)
    if trust:
        run_game_file(path.parent)
    else:
        refuse_unknown_kinds(path, model or {})
    checked = check_dataset(path, model)
    reading = _Reading(None if data is None else Path(data), where, options or {}, tolerance, snap)
    loaded, faults = _load(checked, reading, trust)
    if loaded is None or faults:
        raise InputError(" ".join(faults))
    return loaded


def check_study(study: str | Path, *, trust: bool = False) -> Study:
    """The study that a folder holds, or that a table (or a dataset.toml) in it belongs to; else every fault at once.

    Args:
        trust: as in `load_study`.

    Raises:
        InputError: all that is wrong in dataset.toml, in the games, in the file and in the table.
    """
    path = Path(study)
    if path.is_file() and path.suffix != ".toml":
        if not (path.parent / FILE).is_file():
            raise InputError(f"{path} has no {FILE} beside it that says what its columns and games are: write one.")
        return load_study(path.parent / FILE, data=path, trust=trust)
    return load_study(study, trust=trust)


def _load(checked: Checked, reading: _Reading, trust: bool) -> tuple[Study | None, list[str]]:
    """(the study, None if it cannot be read; every fault)."""
    dataset, faults = checked.dataset, list(checked.faults)

    def attempt[Result](do: Callable[[], Result]) -> Result | None:
        try:
            return do()
        except InputError as error:
            faults.append(str(error))
            return None

    prior = attempt(lambda: build_prior(dataset.prior))
    policy = attempt(lambda: own_policy(dataset, trust))
    variables = attempt(lambda: _variables(dataset))
    file = reading.data or attempt(lambda: locate_table(dataset, faults, trust))
    if not checked.usable:
        return None, faults
    source = attempt(lambda: _source(dataset, file, reading.options, trust))
    if source is None:
        return None, faults
    decisions = attempt(lambda: _decisions(dataset, source, variables or [], reading))
    if decisions is None:
        return None, faults
    chance = 0.0
    if dataset.chance:
        decisions, chance = decisions.count_chance()
    return _study(dataset, source, decisions, prior, policy, chance), faults


def _source(dataset: Dataset, file: Path | None, options: Options, trust: bool) -> _Source | None:
    """The table and its games: by the set's reader, or as dataset.toml says."""
    if dataset.reader:
        if file is None:
            return None
        table, games = read_with(dataset.reader, file, options)
        return _Source(table, games, {}, file.name)
    games = build_games(dataset.folder, dataset.games, options, trust=trust)
    if file is None:
        return None
    table = read_table(file)
    if dataset.wide is not None:
        table = unfold(table, dataset.wide, file.name, dataset.columns)
    return _Source(table, games, dataset.columns, file.name)


def _decisions(dataset: Dataset, source: _Source, variables: list[str], reading: _Reading) -> Decisions:
    table, where = source.table, reading.where or dataset.where or None
    if where is not None:  # by position, since a line of a wide table is several rows
        table = table.iloc[select_rows(table.reset_index(drop=True), where, source.name).index]
    decisions = Decisions.from_table(
        table,
        source.environments,
        columns=source.columns,
        source=source.name,
        snap=dataset.snap if reading.snap is None else reading.snap,
        tolerance=dataset.tolerance if reading.tolerance is None else reading.tolerance,
        covariates=variables,
    )
    if dataset.by is not None:
        decisions.levels(dataset.by)
    return decisions


def _variables(dataset: Dataset) -> list[str]:
    """The columns that the formula and the group effects name, beside those that every table has."""
    names = [] if dataset.groups is None else [dataset.groups]
    if dataset.covariates is not None:
        names += formula_columns(dataset.covariates)
    return [name for name in dict.fromkeys(names) if name not in COLUMNS]


def _study(
    dataset: Dataset, source: _Source, decisions: Decisions, prior: Prior | None, policy: str | None, chance: float
) -> Study:
    same = (
        "title", "source", "licence", "citation", "units", "by", "hyperpriors", "folder", "cost", "parameters",
        "prior_parameters", "population", "beliefs", "method", "covariates", "groups", "lapse", "learning",
    )  # fmt: skip
    return Study(
        name=dataset.name,
        decisions=decisions,
        environments=source.environments,
        columns=tuple(map(str, source.table.columns)),
        policy=policy,
        prior=prior,
        chance_log_likelihood=chance,
        **{name: getattr(dataset, name) for name in same},
    )
