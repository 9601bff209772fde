"""A study: the decisions of an experiment, its games, where it comes from, and the model to begin with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.priors.base import Prior
from bayescal.study.dataset import FILE, Checked, Dataset, check_dataset
from bayescal.study.games import build_games
from bayescal.study.habits import build_prior
from bayescal.study.readers import read_with
from bayescal.study.where import find_study, locate_table
from bayescal.study.wide import unfold
from bayescal.table.columns import COLUMNS, Columns
from bayescal.table.decisions import Decisions
from bayescal.table.files import read_table
from bayescal.table.query import select_rows


@dataclass(frozen=True, eq=False)
class Study:
    """Decisions with their games, as `bayescal calibrate` takes them.

    `environments` are all the games that dataset.toml names, `decisions.environments` those that were played.
    `by`, `hyperpriors`, `cost`, `parameters`, `prior_parameters`, and all from `population` to `learning`, are the
    study's defaults for `build_model`, `policy` the name of the learned policy that is its likelihood (None: solved
    exactly, with `prior`).
    `columns` are those of the table that was read; --where and covariates may name them.
    `chance_log_likelihood` is that of what chance was counted to do (0 where nothing is counted).

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
    hyperpriors: Mapping[str, Any] = field(default_factory=dict)
    folder: Path | None = None
    cost: float | None = None
    parameters: tuple[str, ...] = ()
    policy: str | None = None
    prior: Prior | None = None
    prior_parameters: bool | str = False
    chance_log_likelihood: float = 0.0
    columns: tuple[str, ...] = ()
    population: str | None = None
    beliefs: Any = None
    method: str | None = None
    covariates: str | None = None
    groups: str | None = None
    lapse: bool = False
    learning: bool = False


class _Source(NamedTuple):
    """What decisions are made of."""

    table: pd.DataFrame
    environments: Mapping[str, Environment]
    columns: Columns
    name: str


def load_study(
    study: str | Path,
    *,
    data: str | Path | None = None,
    where: str | None = None,
    options: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    snap: bool | None = None,
    model: Mapping[str, Any] | None = None,
) -> Study:
    """Read a study by its name, or from a folder that holds dataset.toml (or that file itself).

    Args:
        data: another table in place of the study's own.
        where: which of its rows, as pandas' `DataFrame.query` takes it: "group in [1, 2]".
        options: of the study's games over time: {"discount": 0.0}.
        tolerance: by how much a recorded number may differ from what the game makes it.
        snap: whether values between two points of an ordered grid are moved to the nearer one (what dataset.toml says
            when None); `Decisions.snapped` counts them.
        model: keys of [model] in place of those in dataset.toml: {"covariates": "~ treatment", "lapse": True}.

    Raises:
        InputError: no such study, or anything wrong in dataset.toml, in the games or in the table.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("cournot-simulated", where="round <= 5")
        >>> len(study.decisions.levels("participant")), study.policy
        (60, 'cournot')
    """
    checked = check_dataset(find_study(study), model)
    made, faults = _make(checked, data, where, options, tolerance, snap)
    if made is None or faults:
        raise InputError(" ".join(faults))
    return made


def check_study(study: str | Path) -> Study:
    """The study that a folder holds, or that a table (or a dataset.toml) in it belongs to; else every fault at once.

    Raises:
        InputError: all that is wrong in dataset.toml, in the games, in the file and in the table.
    """
    path = Path(study)
    if path.is_file() and path.suffix != ".toml":
        if not (path.parent / FILE).is_file():
            raise InputError(f"{path} has no {FILE} beside it that says what its columns and games are: write one.")
        return load_study(path.parent / FILE, data=path)
    return load_study(study)


def _make(
    checked: Checked,
    data: str | Path | None,
    where: str | None,
    options: Mapping[str, Any] | None,
    tolerance: float | None,
    snap: bool | None = None,
) -> tuple[Study | None, list[str]]:
    """(the study, None where it cannot be read; every fault)."""
    dataset, faults = checked.dataset, list(checked.faults)
    attempt = _Attempt(faults)
    prior = attempt(lambda: build_prior(dataset.prior))
    variables = attempt(lambda: _variables(dataset))
    file = Path(data) if data is not None else attempt(lambda: locate_table(dataset, faults))
    if not checked.usable:
        return None, faults
    source = attempt(lambda: _source(dataset, file, options))
    if source is None:
        return None, faults
    decisions = attempt(lambda: _decisions(dataset, source, variables or [], where, tolerance, snap))
    if decisions is None:
        return None, faults
    chance = 0.0
    if dataset.chance:
        decisions, chance = decisions.count_chance()
    return _study(dataset, source, decisions, prior, chance), faults


class _Attempt:
    """Does what can be done, and notes what cannot."""

    def __init__(self, faults: list[str]):
        self.faults = faults

    def __call__(self, do: Any) -> Any:
        try:
            return do()
        except InputError as error:
            self.faults.append(str(error))
            return None


def _source(dataset: Dataset, file: Path | None, options: Mapping[str, Any] | None) -> _Source | None:
    """The table and its games: by the set's reader, or as dataset.toml says."""
    if dataset.reader:
        if file is None:
            return None
        table, games = read_with(dataset.reader, file, options or {})
        return _Source(table, games, {}, file.name)
    games = build_games(dataset.folder, dataset.games, options)
    if file is None:
        return None
    table = read_table(file)
    if dataset.wide is not None:
        table = unfold(table, dataset.wide, file.name, dataset.columns)
    return _Source(table, games, dataset.columns, file.name)


def _decisions(
    dataset: Dataset,
    source: _Source,
    variables: list[str],
    where: str | None,
    tolerance: float | None,
    snap: bool | None,
) -> Decisions:
    table, where = source.table, where or dataset.where or None
    if where is not None:  # by position: lines of a wide table are several rows
        table = table.iloc[select_rows(table.reset_index(drop=True), where, source.name).index]
    decisions = Decisions.from_table(
        table,
        source.environments,
        columns=source.columns,
        source=source.name,
        snap=dataset.snap if snap is None else snap,
        tolerance=dataset.tolerance if tolerance is None else tolerance,
        covariates=variables,
    )
    if dataset.by is not None:
        decisions.levels(dataset.by)
    return decisions


def _variables(dataset: Dataset) -> list[str]:
    """The columns that the formula and the group effects name, beside those that every table has."""
    names = [] if dataset.groups is None else [dataset.groups]
    if dataset.covariates is not None:
        from formulaic import Formula

        try:
            names += sorted(map(str, Formula.from_spec(dataset.covariates).required_variables))
        except Exception as error:  # noqa: BLE001 - whatever formulaic makes of the text
            reason = " ".join(str(error).split())
            raise InputError(
                f"covariates under [model] is {dataset.covariates!r}, which is no formula ({reason}): write for "
                'example "~ treatment + age".'
            ) from None
    return [name for name in dict.fromkeys(names) if name not in COLUMNS]


def _study(dataset: Dataset, source: _Source, decisions: Decisions, prior: Prior | None, chance: float) -> Study:
    same = (
        "title", "source", "licence", "citation", "units", "by", "hyperpriors", "folder", "cost", "parameters",
        "policy", "prior_parameters", "population", "beliefs", "method", "covariates", "groups", "lapse", "learning",
    )  # fmt: skip
    return Study(
        name=dataset.name,
        decisions=decisions,
        environments=source.environments,
        columns=tuple(map(str, source.table.columns)),
        prior=prior,
        chance_log_likelihood=chance,
        **{name: getattr(dataset, name) for name in same},
    )
