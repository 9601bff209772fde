"""The tables of a report: rows of texts, ready for display."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayescal.comparison.compare import Comparison
from bayescal.diagnostics.base import Check
from bayescal.diagnostics.check import Checks
from bayescal.report.numbers import FitFacts, GridFacts, Json, StudyFacts
from bayescal.report.people import extremes, name_of

Number = float | int | np.number


@dataclass(frozen=True)
class Row:
    """A named row of texts, with notes below it."""

    name: str
    cells: list[str]
    excluded: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """Rows below the names of their columns."""

    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class ComparisonTables:
    """The tables of a comparison.

    Attributes:
        models: best first.
        ingredients: what each is worth; None where it is not known.
        scores: predictions of a new person; None where they were not scored.
        floor: of nats per decision, that no model of a new person can beat; empty where it cannot be estimated.
        floor_known: the same of a model that knows each person.
        unit, units: what was left out, one and several.
    """

    models: Table
    ingredients: Table | None
    scores: Table | None
    floor: str
    floor_known: str
    unit: str
    units: str


@dataclass(frozen=True)
class Cell:
    """A text, and the number by which a column is sorted."""

    value: str
    text: str


@dataclass(frozen=True)
class PeopleRow:
    name: str
    cells: list[Cell]


@dataclass(frozen=True)
class PeopleTable:
    """The sortable table of each person, group or game.

    Attributes:
        fit: the name of the fit.
        one, several: what a row is.
        n: how many there are, of which the table may show fewer.
        by: the column that the rows are in the order of.
    """

    fit: str
    one: str
    several: str
    n: int
    columns: list[str]
    rows: list[PeopleRow]
    by: str


@dataclass(frozen=True)
class CheckTable:
    """The checks of a fit, failures first.

    Attributes:
        tally: how many failed or passed.
        sensitivity: power-scaling sensitivity by parameter.
    """

    status: str
    checks: list[Check]
    passed: bool
    tally: str
    sensitivity: Json | None


def number(x: Number | None, digits: int = 3) -> str:
    if x is None or not np.isfinite(x):
        return "–"
    return f"{x:,.{digits}f}".replace("-", "−")


def significant(x: Number | None, digits: int = 3) -> str:
    """Round to significant digits, without powers of ten where possible."""
    if x is None or not np.isfinite(x):
        return "–"
    size = abs(x)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{x:.{digits - 1}e}".replace("-", "−")
    places = max(digits - 1 - int(np.floor(np.log10(size))), 0) if size else 0
    return number(x, places)


def comparison(compared: Comparison) -> ComparisonTables:
    rows = []
    for name, row in compared.table.iterrows():
        first = row["difference"] == 0 and not np.nan_to_num(row["difference_se"])
        cells = ["" if first else f"{number(row['difference'], 1)} ± {number(row['difference_se'], 1)}"]
        cells += [number(row["per_decision"], 4), "" if row["excluded"] else number(row["weight"], 2)]
        cells += [number(row["k_hat"], 2), str(row["how"]).replace("psis", "PSIS")]
        rows.append(Row(str(name), cells, bool(row["excluded"]), _notes(row, compared.unit)))
    return ComparisonTables(
        models=Table(["model", "difference", "nats per decision", "weight", "k-hat", "left out by"], rows),
        ingredients=_ingredients(compared.ingredients),
        scores=_scores(compared.scores),
        floor=_floor(compared.scores, "floor"),
        floor_known=_floor(compared.scores, "floor_known"),
        unit=name_of(compared.unit),
        units=name_of(compared.unit, 2),
    )


def _floor(scores: pd.DataFrame, name: str) -> str:
    """The noise floor with its standard error."""
    floors = scores[[name, f"{name}_se"]].dropna().to_numpy(float) if name in scores else np.zeros((0, 2))
    return f"{number(floors[0, 0], 4)} ± {number(floors[0, 1], 4)}" if len(floors) else ""


def _ingredients(worth: pd.DataFrame) -> Table | None:
    if not len(worth):
        return None
    rows = [
        Row(
            str(row["ingredient"]),
            [
                str(row["over"]),
                f"{number(row['nats'], 1)} ± {number(row['se'], 1)}",
                f"{row['pairs']}",
                "" if row["clear"] else "not clear",
            ],
        )
        for _, row in worth.iterrows()
    ]
    return Table(["ingredient", "beside", "nats", "pairs of models", ""], rows)


def _scores(scores: pd.DataFrame) -> Table | None:
    """Columns that no model fills are left out."""
    every: dict[str, tuple[str, Callable[[float], str]]] = {
        "share_predicted": ("decisions predicted", lambda x: f"{x:.1%}"),
        "mean_error": ("mean error, units of the action", significant),
        "log_score": ("nats per decision", lambda x: number(x, 4)),
    }
    shown = {key: how for key, how in every.items() if key in scores and scores[key].notna().any()}
    if not shown:
        return None
    rows = [
        Row(str(name), [text(row[key]) if np.isfinite(row[key]) else "–" for key, (_, text) in shown.items()])
        for name, row in scores.dropna(how="all").iterrows()
    ]
    return Table(["model", *(title for title, _ in shown.values())], rows)


def _notes(row: pd.Series, unit: str) -> tuple[str, ...]:
    notes = []
    if row["excluded"]:
        notes.append(f"Not to be trusted: {row['reason']}.")
    if n := int(row["unreliable"]):
        notes.append(f"k-hat is too large for {n:,} {name_of(unit, n)}: their densities are unreliable.")
    return tuple(notes)


def people(fit: FitFacts, name: str) -> PeopleTable | None:
    """A column for each parameter, its interval beside it."""
    table = pd.DataFrame.from_dict(fit.people, orient="index")
    if not len(table):
        return None
    named = [c for c in table if f"{c} low" in table]
    columns = ["decisions"] if "decisions" in table else []
    numbers = [str(c) for c in table if c != "decisions" and not str(c).endswith((" low", " high"))]
    by = "cost" if "cost" in named else numbers[0]
    rows = []
    for label, row in extremes(table, by).iterrows():
        cells = [_cell(row["decisions"], f"{int(row['decisions']):,}")] if columns else []
        for column in numbers:
            whole = column not in named and not column.endswith(" probability")
            cells.append(_cell(row[column], f"{row[column]:.0f}" if whole else significant(row[column])))
            if column in named:
                low, high = row[f"{column} low"], row[f"{column} high"]
                cells.append(_cell(high - low, f"{significant(low)} to {significant(high)}"))
        rows.append(PeopleRow(str(label), cells))
    for column in numbers:
        columns += [column, f"{column}, 90%"] if column in named else [column]
    dim = str(fit.each)
    return PeopleTable(name, name_of(dim), name_of(dim, 2), len(table), [name_of(dim), *columns], rows, by)


def _cell(value: Number, text: str) -> Cell:
    return Cell(f"{float(value):.6g}" if np.isfinite(value) else "", text)


def predictive(checks: Checks) -> pd.DataFrame:
    """The posterior predictive checks, with their names as a column."""
    table = checks.predictive
    if not len(table):
        return pd.DataFrame()
    return table.rename_axis("statistic").reset_index()


def checks(found: Checks) -> CheckTable:
    applied = sum(c.applies for c in found.items)
    return CheckTable(
        status=str(found.status),
        checks=sorted(found.items, key=lambda c: (c.passed is not False, not c.warns, c.passed is None)),
        passed=found.passed,
        tally=f"{len(found.failed)} of {applied} failed" if found.failed else f"{applied} passed",
        sensitivity=_sensitivity(found.sensitivity),
    )


def _sensitivity(table: pd.DataFrame | None) -> Json | None:
    if table is None or not len(table):
        return None
    rows = [
        [str(i), *(x if isinstance(x, str) else float(x) for x in row)]
        for i, row in zip(table.index, table.to_numpy(object), strict=True)
    ]
    return {"columns": ["parameter", *map(str, table.columns)], "rows": rows}


def facts(study: StudyFacts) -> list[tuple[str, str]]:
    """What a referee asks about the data first."""
    count = lambda n: f"{n:,}" if n else ""
    snapped = f"{study.snapped:,} decisions moved to the nearest value of the grid" if study.snapped else "none"
    always = [("decisions", f"{study.decisions:,}"), ("snapped", snapped)]
    if not study.found:
        return always
    rows = [
        ("people", count(study.participants) or "no subject identifiers"),
        ("groups", count(study.groups)),
        ("games", count(study.games)),
        ("rounds", _rounds(study.rounds)),
        always[0],
        ("grid of actions", _grids(study.grids)),
        always[1],
        ("not used", _masked(study)),
        ("source", study.source),
        ("licence", study.licence),
        ("citation", study.citation),
    ]
    return [(name, text) for name, text in rows if text]


def _rounds(rounds: list[int] | None) -> str:
    return "" if rounds is None else str(rounds[0]) if rounds[0] == rounds[1] else f"{rounds[0]} to {rounds[1]}"


def _grids(grids: Iterable[GridFacts]) -> str:
    several = lambda grid: f" ({grid.roles} roles)" if grid.roles > 1 else ""
    kind = lambda grid: "ordered values" if grid.ordered else "actions"
    return "; ".join(f"{grid.actions} {kind(grid)}: {grid.labels}{several(grid)}" for grid in grids)


def _masked(study: StudyFacts) -> str:
    if not study.masked:
        return "none"
    text = f"{study.masked:,} of {study.rows:,} rows: what was seen before them is not known"
    return text + (f"; all decisions of {len(study.left_out):,} people" if study.left_out else "")


def settings(provenance: Mapping[str, Any]) -> str:
    """How a fit was made."""
    parts = [f"seed {provenance.get('seed', '–')}"]
    if "guide" in provenance:
        parts.append(
            f"SVI with the {provenance['guide']} guide, {provenance['steps']:,} steps, {provenance['draws']:,} draws"
        )
    elif "chains" in provenance:
        parts.append(
            f"NUTS, {provenance['chains']} chains × {provenance['draws']:,} draws after {provenance['warmup']:,} of "
            "warmup"
        )
    elif "grid_points" in provenance:
        parts.append(f"a grid of {provenance['grid_points']} points per parameter")
    if "seconds_sampling" in provenance:
        parts.append(
            f"{provenance['seconds_compiling']:.0f} s compiling, {provenance['seconds_sampling']:.0f} s sampling"
        )
    return "; ".join(parts)


def versions(provenance: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """One row where all fits were made with the same versions, else one for each fit."""
    of_fits = {name: ", ".join(f"{k} {v}" for k, v in p.get("versions", {}).items()) for name, p in provenance.items()}
    different = dict.fromkeys(text for text in of_fits.values() if text)
    if len(different) <= 1:
        return [("versions", text) for text in different]
    return [(f"versions, {name}", text) for name, text in of_fits.items() if text]
