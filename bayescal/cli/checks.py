"""`bayescal check`, `bayescal sbc` and `bayescal recover`: before a fit, or a way of fitting, is believed."""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bayescal.cli.calibrate import check_sizes, check_writable, find_policy, fit_progress, read_options
from bayescal.cli.saved import load_fits, save_fits, study_of
from bayescal.errors import InputError
from bayescal.parallel import use_cores

_SAVED = (".nc", ".zarr")
_MARKS = {True: "[green]passed[/]", False: "[red]failed[/]"}
_HEADS = {
    "correlation": "corr",
    "mean_error": "error (sd)",
    "coverage50": "50%",
    "coverage80": "80%",
    "coverage95": "95%",
}
_GIVEN = (
    "In games over time only what was decided is simulated, each decision given what was recorded as seen before it."
)


def check_what(what: Sequence[str], *, strict: bool, as_json: bool, **asked: Any) -> None:
    """A study, or fits that were saved."""
    saved = [w for w in what if Path(w).suffix in _SAVED]
    if len(saved) < len(what) and (saved or len(what) > 1):
        raise InputError(f"{', '.join(what)}: check one study, or fits that were saved (.nc or .zarr).")
    console = Console(stderr=True)
    found, note = _check_fits(saved, console) if saved else (_check_study(what[0], console, **asked), "")
    if as_json:
        json.dump({"note": note, "fits": {n: c.as_dict() for n, c in found.items()}}, sys.stdout)
        sys.stdout.write("\n")
    else:
        stdout = Console()
        for name, checks in found.items():
            _show_checks(name, checks, stdout)
        if note:
            stdout.print(note, highlight=False, soft_wrap=True, markup=False)
    if strict and not all(c.passed for c in found.values()):
        sys.exit(1)


def _check_fits(paths: Sequence[str], console: Console) -> tuple[dict[str, Any], str]:
    with console.status("Looking"):
        from bayescal.diagnostics import check

        fits, found, told = load_fits(paths), {}, ""
        for name, fit in fits.items():
            study, why = study_of({name: fit})
            told = told or why.replace("so that this report says less of the data", "so that less is checked")
            found[name] = check(fit, None if study is None else _model_of(fit, study), study)
    return found, told


def _model_of(fit: Any, study: Any) -> Any:
    """The standard model that was fitted; None where it was another."""
    from bayescal.inference.standard import standard_models

    try:
        models = standard_models(study).values()
    except InputError:
        return None
    return next((m for m in models if m.description == fit.provenance.get("model")), None)


def _check_study(
    study: str,
    console: Console,
    *,
    draws: int,
    warmup: int,
    chains: int,
    seed: int,
    out: str | None,
    **which: Any,
) -> dict[str, Any]:
    check_sizes(draws, warmup, chains, 1)
    use_cores(chains)
    if out is not None:
        check_writable(Path(out))
    with console.status("Starting"):
        from bayescal.diagnostics import check
        from bayescal.inference import calibrate
        from bayescal.inference.standard import standard_models

        loaded, learned, how = _load(study, **which)
        models = standard_models(loaded, policy=learned)
    with fit_progress(console) as progress:
        sizes: dict[str, Any] = {"draws": draws, "warmup": warmup, "chains": chains, "seed": seed}
        fits = calibrate(loaded, models=models, **sizes, progress=progress)
    if out is not None:
        save_fits(fits, Path(out), command=f"bayescal check {study}", loaded=how)
    with console.status("Looking"):
        return {name: check(fit, models[name], loaded) for name, fit in fits.items()}


def _load(
    study: str, *, policy: str | None, data: str | None, where: str | None, options: Sequence[str]
) -> tuple[Any, Any, dict[str, Any]]:
    """(the study, its likelihood if another is asked for, the arguments of `load_study`)."""
    from bayescal.data import load_study

    how: dict[str, Any] = {"study": study, "data": data, "where": where, "options": read_options(options)}
    loaded = load_study(**how)
    return loaded, find_policy(policy, loaded), how


def _show_checks(name: str, checks: Any, stdout: Console) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Checks of {name}", title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("found")
    for item in checks.items:
        mark = "[yellow]look[/]" if item.warns else _MARKS.get(item.passed, "–")
        advice = f" → {item.advice}" if item.advice else ""
        table.add_row(mark, escape(item.name), escape(item.found + advice))
    stdout.print(table)
    if len(checks.predictive):
        stdout.print(_predictive_table(checks.predictive))
    stdout.print(f"{name}: {checks.status}\n", highlight=False, soft_wrap=True, markup=False)


def _predictive_table(found: Any) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="What people do, and what is predicted of them", title_justify="left", box=None, pad_edge=False)
    table.add_column("statistic")
    for column in ("observed", "predicted", "5%", "95%", "p"):
        table.add_column(column, justify="right")
    for name, row in found.iterrows():
        numbers = [f"{row[c]:.3g}" for c in ("observed", "mean", "low", "high")]
        table.add_row(escape(str(name)), *numbers, f"{row['p']:.2g}", style="" if row["inside"] else "yellow")
    return table


def simulate_and_fit(
    study: str,
    kind: str,
    *,
    replicates: int,
    warmup: int,
    seed: int,
    model: str | None,
    self_test: bool,
    cores: int,
    strict: bool,
    as_json: bool,
    **which: Any,
) -> None:
    """`bayescal sbc` and `bayescal recover`.

    Args:
        kind: "sbc" or "recover".
    """
    use_cores(cores)
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.inference.recover import recover
        from bayescal.inference.replicates import dearer
        from bayescal.inference.sbc import sbc

        loaded, learned, _ = _load(study, **which)
        name, chosen = _model_to_simulate(loaded, learned, model)
        truth = dearer(chosen) if self_test else None
    run: Callable[..., Any] = sbc if kind == "sbc" else recover
    found = {}
    with fit_progress(console) as progress:
        for title, source in {name: None, **({"self-test": truth} if self_test else {})}.items():
            tell = lambda done, total, title=title: progress(title, done, total)
            found[title] = run(chosen, source, replicates=replicates, warmup=warmup, seed=seed, progress=tell)
    fine = lambda result: result.calibrated if kind == "sbc" else result.recovered
    notes = [_GIVEN] if loaded.decisions.play is not None else []
    caught = not fine(found["self-test"]) and not found["self-test"].verdict.startswith("cannot") if self_test else True
    if self_test:
        notes.append(
            "Self-test: decisions of people whose information costs a tenth more than the model says "
            + ("do not pass, as they should not." if caught else "pass too: with this design the error would not show.")
        )
    if as_json:
        out = {"model": name, "notes": notes} | {t: _finite(r.as_dict()) for t, r in found.items()}
        json.dump(out, sys.stdout)
        sys.stdout.write("\n")
    else:
        stdout = Console()
        for title, result in found.items():
            stdout.print(_summary(title, result))
            stdout.print(f"{title}: {result.verdict}\n", highlight=False, soft_wrap=True, markup=False)
        for note in notes:
            stdout.print(note, highlight=False, soft_wrap=True, markup=False)
    if strict and not (fine(found[name]) and caught):
        sys.exit(1)


def _model_to_simulate(study: Any, policy: Any, wanted: str | None) -> tuple[str, Any]:
    """(its name, one of the study's standard models): other data can take the place of its own."""
    from bayescal.inference.standard import standard_models

    method = "joint" if study.decisions.play is not None or study.prior_parameters == "participant" else "marginal"
    models: Mapping[str, Any] = standard_models(study, policy=policy, options={"method": method})
    if wanted is None:
        return next(reversed(models.items()))
    if wanted not in models:
        raise InputError(f"--model {wanted}: {study.name} has no such model; it has {', '.join(models)}.")
    return wanted, models[wanted]


def _summary(title: str, found: Any) -> Any:
    from rich.markup import escape
    from rich.table import Table

    summary = found.summary()
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("quantity", no_wrap=True)
    for column in summary.columns:
        table.add_column(_HEADS.get(column, str(column).replace("_", " ")), justify="right")
    for name, row in summary.iterrows():
        table.add_row(escape(str(name)), *(f"{x:.3f}" for x in row))
    return table


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
