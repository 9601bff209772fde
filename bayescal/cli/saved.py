"""Fits saved in a folder, with what is needed to load their study again."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayescal.errors import InputError
from bayescal.plain import Options
from bayescal.reading import read_json
from bayescal.results import Kind, Run, repair

if TYPE_CHECKING:
    from bayescal.comparison import Comparison
    from bayescal.model.build import Model
    from bayescal.posterior.fit import Fit
    from bayescal.study import Study

# Arguments of `load_study` that a saved fit may give. That the user trusts the study is not among them.
LOADED = ("data", "where", "options", "tolerance", "snap", "model")
COMPARISON = "comparison.json"


def fits_among(what: Sequence[str], verb: str) -> list[str]:
    """The saved fits that a command is given; none if it is given a study.

    Args:
        verb: what the command does, for its message.

    Raises:
        InputError: fits and studies together, or several studies.
    """
    fits = [w for w in what if Path(w).suffix in (".nc", ".zarr")]
    others = [w for w in what if w not in fits]
    if others and len(what) > 1:
        or_else = ", or saved fits (.nc or .zarr)" if fits else " at a time"
        raise InputError(f"{', '.join(others)}: {verb} one study{or_else}.")
    return fits


def fit_files(fits: "Mapping[str, Fit]", *, command: str, loaded: Options) -> Iterator[tuple[str, bytes]]:
    """A file NAME.nc for each fit, with its name, the command and how its study was loaded; made when it is asked for.

    Args:
        loaded: the arguments of `load_study`; those that are None are left out, and paths are made absolute.
    """
    how = {k: _absolute(v) if k in ("study", "data") else v for k, v in loaded.items() if v is not None}
    for name, fit in fits.items():
        known = fit.provenance | {"name": name, "command": command, "loaded": how}
        yield f"{file_name(name)}.nc", dataclasses.replace(fit, provenance=known).to_netcdf()


def run_of(
    kind: Kind, study: "Study", fits: "Mapping[str, Fit]", models: "Mapping[str, Model]", *, command: str, seed: int
) -> Run:
    """What a manifest says of a command that fitted models."""
    from bayescal.policies.store import policy_sha256

    policies = {name: policy_sha256(models[name].spec.policy) for name in fits}
    return Run(kind, command, study.name, (seed,), study.decisions.data_hash, policies)


def checkpoints_of(fits: "Mapping[str, Fit]") -> list[Path]:
    return [fit.checkpoint for fit in fits.values() if fit.checkpoint is not None]


def file_name(name: str) -> str:
    return re.sub(r"[, ]+", "-", name)


def _absolute(path: str | Path) -> str:
    """The absolute path of a file, or of a folder that holds a study; the name of a study stays a name."""
    exists = Path(path).is_file() or (Path(path) / "dataset.toml").is_file()
    return str(Path(path).resolve()) if exists else str(path)


def load_fits(paths: Sequence[str]) -> "dict[str, Fit]":
    """Saved fits by the name that they were saved with, or by the name of the file; by path if two share a name."""
    from bayescal.posterior.fit import Fit

    for folder in {Path(path).parent for path in paths}:
        repair(folder)
    found = {path: Fit.load(path) for path in dict.fromkeys(paths)}
    names = {path: fit.provenance.get("name") or Path(path).stem for path, fit in found.items()}
    several = {n for n in names.values() if list(names.values()).count(n) > 1}
    return {path if names[path] in several else names[path]: fit for path, fit in found.items()}


def comparison_of(paths: Sequence[str], fits: "Mapping[str, Fit]") -> "tuple[Comparison | None, str]":
    """(the comparison that `bayescal compare` saved beside exactly these fits, None if there is none; its path)."""
    folders = {Path(path).parent for path in paths}
    path = min(folders) / COMPARISON
    try:
        numbers = read_json(path, "it is compared anew")
        statuses = {name: row["status"] for name, row in numbers["table"].items()}
        # The text of a status has the numbers of the run, so that another run has another text.
        if len(folders) > 1 or statuses != {name: str(fit.status) for name, fit in fits.items()}:
            return None, ""
        return _comparison(numbers), str(path)
    except (InputError, ValueError, KeyError, TypeError, AttributeError):  # not what `bayescal compare` wrote
        return None, ""


def _comparison(numbers: Options) -> "Comparison":
    """A comparison from its JSON."""
    from bayescal.comparison import Comparison

    frame = lambda rows: pd.DataFrame.from_dict(rows, orient="index")
    table = frame(numbers["table"]).rename_axis("model")
    numeric = [c for c in table if c not in ("how", "status", "reason", "excluded")]
    facts = {n: numbers[n] for n in ("unit", "left_out")}
    units = tuple(numbers["units"])
    return Comparison(
        units=units,
        decisions=np.asarray(numbers["decisions"]),
        table=table.astype(dict.fromkeys(numeric, float)).astype({"k_bad": int, "unreliable": int}),
        pointwise=pd.DataFrame(numbers["pointwise"], index=pd.Index(units, name=facts["unit"]), dtype=float),
        scores=frame(numbers["scores"]).astype(float),
        calibration=pd.DataFrame(numbers["calibration"]).astype(float),
        **facts,
    )


def study_of(
    fits: "Mapping[str, Fit]", less: str = "this report says less about the data", *, trust: bool = False
) -> "tuple[Study | None, str]":
    """(the study that the fits were made from, None if it cannot be loaded; the reason).

    Args:
        less: the consequence, in words.
        trust: whether the study's programs may run.
    """
    from bayescal.study import load_study

    known = next(iter(fits.values())).provenance
    loaded = dict(known.get("loaded") or ({"study": known["study"]} if known.get("study") else {}))
    if "study" not in loaded:
        return None, f"The fits do not say which study they were made from, so {less}."
    try:
        how = {name: loaded[name] for name in LOADED if name in loaded}
        study = load_study(loaded["study"], **how, trust=trust)
    except (InputError, OSError) as error:
        return None, f"The study {known.get('study', '')} could not be read again, so {less}: {error}"
    if study.decisions.data_hash != known.get("data_hash", study.decisions.data_hash):
        return None, (
            f"The study {study.name} has other decisions now than when the fits were made (data hash "
            f"{study.decisions.data_hash[:12]}…, then {known['data_hash'][:12]}…), so {less}."
        )
    return study, ""
