"""Fits in a folder, with what is needed to find their study again."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bayescal.errors import InputError

COMPARISON = "comparison.json"


def fits_among(what: Sequence[str], verb: str) -> list[str]:
    """The fits that were saved, which are all or none; else what was given is one study.

    Args:
        verb: of the error, what can be done with one study.
    """
    fits = [w for w in what if Path(w).suffix in (".nc", ".zarr")]
    others = [w for w in what if w not in fits]
    if others and len(what) > 1:
        or_else = ", or fits that were saved (.nc or .zarr)" if fits else " at a time"
        raise InputError(f"{', '.join(others)}: {verb} one study{or_else}.")
    return fits


def save_fits(fits: Mapping[str, Any], folder: Path, *, command: str, loaded: Mapping[str, Any]) -> None:
    """A file NAME.nc for each, that knows its name, the command and how its study was loaded.

    Args:
        loaded: the arguments of `load_study`, those that are None left out; paths are kept as absolute ones.
    """
    how = {k: _absolute(v) if k in ("study", "data") else v for k, v in loaded.items() if v is not None}
    for name, fit in fits.items():
        known = fit.provenance | {"name": name, "command": command, "loaded": how}
        dataclasses.replace(fit, provenance=known).save(folder / f"{file_name(name)}.nc")


def file_name(name: str) -> str:
    return re.sub(r"[, ]+", "-", name)


def _absolute(path: Any) -> str:
    """Of a file, or of a folder that holds a study; a study's name stays a name, whatever else is called so."""
    there = Path(path).is_file() or (Path(path) / "dataset.toml").is_file()
    return str(Path(path).resolve()) if there else str(path)


def load_fits(paths: Sequence[str]) -> dict[str, Any]:
    """By name: what they were saved as, or what their files are called; by path where two have one name."""
    from bayescal.posterior.fit import Fit

    found = {path: Fit.load(path) for path in dict.fromkeys(paths)}
    names = {path: fit.provenance.get("name") or Path(path).stem for path, fit in found.items()}
    several = {n for n in names.values() if list(names.values()).count(n) > 1}
    return {path if names[path] in several else names[path]: fit for path, fit in found.items()}


def comparison_of(paths: Sequence[str], fits: Mapping[str, Any]) -> tuple[Any, str]:
    """(the comparison that `bayescal compare` left beside exactly these fits, None where there is none; its path)."""
    folders = {Path(path).parent for path in paths}
    path = min(folders) / COMPARISON
    try:
        numbers = json.loads(path.read_text())
        of = {name: row["status"] for name, row in numbers["table"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, ""
    # A status holds what the sampler did: that of another run is another sentence.
    if len(folders) > 1 or of != {name: str(fit.status) for name, fit in fits.items()}:
        return None, ""
    from bayescal.comparison import Comparison

    frame = lambda rows: pd.DataFrame.from_dict(rows, orient="index")
    table = frame(numbers["table"]).rename_axis("model")
    numeric = [c for c in table if c not in ("how", "status", "reason", "excluded")]
    told = {n: numbers[n] for n in ("unit", "verdict", "left_out")}
    units = tuple(numbers["units"])
    return Comparison(
        units=units,
        decisions=np.asarray(numbers["decisions"]),
        table=table.astype(dict.fromkeys(numeric, float)).astype({"k_bad": int}),
        pointwise=pd.DataFrame(numbers["pointwise"], index=pd.Index(units, name=told["unit"]), dtype=float),
        scores=frame(numbers["scores"]).astype(float),
        calibration=pd.DataFrame(numbers["calibration"]),
        **told,
    ), str(path)


def study_of(fits: Mapping[str, Any], less: str = "this report says less of the data") -> tuple[Any, str]:
    """(the study that fits were made of, None where it cannot be had; and why not).

    Args:
        less: what comes of that, in words.
    """
    from bayescal.study import load_study

    known = next(iter(fits.values())).provenance
    how = dict(known.get("loaded") or ({"study": known["study"]} if known.get("study") else {}))
    if not how:
        return None, f"The fits do not say which study they are of, so that {less}."
    try:
        study = load_study(how.pop("study"), **how)
    except (InputError, OSError) as error:
        return None, f"The study {known.get('study', '')} could not be read again, so that {less}: {error}"
    if study.decisions.data_hash != known.get("data_hash", study.decisions.data_hash):
        return None, (
            f"The study {study.name} has other decisions now than when the fits were made (data hash "
            f"{study.decisions.data_hash[:12]}…, then {known['data_hash'][:12]}…), so that {less}."
        )
    return study, ""
