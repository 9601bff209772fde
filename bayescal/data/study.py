"""A study: the decisions of an experiment, its games, where it comes from, and the model to begin with."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bayescal.data.dataset import FILE, Dataset, read_dataset
from bayescal.data.games import build_games
from bayescal.decisions import Decisions
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.resources import resource_names, resource_path


@dataclass(frozen=True, eq=False)
class Study:
    """Decisions with their games, as `bayescal calibrate` takes them.

    `environments` are all the games that dataset.toml names, `decisions.environments` those that were played.
    `by` and `hyperpriors` are the study's defaults for `build_model`.
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


def study_names() -> tuple[str, ...]:
    """The studies that come with bayescal."""
    return resource_names("data", FILE)


def load_study(study: str | Path) -> Study:
    """Read a study by its name, or from a folder that holds dataset.toml (or that file itself).

    Raises:
        InputError: no such study, or anything wrong in dataset.toml, in the games or in the table.
    """
    path = _find(study)
    dataset = read_dataset(path)
    environments = build_games(dataset.folder, dataset.games)
    dataset.check_file()
    decisions = Decisions.from_csv(dataset.csv, environments, columns=dataset.columns, snap=dataset.snap)
    if dataset.by is not None:
        decisions.levels(dataset.by)
    return _study(path.resolve().parent.name, dataset, environments, decisions)


def _study(name: str, dataset: Dataset, environments: dict[str, Environment], decisions: Decisions) -> Study:
    return Study(
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
        f" {', '.join(names)}; one of your own is a folder with a {FILE} and a table."
    )
