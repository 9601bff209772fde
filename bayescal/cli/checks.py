"""`bayescal check`, `bayescal sbc` and `bayescal recover`: can a fit, or a way of fitting, be trusted?"""

import contextlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd
from rich.console import Console

from bayescal.cli.asked import Sizes, Which, check_sizes, find_policy, flags, load_asked
from bayescal.cli.progress import FitProgress
from bayescal.cli.saved import fit_files, fits_among, load_fits, run_of, study_of
from bayescal.cli.show import empty_table, print_json, say, stdout_console
from bayescal.errors import InputError
from bayescal.parallel import use_cores
from bayescal.results import Kind, holding

if TYPE_CHECKING:
    from rich.table import Table

    from bayescal.diagnostics import Checks
    from bayescal.diagnostics.recover import Recovered
    from bayescal.diagnostics.sbc import Ranks
    from bayescal.model.build import Model
    from bayescal.policies.base import Policy
    from bayescal.posterior.fit import Fit
    from bayescal.study import Study

_HEADS = {
    "correlation": "corr",
    "mean_error": "error (sd)",
    "coverage50": "50%",
    "coverage80": "80%",
    "coverage95": "95%",
}
_GIVEN = "In games over time only the decisions are simulated, each given what the data record as seen before it."


@dataclass(frozen=True)
class Checking(Which, Sizes):
    """What `bayescal check` is asked for."""

    out: str | None
    strict: bool
    as_json: bool


@dataclass(frozen=True)
class Replication(Which):
    """What `bayescal sbc` and `bayescal recover` are asked for."""

    study: str
    kind: Literal["sbc", "recover"]
    replicates: int
    truth: str | None
    warmup: int
    seed: int
    model: str | None
    self_test: bool
    cores: int
    strict: bool
    as_json: bool


def check_what(what: Sequence[str], asked: Checking) -> None:
    """A study, or saved fits."""
    saved = fits_among(what, "check")
    console = Console(stderr=True)
    checks, note = _check_fits(saved, asked, console) if saved else (_check_study(what[0], asked, console), "")
    if asked.as_json:
        print_json({"note": note, "fits": {name: c.as_dict() for name, c in checks.items()}})
    else:
        stdout = stdout_console()
        for name, found in checks.items():
            _show_checks(name, found, stdout)
        if note:
            say(stdout, note)
    if asked.strict and not all(c.passed for c in checks.values()):
        sys.exit(1)


def _check_fits(paths: Sequence[str], asked: Checking, console: Console) -> "tuple[dict[str, Checks], str]":
    """(checks by fit, why some checks are missing)."""
    with console.status("Checking"):
        from bayescal.diagnostics import check

        checks, note = {}, ""
        for name, fit in load_fits(paths).items():
            study, reason = study_of({name: fit}, "fewer checks are made", trust=asked.trust)
            note = note or reason
            checks[name] = check(fit, None if study is None else _model_of(fit, study), study, strangers=True)
    return checks, note


def _model_of(fit: "Fit", study: "Study") -> "Model | None":
    """The standard model that was fitted; None if it was another model."""
    from bayescal.model.standard import standard_models

    try:
        models = standard_models(study).values()
    except InputError:
        return None
    return next((m for m in models if m.description == fit.provenance.get("model")), None)


def _check_study(name: str, asked: Checking, console: Console) -> "dict[str, Checks]":
    check_sizes(asked.draws, asked.warmup, asked.chains)
    use_cores(asked.chains)
    with console.status("Starting"):
        from bayescal.diagnostics import check
        from bayescal.model.standard import standard_models
        from bayescal.posterior.calibrate import calibrate

        study, policy, how = load_asked(name, asked)
        models = standard_models(study, policy=policy)
    command = f"bayescal check {shlex.quote(name)}{flags({**asked.sizes, **asked.flags})}"
    with contextlib.ExitStack() as stack:
        held = None
        if asked.out is not None:
            held = stack.enter_context(holding(Path(asked.out), Kind.CHECK, study.name, command=command))
        with FitProgress(console) as progress:
            fits = calibrate(study, models=models, **asked.sizes, progress=progress)
        if held is not None:
            run = run_of(Kind.CHECK, study, fits, models, command=command, seed=asked.seed)
            held.commit(run, fit_files(fits, command=command, loaded=how))
    with console.status("Checking"):
        return {name: check(fit, models[name], study, strangers=True) for name, fit in fits.items()}


def _show_checks(name: str, checks: "Checks", stdout: Console) -> None:
    from rich.markup import escape

    from bayescal.diagnostics.base import Outcome

    colours = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.WARNING: "yellow"}
    table = empty_table(f"Checks of {name}", ["", "check"], [])
    table.add_column("found")
    for item in checks.items:
        colour = colours.get(item.outcome)
        mark = f"[{colour}]{item.outcome.value}[/]" if colour else "–"
        advice = f" → {item.advice}" if item.advice else ""
        table.add_row(mark, escape(item.name), escape(item.found + advice))
    stdout.print(table)
    for title, found in (("Posterior predictive checks", checks.predictive), ("New people", checks.new_people)):
        if len(found):
            stdout.print(_predictive_table(title, found))
    say(stdout, f"{name}: {checks.status}\n")


def _predictive_table(title: str, found: pd.DataFrame) -> "Table":
    from rich.markup import escape

    columns = ["observed", "predicted", "low", "high", "p"]
    table = empty_table(title, ["statistic"], columns, folds=True)
    for name, row in found.iterrows():
        numbers = [f"{row[c]:.3g}" for c in ("observed", "mean", "low", "high")]
        table.add_row(escape(str(name)), *numbers, f"{row['p']:.2g}", style="" if row["inside"] else "yellow")
    return table


def simulate_and_fit(asked: Replication) -> None:
    """`bayescal sbc` and `bayescal recover`."""
    use_cores(asked.cores)
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.diagnostics.base import Outcome
        from bayescal.diagnostics.recover import recover
        from bayescal.diagnostics.replicates import dearer
        from bayescal.diagnostics.sbc import sbc

        study, policy, _ = load_asked(asked.study, asked)
        name, model = _model_to_simulate(study, policy, asked.model)
        truth = None if asked.truth is None else _model_on(model, asked.truth, study, asked.trust)
        truths = {name: truth} | ({"self-test": dearer(truth or model)} if asked.self_test else {})
    results: dict[str, Ranks | Recovered] = {}
    with FitProgress(console) as progress:
        for title, truth in truths.items():
            tell = lambda done, total, title=title: progress(title, done, total)
            run = sbc if asked.kind == "sbc" else recover
            results[title] = run(
                model, truth, replicates=asked.replicates, warmup=asked.warmup, seed=asked.seed, progress=tell
            )
    notes = [_GIVEN] if study.decisions.play is not None else []
    if asked.truth is not None:
        notes.append(f"Simulated from {asked.truth}, fitted with {model.description}.")
    detected = not asked.self_test or results["self-test"].outcome is Outcome.FAILED
    if asked.self_test:
        notes.append(
            "Self-test: decisions of people whose cost of information is 10 % higher than the model says "
            + ("fail, as they should." if detected else "pass too: this design would not detect the error.")
        )
    if asked.as_json:
        print_json({"model": name, "notes": notes} | {title: r.as_dict() for title, r in results.items()})
    else:
        stdout = stdout_console()
        for title, result in results.items():
            stdout.print(_summary(title, result.summary()))
            say(stdout, f"{title}: {result.verdict}\n")
        for note in notes:
            say(stdout, note)
    if asked.strict and not (results[name].outcome is Outcome.PASSED and detected):
        sys.exit(1)


def _model_on(model: "Model", name: str, study: "Study", trust: bool) -> "Model":
    """The model on another policy: the exact one of the same game, habit and population, or one by name."""
    from bayescal.diagnostics.oracle import exact_twin, model_on

    policy = exact_twin(model.spec.policy) if name == "exact" else find_policy(name, study, trust)
    assert policy is not None
    return model_on(model, policy)


def _model_to_simulate(study: "Study", policy: "Policy | None", wanted: str | None) -> "tuple[str, Model]":
    """One of the study's standard models, by name; built so that simulated data can replace its own."""
    from bayescal.model.standard import standard_models

    method = "joint" if study.decisions.play is not None or study.prior_parameters == "participant" else "marginal"
    models = standard_models(study, policy=policy, options={"method": method})
    if wanted is None:
        return next(reversed(models.items()))
    if wanted not in models:
        raise InputError(f"--model {wanted}: {study.name} has no such model; it has {', '.join(models)}.")
    return wanted, models[wanted]


def _summary(title: str, summary: pd.DataFrame) -> "Table":
    from rich.markup import escape

    table = empty_table(title, ["quantity"], [_HEADS.get(c, str(c).replace("_", " ")) for c in summary.columns])
    for name, row in summary.iterrows():
        table.add_row(escape(str(name)), *(f"{x:.3f}" for x in row))
    return table
