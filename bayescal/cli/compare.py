"""`bayescal compare`: which explanation predicts people best?"""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bayescal.cli.calibrate import (
    check_sizes,
    check_writable,
    fit_progress,
    flags,
    load_asked,
    tell_checkpoints,
    tell_interrupted,
)
from bayescal.cli.saved import COMPARISON, fits_among, load_fits, save_fits
from bayescal.cli.show import empty_table, print_json, say
from bayescal.errors import InputError
from bayescal.files import write_atomically
from bayescal.parallel import use_cores


def compare_what(what: Sequence[str], **asked: Any) -> None:
    """A study, or fits that were saved."""
    if saved := fits_among(what, "compare"):
        _compare_fits(saved, asked)
    else:
        _compare_study(what[0], **asked)


def _compare_study(
    study: str,
    *,
    only: Sequence[str],
    unit: str | None,
    folds: int | None,
    ablation: bool,
    draws: int,
    warmup: int,
    chains: int,
    seed: int,
    resume: bool,
    policy: str | None,
    data: str | None,
    where: str | None,
    options: Sequence[str],
    out: str | None,
    as_json: bool,
) -> None:
    check_sizes(draws, warmup, chains, 1)
    use_cores(chains)
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.comparison import compare_study
        from bayescal.comparison.rivals import field
        from bayescal.diagnostics import check
        from bayescal.report import write_report

        which: dict[str, Any] = {"policy": policy, "data": data, "where": where, "options": options}
        loaded, learned, loading = load_asked(study, **which)
    folder = Path(out) if out else Path("bayescal-out") / f"{loaded.name}-compared"
    check_writable(folder)
    sizes: dict[str, Any] = {"draws": draws, "warmup": warmup, "chains": chains, "seed": seed}
    with console.status("Building the models"):
        among = (field.ablation if ablation else field.rivals)(loaded, only=list(only) or None, policy=learned)
    how: Any = {"among": among, "unit": unit, "folds": folds}
    tell_checkpoints(folder, resume, console)
    try:
        with fit_progress(console) as progress:
            fits, found = compare_study(loaded, **how, **sizes, checkpoints=folder, resume=resume, progress=progress)
    except KeyboardInterrupt:
        tell_interrupted(folder, console)
        sys.exit(130)
    asked = sizes | {"only": only, "ablation": ablation, "unit": unit, "folds": folds} | which
    command = f"bayescal compare {shlex.quote(study)}{flags(asked)}"
    with console.status("Writing the report"):
        save_fits(fits, folder, command=command, loaded=loading)
        _keep(found.as_dict() | {"command": command}, folder)
        checks = {name: check(fit, among.models[name], loaded) for name, fit in fits.items()}
        report = write_report(loaded, fits, folder, command=command, comparison=found, checks=checks)
    _show(found, as_json, {"report": str(report)})


def _compare_fits(saved: Sequence[str], asked: dict[str, Any]) -> None:
    stray = [k for k in ("only", "folds", "ablation", "resume", "policy", "data", "where", "options") if asked[k]]
    if stray:
        names = ", ".join("--set" if k == "options" else f"--{k}" for k in stray)
        raise InputError(f"{names}: of a study, whose models are fitted; fits that were saved have been fitted.")
    with Console(stderr=True).status("Comparing"):
        from bayescal.comparison import compare

        fits = load_fits(saved)
        found = compare(fits, unit=asked["unit"], seed=asked["seed"])
    if asked["out"]:
        folder = Path(asked["out"])
        check_writable(folder)
        _keep(found.as_dict(), folder)
    _show(found, asked["as_json"], {})


def _keep(numbers: dict[str, Any], folder: Path) -> None:
    write_atomically(folder / COMPARISON, json.dumps(numbers, indent=1, allow_nan=False).encode())


def _show(found: Any, as_json: bool, more: dict[str, Any]) -> None:
    if as_json:
        print_json(found.as_dict() | more)
        return
    stdout = Console()
    say(stdout, f"{found.verdict}\n")
    stdout.print(comparison_table(found))
    if len(found.scores):
        stdout.print()
        stdout.print(scores_table(found))
    for reason in found.left_out.values():
        say(stdout, f"Left out: {reason}.")
    if "report" in more:
        say(stdout, f"Report: {more['report']}")


def comparison_table(found: Any) -> Any:
    """Models, best first, with what is to be noted of each."""
    table = empty_table(
        f"Out of sample, by {found.unit}", ["model"], ["nats a decision", "difference", "weight", "k-hat"]
    )
    table.add_column("to note")
    for name, row in found.table.iterrows():
        apart = "best" if name == found.best else f"{row['difference']:.1f} ± {row['difference_se']:.1f}"
        weight = "–" if row["excluded"] else f"{row['weight']:.2f}"
        table.add_row(name, f"{row['per_decision']:.4f}", apart, weight, f"{row['k_hat']:.2f}", _to_note(row))
    return table


def scores_table(found: Any) -> Any:
    """What is predicted of a new person."""
    columns = {"share_predicted": "share predicted", "mean_error": "mean error", "log_score": "nats a decision"}
    shown = {c: title for c, title in columns.items() if found.scores[c].notna().any()}
    floor = found.scores["floor"].dropna()
    beyond = f" (nobody can beat {floor.iloc[0]:.4f} nats)" if len(floor) else ""
    table = empty_table(f"Predictions of a new person{beyond}", ["model"], list(shown.values()))
    for name, row in found.scores.dropna(how="all").iterrows():
        places = {"share_predicted": f"{row['share_predicted']:.1%}", "log_score": f"{row['log_score']:.4f}"}
        table.add_row(str(name), *(places.get(c) or f"{row[c]:.2f}" for c in shown))
    return table


def _to_note(row: Any) -> str:
    notes = []
    if row["excluded"]:
        notes.append("excluded, not to be trusted")
    if row["k_bad"] and row["how"] == "psis":
        notes.append(f"{row['k_bad']} not to be left out by weights")
    elif row["how"] != "psis":
        notes.append(row["how"])
    return "; ".join(notes)
