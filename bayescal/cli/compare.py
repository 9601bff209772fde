"""`bayescal compare`: which model predicts best out of sample?"""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from bayescal.cli.asked import Sizes, Which, check_sizes, flags, load_asked
from bayescal.cli.progress import FitProgress, fitting, say_checkpoints, say_interrupted
from bayescal.cli.saved import COMPARISON, checkpoints_of, fit_files, fits_among, load_fits, run_of
from bayescal.cli.show import empty_table, print_json, say, stdout_console
from bayescal.errors import InputError
from bayescal.parallel import use_cores
from bayescal.plain import Options
from bayescal.results import Kind, Run, holding

if TYPE_CHECKING:
    from rich.table import Table

    from bayescal.comparison import Comparison
    from bayescal.comparison.pointwise import Unit
    from bayescal.comparison.rivals import Rivals
    from bayescal.policies.base import Policy
    from bayescal.study import Study


@dataclass(frozen=True)
class Contest(Which, Sizes):
    """What `bayescal compare` is asked for: a field for each of its options."""

    only: tuple[str, ...]
    full: bool
    plan: bool
    unit: "Unit | None"
    folds: int | None
    ablation: bool
    resume: bool
    out: str | None
    as_json: bool

    def command(self, study: str) -> str:
        own = {name: getattr(self, name) for name in ("only", "full", "ablation", "unit", "folds")}
        return f"bayescal compare {shlex.quote(study)}{flags({**self.sizes, **own, **self.flags})}"


def compare_what(what: Sequence[str], asked: Contest) -> None:
    """A study, or saved fits."""
    if saved := fits_among(what, "compare"):
        _compare_fits(saved, asked)
    else:
        _compare_study(what[0], asked)


def _compare_study(name: str, asked: Contest) -> None:
    check_sizes(asked.draws, asked.warmup, asked.chains)
    use_cores(asked.chains)
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.comparison import compare_study
        from bayescal.comparison.study import check_units
        from bayescal.diagnostics import check
        from bayescal.report.write import report_files

        study, policy, how = load_asked(name, asked)
        check_units(study.decisions, asked.unit, asked.folds)
    if asked.plan:
        _show_plan(_rivals(study, policy, asked, console), asked)
        return
    folder = Path(asked.out) if asked.out else Path("bayescal-out") / f"{study.name}-compared"
    command = asked.command(name)
    with fitting(folder, Kind.COMPARE, study.name, command) as held:
        among = _rivals(study, policy, asked, console)
        say_checkpoints(folder, asked.resume, console)
        try:
            with FitProgress(console) as progress:
                fits, comparison = compare_study(
                    study,
                    among=among,
                    unit=asked.unit,
                    folds=asked.folds,
                    **asked.sizes,
                    checkpoints=folder,
                    resume=asked.resume,
                    progress=progress,
                )
        except KeyboardInterrupt:
            say_interrupted(folder, console)
            sys.exit(130)
        with console.status("Writing the report"):
            checks = {name: check(fit, among.models[name], study) for name, fit in fits.items()}
            page = report_files(study, fits, command=command, comparison=comparison, checks=checks)
            page[COMPARISON] = _as_file(comparison.as_dict() | {"command": command})
            run = run_of(Kind.COMPARE, study, fits, among.models, command=command, seed=asked.seed)
            files = chain(fit_files(fits, command=command, loaded=how), page.items())
            held.commit(run, files, retired=checkpoints_of(fits))
    _show(comparison, asked.as_json, {"report": str(folder / "report.html")})


def _rivals(study: "Study", policy: "Policy | None", asked: Contest, console: Console) -> "Rivals":
    """The models that are asked for."""
    from bayescal.comparison.rivals import rivals
    from bayescal.comparison.rivals.ablation import ablation

    only = list(asked.only) or None
    with console.status("Building the models"):
        if asked.ablation:
            return ablation(study, only=only, policy=policy)
        return rivals(study, only=only, full=asked.full, policy=policy)


def _show_plan(among: "Rivals", asked: Contest) -> None:
    """Which models would be fitted, what they are made of, and how long that takes."""
    from rich.markup import escape

    from bayescal.comparison.plan import plan_of

    plan = plan_of(among, draws=asked.draws, warmup=asked.warmup, chains=asked.chains)
    if asked.as_json:
        print_json({"models": plan.table.to_dict("index"), "seconds": plan.seconds, "left_out": among.left_out})
        return
    table = empty_table(
        f"{len(plan.table)} models, {plan}", ["model", "prior", "people", "pooling", "payoffs"], ["minutes"]
    )
    for name, row in plan.table.iterrows():
        made_of = (row["habit"], row["heterogeneity"], row["pooling"], "yes" if row["payoffs"] else "no")
        table.add_row(escape(str(name)), *map(str, made_of), f"{row['seconds'] / 60:.1f}")
    stdout = stdout_console()
    stdout.print(table)
    _show_left_out(stdout, among.left_out)


def _show_left_out(stdout: Console, left_out: Mapping[str, str]) -> None:
    for name, reason in left_out.items():
        say(stdout, f"Not applicable: {name} ({reason}).")


def _compare_fits(saved: Sequence[str], asked: Contest) -> None:
    for_studies = ("only", "full", "plan", "folds", "ablation", "resume", "policy", "data", "where", "options", "trust")
    stray = [name for name in for_studies if getattr(asked, name)]
    if stray:
        names = ", ".join("--set" if name == "options" else f"--{name}" for name in stray)
        raise InputError(f"{names}: for a study, whose models are fitted; saved fits have been fitted already.")
    with Console(stderr=True).status("Comparing"):
        from bayescal.comparison import compare

        fits = load_fits(saved)
        comparison = compare(fits, unit=asked.unit, seed=asked.seed)
    if asked.out:
        from bayescal.report.write import data_of

        command = f"bayescal compare {shlex.join(saved)}{flags({'unit': asked.unit, 'seed': asked.seed})}"
        run = Run(Kind.COMPARE_FITS, command, "", (asked.seed,), data_of(fits))
        with holding(Path(asked.out), run.kind, run.study, command=command) as held:
            held.commit(run, [(COMPARISON, _as_file(comparison.as_dict()))])
    _show(comparison, asked.as_json, {})


def _as_file(numbers: Options) -> bytes:
    return json.dumps(numbers, indent=1, allow_nan=False).encode()


def _show(found: "Comparison", as_json: bool, more: dict[str, str]) -> None:
    if as_json:
        print_json(found.as_dict() | more)
        return
    stdout = stdout_console()
    say(stdout, f"{found.verdict}\n")
    stdout.print(comparison_table(found))
    if len(found.scores):
        stdout.print()
        stdout.print(scores_table(found))
    if len(found.ingredients):
        stdout.print()
        stdout.print(ingredients_table(found))
    if found.clusters:
        say(stdout, f"People in one of the {found.clusters} groups may be alike: --unit group leaves whole groups out.")
    _show_left_out(stdout, found.left_out)
    if "report" in more:
        say(stdout, f"Report: {more['report']}")


def comparison_table(found: "Comparison") -> "Table":
    """Models, best first, with notes."""
    from rich.markup import escape

    table = empty_table(
        f"Out of sample, by {found.unit}",
        ["model"],
        ["nats per decision", "difference", "weight", "k-hat"],
        folds=True,
    )
    table.add_column("notes")
    for name, row in found.table.iterrows():
        apart = "best" if name == found.best else f"{row['difference']:.1f} ± {row['difference_se']:.1f}"
        weight = "–" if row["excluded"] else f"{row['weight']:.2f}"
        table.add_row(
            escape(str(name)), f"{row['per_decision']:.4f}", apart, weight, f"{row['k_hat']:.2f}", _notes(row)
        )
    return table


def ingredients_table(found: "Comparison") -> "Table":
    """What each ingredient is worth."""
    from rich.markup import escape

    table = empty_table(
        "Worth of each ingredient, out of sample", ["ingredient", "over"], ["nats", "pairs"], folds=True
    )
    table.add_column("notes")
    for _, row in found.ingredients.iterrows():
        nats = f"{row['nats']:.1f} ± {row['se']:.1f}"
        table.add_row(
            escape(str(row["ingredient"])),
            str(row["over"]),
            nats,
            str(row["pairs"]),
            "" if row["clear"] else "not clear",
        )
    return table


def scores_table(found: "Comparison") -> "Table":
    """How well a new person is predicted."""
    from rich.markup import escape

    columns = {"share_predicted": "share predicted", "mean_error": "mean error", "log_score": "nats per decision"}
    shown = {c: title for c, title in columns.items() if found.scores[c].notna().any()}
    floor = found.scores[["floor", "floor_se"]].dropna()
    beyond = " (no model can beat {:.4f} ± {:.4f} nats)".format(*floor.iloc[0]) if len(floor) else ""
    table = empty_table(f"Predictions of a new person{beyond}", ["model"], list(shown.values()), folds=True)
    for name, row in found.scores.dropna(how="all").iterrows():
        places = {"share_predicted": f"{row['share_predicted']:.1%}", "log_score": f"{row['log_score']:.4f}"}
        table.add_row(escape(str(name)), *(places.get(c) or f"{row[c]:.2f}" for c in shown))
    return table


def _notes(row: pd.Series) -> str:
    notes = []
    if row["excluded"]:
        notes.append("excluded, not to be trusted")
    if row["unreliable"]:
        notes.append(f"{row['unreliable']} not left out reliably by importance weights")
    elif row["how"] != "psis":
        notes.append(row["how"])
    return "; ".join(notes)
