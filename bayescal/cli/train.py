"""`bayescal train`, `certify` and `models`: learned policies."""

import contextlib
import shlex
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console

from bayescal.cli.progress import Lines
from bayescal.cli.show import empty_table, print_json, say, stdout_console
from bayescal.errors import InputError
from bayescal.plain import Options

if TYPE_CHECKING:
    from rich.progress import TaskID

    from bayescal.training.train import Report


def train_zoo_model(model: str, out: str | None, every: float, restart: bool, as_json: bool) -> None:
    if not every > 0:
        raise InputError(f"--every is {every:g}: give the seconds between two checkpoints, above zero.")
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.training.recipe import EXPERIMENT, find_model, read_recipe, train_model
        from bayescal.training.train import CHECKPOINT

        source = find_model(model)
        recipe = read_recipe(source)
    folder = Path(out) if out else source
    again = f"bayescal train {shlex.quote(model)}" + (f" --out {shlex.quote(out)}" if out else "")
    console.print(
        f"[bold]{recipe.title}[/bold]\n{recipe.trainer.steps:,} steps; writing to {folder}",
        highlight=False,
        soft_wrap=True,
    )
    try:
        with _Bars(console) as bars:
            certificate = train_model(
                recipe,
                folder,
                experiment=source / EXPERIMENT if folder.resolve() != source.resolve() else None,
                command=again,
                restart=restart,
                every=every,
                progress=bars.training,
                measuring=bars.measuring,
            )
    except KeyboardInterrupt:
        if (folder / CHECKPOINT).exists():
            say(console, f"Interrupted; the training so far is saved in {folder}. Continue with: {again}")
        else:
            say(console, f"Interrupted; nothing was learned yet, and nothing is saved. Start again with: {again}")
        raise
    _show(certificate, folder, as_json)


def certify_zoo_model(
    model: str, points: int | None, effort: int, costs: int | None, trust: bool, as_json: bool
) -> None:
    if effort < 1:
        raise InputError(f"--effort is {effort}: give how many times as many games as usual, at least 1.")
    if costs is not None and costs < 2:
        raise InputError(f"--costs is {costs}: give at least two, one at each end of the box.")
    if points is not None and points < 10:
        raise InputError(f"--points is {points}: at least 10 are needed for quantiles.")
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.results.checkpoints import CERTIFYING
        from bayescal.training.recipe import certify_model, find_model, read_certificate, read_recipe, refuse_program

        folder = find_model(model)
        refuse_program(model, folder, trust)
        recipe = read_recipe(folder)
    command = f"bayescal certify {shlex.quote(model)}" + ("" if points is None else f" --points {points}")
    command += "" if effort == 1 else f" --effort {effort}"
    command += "" if costs is None else f" --costs {costs}"
    before = None
    with contextlib.suppress(InputError):  # one of other weights, or damaged: it is about to be replaced
        before = read_certificate(folder)
    if before is not None and before["oracle"] is None:
        say(console, f"The last time this took {before['seconds']:,.0f} s. Ctrl-C keeps what has been measured.")
    try:
        with _Bars(console) as bars:
            certificate = certify_model(
                recipe, folder, command=command, points=points, effort=effort, costs=costs, progress=bars.measuring
            )
    except KeyboardInterrupt:
        if (folder / CERTIFYING).exists():
            say(console, f"Interrupted; what has been measured is saved in {folder}. Continue with: {command}")
        raise
    _show(certificate, folder, as_json)


def list_zoo(as_json: bool) -> None:
    from bayescal.training.recipe import list_models

    models = list_models()
    if as_json:
        print_json(models)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("model", "domain", "KL to exact: median", "mean", "95%", "max at corners", "decisions*"):
        table.add_column(
            column,
            no_wrap=column == "model",
            overflow="fold",
            justify="left" if column in ("model", "domain") else "right",
        )
    for model in models:
        box = "\n".join(f"{n} {low:.4g} to {high:.4g}" for n, (low, high) in (model["domain"] or {}).items())
        table.add_row(f"[bold]{model['name']}[/bold]", box or "not trained yet", *_figures(model["certificate"]))
    console = stdout_console()
    console.print(table)
    say(console, "\n* so many decisions move no parameter by a tenth of its sd through the network's error (median).")
    in_play = [m for m in models if m["certificate"] and m["certificate"]["oracle"] is None]
    if in_play:
        say(console, "\nWithout an exact solution, replies were played against the policy:")
    for model in in_play:
        say(console, f"{model['name']}: {_verdict(model['certificate'])}")


def _figures(certificate: Options | None) -> list[str]:
    if not certificate or certificate["oracle"] is None:
        return [""] * 5
    kl, corners = certificate["kl"], certificate["corner_kl"]
    fewest = min(b["median"] for b in certificate["decisions_below_a_tenth_of_sd"].values())
    return [*(f"{kl[x]:.1g}" for x in ("median", "mean", "q95")), f"{corners['max']:.1g}", f"{fewest:,.0f}"]


def _verdict(certificate: Options) -> str:
    """The verdict on a policy without an exact one, and how many cells have it."""
    if "cells" not in certificate:
        return "measured by an earlier version, whose test could hardly fail; run `bayescal certify`"
    cells, verdict = certificate["cells"], certificate["verdict"]
    worst = max(cells, key=lambda c: max(c["gain"]["mean"], c["played"]["mean"]))
    gain, count = max(worst["gain"]["mean"], worst["played"]["mean"]), sum(c["verdict"] == verdict for c in cells)
    return (
        f"{verdict.upper()} at {count} of {len(cells)} roles and costs; a gain of up to {gain:.2g} nats a decision "
        f"({worst['role']}, cost {worst['cost']:.3g}, {worst['at']})"
    )


def _show(certificate: Options, folder: Path, as_json: bool) -> None:
    if as_json:
        print_json({**certificate, "folder": str(folder)})
        return
    table = empty_table("", ["measured"], ["mean", "median", "95%", "max"])
    for name, figures in certificate.items():
        if isinstance(figures, dict) and set(figures) == {"mean", "median", "q95", "max"}:
            table.add_row(name.replace("_", " "), *(f"{x:.2g}" for x in figures.values()))
    console = stdout_console()
    console.print(table)
    if certificate["oracle"] is None:
        _show_cells(console, certificate)
    for cost, gains in certificate.get("best_reply_nats", {}).items():
        most = max(g["max"] for g in gains.values() if g)
        say(console, f"own cost {cost}: an exact best reply gains at most {most:.2g} nats a decision")
    if certificate["oracle"] is not None and "verdict" in certificate:
        for name, bias in certificate["bias_in_sds_at_1000_decisions"].items():
            say(
                console,
                f"{name}: off by at most {bias['q95']:.2g} posterior sds after 1,000 decisions, in 95 % of the domain",
            )
        limits = f"limits {certificate['limit']:g} nats a decision and {certificate['bias_limit']:g} posterior sds"
        say(console, f"Verdict: {certificate['verdict'].upper()} ({limits})")
    for name, budget in certificate.get("decisions_below_a_tenth_of_sd", {}).items():
        most = f"{budget['median']:,.0f} decisions at the median point, {budget['worst 5%']:,.0f} at the worst 5%"
        say(console, f"{name}: good for {most}")
    say(console, f"Card: {folder / 'card.md'}")


def _show_cells(console: Console, certificate: Options) -> None:
    shown = lambda x: f"{x['mean']:.2g} ± {x['standard error']:.1g}"
    table = empty_table("", ["role", "cost", "at"], ["gain, nats", "best reply", "gain, nats", "scale", "p", "verdict"])
    for c in certificate["cells"]:
        figures = (shown(c["gain"]), c["reply"], shown(c["played"]), shown(c["scale"]), f"{c['p']:.1g}", c["verdict"])
        table.add_row(c["role"], f"{c['cost']:.3g}", c["at"], *figures)
    console.print(table)
    say(console, f"Verdict: {certificate['verdict'].upper()} (limit {certificate['limit']:g} nats a decision)")


class _Bars:
    """A progress bar with steps, loss, divergence from the exact policy, and the time left; lines where there is no
    terminal."""

    def __init__(self, console: Console):
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20),
            TextColumn("{task.completed}/{task.total}"), TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal)
        self.lines = None if console.is_terminal else Lines(console)
        self.tasks: dict[str, TaskID] = {}
        self.kl = ""

    def __enter__(self) -> "_Bars":
        self.bars.__enter__()
        self.tasks["training"] = self.bars.add_task("compiling", total=None, figures="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bars.__exit__(kind, error, at)

    def training(self, report: "Report", kl: float | None) -> None:
        self.kl = self.kl if kl is None else f" KL to exact {kl:.1e}"
        figures = " ".join(f"{n} {x:.1e}" for n, x in report.info.items()) + self.kl
        if self.lines is not None:
            self.lines.tell("training", report.step, report.steps, f", {figures}")
            return
        self.bars.update(
            self.tasks["training"], description="training", completed=report.step, total=report.steps, figures=figures
        )

    def measuring(self, what: str, done: int, total: int) -> None:
        if self.lines is not None:
            self.lines.tell(what, done, total)
            return
        if what not in self.tasks:
            self.bars.update(self.tasks["training"], visible=self.bars.tasks[0].description == "training")
            self.tasks[what] = self.bars.add_task(what, total=total, figures="")
        self.bars.update(self.tasks[what], completed=done)
