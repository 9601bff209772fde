"""`bayescal check`, `bayescal sbc` and `bayescal recover`: before a fit, or a way of fitting, is believed."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bayescal.cli.calibrate import check_sizes, check_writable, fit_progress, flags, load_asked
from bayescal.cli.saved import fits_among, load_fits, save_fits, study_of
from bayescal.cli.show import empty_table, print_json, say
from bayescal.errors import InputError
from bayescal.parallel import use_cores

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
    saved = fits_among(what, "check")
    console = Console(stderr=True)
    found, note = _check_fits(saved, console) if saved else (_check_study(what[0], console, **asked), "")
    if as_json:
        print_json({"note": note, "fits": {n: c.as_dict() for n, c in found.items()}})
    else:
        stdout = Console()
        for name, checks in found.items():
            _show_checks(name, checks, stdout)
        if note:
            say(stdout, note)
    if strict and not all(c.passed for c in found.values()):
        sys.exit(1)


def _check_fits(paths: Sequence[str], console: Console) -> tuple[dict[str, Any], str]:
    with console.status("Looking"):
        from bayescal.diagnostics import check

        fits, found, told = load_fits(paths), {}, ""
        for name, fit in fits.items():
            study, why = study_of({name: fit}, "less is checked")
            told = told or why
            found[name] = check(fit, None if study is None else _model_of(fit, study), study)
    return found, told


def _model_of(fit: Any, study: Any) -> Any:
    """The standard model that was fitted; None where it was another."""
    from bayescal.model.standard import standard_models

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
        from bayescal.model.standard import standard_models
        from bayescal.posterior.calibrate import calibrate

        loaded, learned, how = load_asked(study, **which)
        models = standard_models(loaded, policy=learned)
    sizes: dict[str, Any] = {"draws": draws, "warmup": warmup, "chains": chains, "seed": seed}
    with fit_progress(console) as progress:
        fits = calibrate(loaded, models=models, **sizes, progress=progress)
    if out is not None:
        save_fits(fits, Path(out), command=f"bayescal check {shlex.quote(study)}{flags(sizes | which)}", loaded=how)
    with console.status("Looking"):
        return {name: check(fit, models[name], loaded) for name, fit in fits.items()}


def _show_checks(name: str, checks: Any, stdout: Console) -> None:
    from rich.markup import escape

    table = empty_table(f"Checks of {name}", ["", "check"], [])
    table.add_column("found")
    for item in checks.items:
        mark = "[yellow]look[/]" if item.warns else _MARKS.get(item.passed, "–")
        advice = f" → {item.advice}" if item.advice else ""
        table.add_row(mark, escape(item.name), escape(item.found + advice))
    stdout.print(table)
    if len(checks.predictive):
        stdout.print(_predictive_table(checks.predictive))
    say(stdout, f"{name}: {checks.status}\n")


def _predictive_table(found: Any) -> Any:
    from rich.markup import escape

    title, columns = "What people do, and what is predicted of them", ["observed", "predicted", "5%", "95%", "p"]
    table = empty_table(title, ["statistic"], columns, folds=True)
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
        from bayescal.diagnostics.base import Outcome
        from bayescal.diagnostics.recover import recover
        from bayescal.diagnostics.replicates import dearer
        from bayescal.diagnostics.sbc import sbc

        loaded, learned, _ = load_asked(study, **which)
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
    caught = found["self-test"].outcome is Outcome.FAILED if self_test else True
    if self_test:
        notes.append(
            "Self-test: decisions of people whose information costs a tenth more than the model says "
            + ("do not pass, as they should not." if caught else "pass too: with this design the error would not show.")
        )
    if as_json:
        print_json({"model": name, "notes": notes} | {t: r.as_dict() for t, r in found.items()})
    else:
        stdout = Console()
        for title, result in found.items():
            stdout.print(_summary(title, result))
            say(stdout, f"{title}: {result.verdict}\n")
        for note in notes:
            say(stdout, note)
    if strict and not (fine(found[name]) and caught):
        sys.exit(1)


def _model_to_simulate(study: Any, policy: Any, wanted: str | None) -> tuple[str, Any]:
    """(its name, one of the study's standard models): other data can take the place of its own."""
    from bayescal.model.standard import standard_models

    method = "joint" if study.decisions.play is not None or study.prior_parameters == "participant" else "marginal"
    models: Mapping[str, Any] = standard_models(study, policy=policy, options={"method": method})
    if wanted is None:
        return next(reversed(models.items()))
    if wanted not in models:
        raise InputError(f"--model {wanted}: {study.name} has no such model; it has {', '.join(models)}.")
    return wanted, models[wanted]


def _summary(title: str, found: Any) -> Any:
    from rich.markup import escape

    summary = found.summary()
    table = empty_table(title, ["quantity"], [_HEADS.get(c, str(c).replace("_", " ")) for c in summary.columns])
    for name, row in summary.iterrows():
        table.add_row(escape(str(name)), *(f"{x:.3f}" for x in row))
    return table
