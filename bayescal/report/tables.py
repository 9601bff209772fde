"""The tables of a report: rows of texts, ready to be shown."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bayescal.posterior.psis import K_HAT
from bayescal.report.people import extremes, name_of


def number(x: float | None, digits: int = 3) -> str:
    if x is None or not np.isfinite(x):
        return "–"
    return f"{x:,.{digits}f}".replace("-", "−")


def significant(x: float | None, digits: int = 3) -> str:
    """So many digits that count, and no powers of ten where they can be helped."""
    if x is None or not np.isfinite(x):
        return "–"
    size = abs(x)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{x:.{digits - 1}e}".replace("-", "−")
    places = max(digits - 1 - int(np.floor(np.log10(size))), 0) if size else 0
    return number(x, places)


def comparison(found: Any) -> dict[str, Any]:
    """The rows of the comparison, with what is to be noted of each; and what is predicted of a new person."""
    rows = []
    for name, row in found.table.iterrows():
        first = row["difference"] == 0 and not np.nan_to_num(row["difference_se"])
        cells = ["" if first else f"{number(row['difference'], 1)} ± {number(row['difference_se'], 1)}"]
        cells += [number(row["per_decision"], 4), "" if row["excluded"] else number(row["weight"], 2)]
        cells += [number(row["k_hat"], 2), str(row["how"])]
        rows.append(
            {"name": str(name), "excluded": bool(row["excluded"]), "cells": cells, "notes": _notes(row, found.unit)}
        )
    floors = found.scores.get("floor", pd.Series(dtype=float)).dropna()
    return {
        "columns": ["model", "difference", "nats per decision", "weight", "k-hat", "left out by"],
        "rows": rows,
        "scores": _scores(found.scores),
        "floor": float(floors.iloc[0]) if len(floors) else None,
        "unit": name_of(found.unit),
        "units": name_of(found.unit, 2),
    }


def _scores(scores: pd.DataFrame) -> dict[str, Any] | None:
    """Columns that no model fills are left out."""
    told = {
        "share_predicted": ("decisions predicted", lambda x: f"{x:.1%}"),
        "mean_error": ("mean error, units of the action", significant),
        "log_score": ("nats per decision", lambda x: number(x, 4)),
    }
    told = {key: how for key, how in told.items() if key in scores and scores[key].notna().any()}
    if not told:
        return None
    rows = [
        {
            "name": str(name),
            "cells": [show(row[key]) if np.isfinite(row[key]) else "–" for key, (_, show) in told.items()],
        }
        for name, row in scores.dropna(how="all").iterrows()
    ]
    return {"columns": ["model", *(title for title, _ in told.values())], "rows": rows}


def _notes(row: Any, unit: str) -> list[str]:
    notes = []
    if row["excluded"]:
        notes.append(f"Not to be trusted: {row['reason']}.")
    if row["k_bad"] > 0 and str(row["how"]) == "psis":
        n = int(row["k_bad"])
        notes.append(
            f"k-hat is above {K_HAT} in {n:,} {name_of(unit, n)}: what is predicted of them is not to be trusted."
        )
    return notes


def people(fit: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """The sortable table of everybody: a column for each number, its interval beside it."""
    table = pd.DataFrame.from_dict(fit["people"], orient="index")
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
        rows.append({"name": str(label), "cells": cells})
    for column in numbers:
        columns += [column, f"{column}, 90%"] if column in named else [column]
    one = name_of(str(fit["each"]))
    return {
        "fit": name, "one": one, "several": name_of(str(fit["each"]), 2), "n": len(table), "rows": rows,
        "columns": [one, *columns], "by": by,
    }  # fmt: skip


def _cell(value: Any, text: str) -> dict[str, Any]:
    return {"value": f"{float(value):.6g}" if np.isfinite(value) else "", "text": text}


def predictive(checks: Any) -> pd.DataFrame:
    """The predictive checks, with their names as a column."""
    table = checks.predictive
    if not len(table):
        return pd.DataFrame()
    return table.rename_axis("statistic").reset_index()


def checks(found: Any) -> dict[str, Any]:
    """What was looked at, failures first."""
    applied = sum(c.applies for c in found.items)
    items = sorted(found.items, key=lambda c: (c.passed is not False, not c.warns, c.passed is None))
    return {
        "status": found.status,
        "items": items,
        "passed": found.passed,
        "tally": f"{len(found.failed)} of {applied} failed" if found.failed else f"{applied} passed",
        "sensitivity": _framed(found.sensitivity),
    }


def _framed(table: pd.DataFrame | None) -> dict[str, Any] | None:
    if table is None or not len(table):
        return None
    rows = [
        [str(i), *(x if isinstance(x, str) else float(x) for x in row)]
        for i, row in zip(table.index, table.to_numpy(object), strict=True)
    ]
    return {"columns": ["parameter", *map(str, table.columns)], "rows": rows}


def facts(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a referee asks of the data first."""
    count = lambda key: f"{study[key]:,}" if study.get(key) else ""
    told = [
        ("people", count("participants") or "not told apart"),
        ("groups", count("groups")),
        ("games", count("games")),
        ("rounds", _rounds(study.get("rounds"))),
        ("decisions", f"{study['decisions']:,}"),
        ("grid of actions", _grids(study.get("grids", []))),
        (
            "snapped",
            f"{study['snapped']:,} decisions moved to the nearest value of the grid" if study["snapped"] else "none",
        ),
        ("not used", _masked(study)),
        ("source", study.get("source", "")),
        ("licence", study.get("licence", "")),
        ("citation", study.get("citation", "")),
    ]
    if not study["found"]:
        told = [t for t in told if t[0] in ("decisions", "snapped")]
    return [(name, text) for name, text in told if text]


def _rounds(rounds: list[int] | None) -> str:
    return "" if rounds is None else str(rounds[0]) if rounds[0] == rounds[1] else f"{rounds[0]} to {rounds[1]}"


def _grids(grids: Iterable[Mapping[str, Any]]) -> str:
    told = []
    for grid in grids:
        kind = "ordered values" if grid["ordered"] else "actions"
        told.append(
            f"{grid['actions']} {kind}: {grid['labels']}" + (f" ({grid['roles']} roles)" if grid["roles"] > 1 else "")
        )
    return "; ".join(told)


def _masked(study: Mapping[str, Any]) -> str:
    if not study.get("masked"):
        return "none"
    told = f"{study['masked']:,} of {study['rows']:,} rows: what was seen before them is not known"
    left_out = study.get("left_out", [])
    return told + (f"; of {len(left_out):,} people nothing is used" if left_out else "")


def settings(provenance: Mapping[str, Any]) -> str:
    """How a fit was made."""
    told = [f"seed {provenance.get('seed', '–')}"]
    if "guide" in provenance:
        told.append(
            f"SVI with the {provenance['guide']} guide, {provenance['steps']:,} steps, {provenance['draws']:,} draws"
        )
    elif "chains" in provenance:
        told.append(
            f"NUTS, {provenance['chains']} chains × {provenance['draws']:,} draws after {provenance['warmup']:,} of "
            "warmup"
        )
    elif "grid_points" in provenance:
        told.append(f"a grid of {provenance['grid_points']} points a parameter")
    if "seconds_sampling" in provenance:
        told.append(
            f"{provenance['seconds_compiling']:.0f} s compiling, {provenance['seconds_sampling']:.0f} s sampling"
        )
    return "; ".join(told)


def versions(provenance: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Once, where all fits were made with the same."""
    told = {name: ", ".join(f"{k} {v}" for k, v in p.get("versions", {}).items()) for name, p in provenance.items()}
    different = dict.fromkeys(t for t in told.values() if t)
    if len(different) <= 1:
        return [("versions", text) for text in different]
    return [(f"versions, {name}", text) for name, text in told.items() if text]
