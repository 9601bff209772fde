"""`bayescal calibrate`: from a study's decisions to a posterior, a table and a report."""

import contextlib
import json
import math
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bayescal.cli.reweight import models_to_weight, show_weighted, weigh
from bayescal.cli.saved import save_fits
from bayescal.cli.show import empty_table, print_json, say
from bayescal.errors import InputError
from bayescal.parallel import use_cores
from bayescal.plain import listed

_MANY = 40  # entries of one name, of which the range is printed in place of each


def calibrate_study(
    study: str,
    *,
    draws: int,
    warmup: int,
    chains: int,
    seed: int,
    policy: str | None,
    method: str,
    guide: str | None,
    steps: int | None,
    resume: bool,
    checkpoint_every: int,
    population: str | None,
    covariates: str | None,
    groups: str | None,
    lapse: bool,
    learning: bool,
    beliefs: str | None,
    habits: str | None,
    costs: str | None,
    data: str | None,
    where: str | None,
    options: Sequence[str],
    tolerance: float | None,
    snap: bool,
    reweight: bool,
    out: str | None,
    as_json: bool,
) -> None:
    check_sizes(draws, warmup, chains, checkpoint_every)
    check_method(method, guide, steps, resume)
    if tolerance is not None and not tolerance >= 0:
        raise InputError(f"--tolerance is {tolerance:g}: give zero or a positive number.")
    use_cores(chains)
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.diagnostics import check
        from bayescal.model.standard import standard_models
        from bayescal.posterior.calibrate import calibrate, estimate
        from bayescal.posterior.grid import Grid
        from bayescal.posterior.nuts import NUTS
        from bayescal.posterior.svi import SVI
        from bayescal.report import write_report
        from bayescal.study import load_study

        given = {"options": read_options(options), "tolerance": tolerance, "snap": snap or None}
        wanted: dict[str, tuple[str, Any]] = {  # by flag: the key under [model], and its value
            "population": ("population", population), "covariates": ("covariates", covariates),
            "by-group": ("groups", groups), "beliefs": ("beliefs", beliefs), "habits": ("prior_parameters", habits),
            "costs": ("method", costs), "lapse": ("lapse", lapse or None), "learning": ("learning", learning or None),
        }  # fmt: skip
        wanted = {flag: kept for flag, kept in wanted.items() if kept[1] is not None}
        model = dict(wanted.values())
        loaded = load_study(study, data=data, where=where, model=model, **given)
        learned = find_policy(policy, loaded)
        exactly = models_to_weight(loaded, learned, method) if reweight else {}
        models = exactly or ({} if method == "mle" else standard_models(loaded, policy=learned))
    tell_masked(loaded.decisions, console)
    tell_snapped(loaded.decisions, console)
    if method == "mle":
        with console.status("Maximising the likelihood"):
            estimates = estimate(loaded, policy=learned)
        show_estimates(estimates, loaded, as_json)
        return
    folder = Path(out) if out else Path("bayescal-out") / loaded.name
    check_writable(folder)
    if method == "svi":
        some: dict[str, Any] = {k: v for k, v in {"guide": guide, "steps": steps}.items() if v is not None}
        how: Any = SVI(draws=draws * chains, seed=seed, **some)
    elif method == "grid":
        how = Grid(seed=seed)
    else:
        tell_checkpoints(folder, resume, console)
        how = NUTS(draws=draws, warmup=warmup, chains=chains, seed=seed, every=checkpoint_every, resume=resume)
    try:
        with fit_progress(console) as progress:
            fits = calibrate(loaded, policy=learned, models=models, method=how, checkpoints=folder, progress=progress)
    except KeyboardInterrupt:
        tell_interrupted(folder, console)
        sys.exit(130)
    asked: dict[str, Any] = {"draws": draws, "warmup": warmup, "chains": chains, "seed": seed}
    asked |= {"data": data, "where": where, "policy": policy, "tolerance": tolerance, "options": options}
    asked |= {"method": None if method == "nuts" else method, "guide": guide, "steps": steps}
    asked |= {flag: value for flag, (_, value) in wanted.items()} | {"snap": snap, "reweight": reweight}
    command = f"bayescal calibrate {shlex.quote(study)}{flags(asked)}"
    save_fits(
        fits, folder, command=command, loaded={"study": study, "data": data, "where": where, **given, "model": model}
    )
    with console.status("Checking"):
        checks = {name: check(fit, models[name], loaded) for name, fit in fits.items()}
    with console.status("Writing the report"):
        report = write_report(loaded, fits, folder, command=command, checks=checks)
    weighted = weigh(exactly, fits, folder, console)
    if as_json:
        told = {"reweighted": {name: found.as_dict() for name, found in weighted.items()}} if reweight else {}
        print_json(as_dict(fits, report, checks) | told)
        return
    stdout = Console()
    for name, fit in fits.items():
        stdout.print(posterior_table(name, fit))
        for sentence in (f"{name}: {fit.status}", *fit.identifiability().sentences, f"Checks {checks[name].status}"):
            say(stdout, sentence)
        stdout.print()
        if name in weighted:
            show_weighted(name, weighted[name], stdout)
    say(stdout, f"Report: {report}")


def read_options(pairs: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """`--set name=value`: numbers, true, false or lists as in JSON; anything else is a text."""
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{option} {pair!r} is not NAME=VALUE: write for example {option} discount=0.")
        try:
            options[name.strip()] = json.loads(text)
        except ValueError:
            options[name.strip()] = text
    return options


def flags(asked: Mapping[str, Any]) -> str:
    """Options as they are typed: without those that are None or False; of a list, each of its entries."""
    told = ""
    for name, value in asked.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if one is not None and one is not False:
                told += f" --{'set' if name == 'options' else name}"
                told += "" if one is True else f" {shlex.quote(str(one))}"
    return told


def load_asked(
    study: str, *, policy: str | None, data: str | None, where: str | None, options: Sequence[str]
) -> tuple[Any, Any, dict[str, Any]]:
    """(the study, its likelihood if another is asked for, the arguments of `load_study`)."""
    from bayescal.study import load_study

    how: dict[str, Any] = {"study": study, "data": data, "where": where, "options": read_options(options)}
    loaded = load_study(**how)
    return loaded, find_policy(policy, loaded), how


def find_policy(policy: str | None, study: Any) -> Any:
    if policy is None:
        return None
    if policy == "exact":
        from bayescal.policies.exact import ExactPolicy

        return ExactPolicy(next(iter(study.decisions.environments.values())))
    from bayescal.training.recipe import load_model

    return load_model(policy)


def tell_masked(decisions: Any, console: Console) -> None:
    if decisions.play is not None and decisions.play.masked:
        rows = f"{decisions.play.masked:,} of {len(decisions.table):,} rows"
        say(console, f"{rows} are not used as decisions: what was seen before them is not known.")
        if left_out := decisions.play.left_out:
            say(console, f"Of {listed(left_out, 5)} nothing is used.")


def tell_snapped(decisions: Any, console: Console) -> None:
    if decisions.snapped:
        moved = f"{decisions.snapped:,} of {decisions.total:,} decisions"
        say(console, f"{moved} were between two values of the grid and are moved to the nearer one.")


def show_estimates(estimates: dict[str, Any], study: Any, as_json: bool) -> None:
    """The estimates of the pooled model; log_likelihood is of the decisions and of what chance did."""
    (found,) = estimates.values()
    total = found.log_likelihood + study.chance_log_likelihood
    if as_json:
        out = dict(found.values) | {
            "log_likelihood": total,
            "log_likelihood_decisions": found.log_likelihood,
            "log_likelihood_chance": study.chance_log_likelihood,
            "standard_errors": dict(found.standard_errors),
            "status": str(found.status),
            "seconds": round(found.seconds, 4),
            "seconds_compiling": round(found.seconds_compiling, 2),
        }
        play = study.decisions.play
        out["decisions"] = len(play.row) if play is not None else study.decisions.total
        print_json(out)
        return
    table = empty_table("Maximum likelihood", ["parameter"], ["estimate", "standard error"])
    for name, value in found.values.items():
        table.add_row(name, f"{value:.4f}", f"{found.standard_errors[name]:.4f}")
    stdout = Console()
    stdout.print(table)
    parts = f" ({found.log_likelihood:.3f} of the decisions, {study.chance_log_likelihood:.3f} of chance)"
    say(stdout, f"log-likelihood {total:.3f}{parts if study.chance_log_likelihood else ''}; {found.status}")


def check_sizes(draws: int, warmup: int, chains: int, checkpoint_every: int) -> None:
    sizes = {"--draws": draws, "--warmup": warmup, "--chains": chains, "--checkpoint-every": checkpoint_every}
    least = {"--draws": 10}  # fewer have no effective sample size
    small = [f"{k} is {n} where at least {least.get(k, 1)} is needed" for k, n in sizes.items() if n < least.get(k, 1)]
    if small:
        raise InputError(f"{'; '.join(small)}: leave it out to get the default.")


def check_method(method: str, guide: str | None, steps: int | None, resume: bool) -> None:
    """Options of one method given to another are an error, not forgotten."""
    of = {"--guide": ("svi", guide), "--steps": ("svi", steps), "--resume": ("nuts", resume or None)}
    stray = [f"{k} is for --method {m}" for k, (m, value) in of.items() if value is not None and m != method]
    if stray:
        raise InputError(f"{', '.join(stray)}, and the method is {method}: leave it out, or choose that method.")


def tell_checkpoints(folder: Path, resume: bool, console: Console) -> None:
    found = [str(p) for p in sorted(folder.glob(".*.checkpoint"))]
    if resume and not found:
        said = f"{folder} has no checkpoint to go on from: the run begins anew."
    elif found and not resume:
        said = (
            f"An interrupted run has left {', '.join(found)}, now overwritten; with --resume it would be gone on with."
        )
    else:
        return
    say(console, said)


def tell_interrupted(folder: Path, console: Console) -> None:
    left = any(folder.glob(".*.checkpoint"))
    how = "the same command with --resume goes on from the last checkpoint" if left else "nothing was kept yet"
    say(console, f"Interrupted: {how}.")


def check_writable(folder: Path) -> None:
    """Fail before the long work, not after it; leave nothing behind when failing."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()  # only what was made here, and only while it is empty
        raise InputError(
            f"--out {folder}: the folder cannot be written to ({error.strerror}); choose another one."
        ) from None


class fit_progress:
    """A progress bar for each fit, and one that only pulses while a fit is compiled or summed up."""

    def __init__(self, console: Console):
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        self.bars = Progress(*columns, console=console)
        self.between = self.bars.add_task("preparing ", total=None)
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> "fit_progress":
        self.bars.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.bars.update(self.between, visible=False)
        self.bars.__exit__(*raised)

    def __call__(self, name: str, done: int, total: int) -> None:
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(f"{name:<10}", total=total)
        self.bars.update(self.tasks[name], completed=done, total=total)
        self.bars.update(self.between, visible=done == total)


def posterior_table(name: str, fit: Any) -> Any:
    from rich.markup import escape

    columns = ["mean", "sd", "5%", "95%", "ESS", "R-hat"]
    table = empty_table(f"Posterior, {name} (90% intervals)", ["parameter"], columns)
    summary = fit.summary()
    many = _many(summary.index)
    for label, row in summary.iterrows():
        if str(label).startswith(("log_cost[", "log_cost_offset[")):
            continue  # the costs that they lead to are in the table
        if (stem := str(label).split("[")[0]) in many:
            if str(label) == many[stem][0]:
                means = summary.loc[many[stem], "mean"]
                table.add_row(escape(f"{stem}[{len(means)} of them]"), f"{means.min():.3f} to {means.max():.3f}")
            continue
        values = [f"{row[c]:.3f}" for c in ("mean", "sd", "eti90_lb", "eti90_ub")]
        table.add_row(escape(str(label)), *values, f"{row['ess_bulk']:.0f}", _r_hat(row["r_hat"]))
    return table


def _many(labels: Any) -> dict[str, list[str]]:
    """By name, the entries of what has too many of them to print."""
    entries: dict[str, list[str]] = {}
    for label in map(str, labels):
        entries.setdefault(label.split("[")[0], []).append(label)
    return {stem: of for stem, of in entries.items() if len(of) > _MANY}


def _r_hat(x: float) -> str:
    return f"{x:.3f}" if math.isfinite(x) else "–"  # a grid has one chain


def as_dict(fits: dict[str, Any], report: Path, checks: dict[str, Any]) -> dict[str, Any]:
    """What a program wants of a calibration: statuses and posterior summaries."""
    return {
        "report": str(report),
        "fits": {
            name: {
                "status": str(fit.status),
                "converged": fit.converged,
                "unidentified": fit.identifiability().sentences,
                "checks": checks[name].status,
                "summary": fit.summary().to_dict("index"),
            }
            for name, fit in fits.items()
        },
    }
