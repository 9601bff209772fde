"""A study: the decisions of an experiment, its games, where it comes from, and the model to begin with."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayescal._table import read_csv, select_rows
from bayescal.data.dataset import FILE, Dataset, read_dataset
from bayescal.data.games import build_games
from bayescal.data.habits import build_prior
from bayescal.decisions import Decisions
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.priors.base import Prior
from bayescal.resources import resource_names, resource_path


@dataclass(frozen=True, eq=False)
class Study:
    """Decisions with their games, as `bayescal calibrate` takes them.

    `environments` are all the games that dataset.toml names, `decisions.environments` those that were played.
    `by`, `hyperpriors`, `cost`, `parameters` and `prior_parameters` are the study's defaults for `build_model`,
    `policy` the name of the learned policy that is its likelihood (None: solved exactly, with `prior`).
    `chance_log_likelihood` is that of what chance was counted to do (0 where nothing is counted).
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
    prior_parameters: bool = False
    chance_log_likelihood: float = 0.0


def study_names() -> tuple[str, ...]:
    """The studies that come with bayescal."""
    return resource_names("data", FILE)


def load_study(
    study: str | Path,
    *,
    data: str | Path | None = None,
    where: str | None = None,
    options: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
) -> Study:
    """Read a study by its name, or from a folder that holds dataset.toml (or that file itself).

    Args:
        data: another table in place of the study's own.
        where: which of its rows, as pandas' `DataFrame.query` takes it: "group in [1, 2]".
        options: of the study's games over time: {"discount": 0.0}.
        tolerance: by how much a recorded number may differ from what the game makes it.

    Raises:
        InputError: no such study, or anything wrong in dataset.toml, in the games or in the table.
    """
    path = _find(study)
    dataset = read_dataset(path)
    environments = build_games(dataset.folder, dataset.games, options)
    if data is None:
        dataset.check_file()
    file, where = dataset.csv if data is None else Path(data), where or dataset.where or None
    table = read_csv(file)
    decisions = Decisions.from_table(
        table if where is None else select_rows(table, where, file.name),
        environments,
        columns=dataset.columns,
        source=file.name,
        snap=dataset.snap,
        tolerance=dataset.tolerance if tolerance is None else tolerance,
    )
    if dataset.by is not None:
        decisions.levels(dataset.by)
    chance = 0.0
    if dataset.chance:
        decisions, chance = decisions.count_chance()
    return _study(path.resolve().parent.name, dataset, environments, decisions, chance)


def _study(
    name: str, dataset: Dataset, environments: dict[str, Environment], decisions: Decisions, chance: float
) -> Study:
    return Study(
        cost=dataset.cost,
        parameters=dataset.parameters,
        policy=dataset.policy,
        prior=build_prior(dataset.prior),
        prior_parameters=dataset.prior_parameters,
        chance_log_likelihood=chance,
        name=name,
        title=dataset.title,
        decisions=decisions,
        environments=environments,
        source=dataset.source,
        licence=dataset.licence,
        citation=dataset.citation,
        units=dataset.units,
        by=dataset.by,
        hyperpriors=dataset.hyperpriors,
        folder=dataset.folder,
    )


def _find(study: str | Path) -> Path:
    """The dataset.toml that is meant: names come before folders, so that a name always means the same."""
    if isinstance(study, str) and study in study_names():
        return resource_path("data", study) / FILE
    path = Path(study)
    if path.is_dir():
        if not (path / FILE).is_file():
            raise InputError(f"The folder {path} holds no {FILE}: write one that names the columns and the games.")
        return path / FILE
    if path.suffix == ".toml" and path.is_file():
        return path
    if path.is_file():
        raise InputError(f"{path} is not a study: put it in a folder with a {FILE}, and give the folder.")
    names = study_names()
    close = difflib.get_close_matches(str(study), names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise InputError(
        f"There is no study or folder {str(study)!r}{hint}: the studies are "
        f"{', '.join(names)}; one of your own is a folder with a {FILE} and a table."
    )
