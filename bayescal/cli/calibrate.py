"""`bayescal calibrate`: from a study's decisions to a posterior, a table and a report."""

import shlex
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from bayescal.cli.asked import Loaded, Sizes, Which, check_sizes, flags, load_asked, split_names
from bayescal.cli.fits import as_dict, posterior_table, show_estimates
from bayescal.cli.progress import (
    FitProgress,
    fitting,
    say_checkpoints,
    say_interrupted,
    say_masked,
    say_snapped,
)
from bayescal.cli.reweight import models_to_weight, show_weighted, weigh, weighted_files
from bayescal.cli.saved import checkpoints_of, fit_files, run_of
from bayescal.cli.sharpen import models_to_sharpen, sharpen_all, sharpened_files, sharpened_name, show_sharpened
from bayescal.cli.show import print_json, say, stdout_console
from bayescal.errors import InputError
from bayescal.parallel import use_cores
from bayescal.results import Kind

if TYPE_CHECKING:
    from bayescal.posterior.grid import Grid
    from bayescal.posterior.nuts import NUTS
    from bayescal.posterior.svi import SVI


@dataclass(frozen=True)
class Calibration(Which, Sizes):
    """What `bayescal calibrate` is asked for: a field for each of its options."""

    study: str
    method: str
    guide: str | None
    steps: int | None
    resume: bool
    checkpoint_every: int
    population: str | None
    covariates: str | None
    groups: str | None
    lapse: bool
    learning: bool
    beliefs: str | None
    habits: str | None
    costs: str | None
    parameters: str | None
    tolerance: float | None
    snap: bool
    reweight: bool
    sharpen: bool
    out: str | None
    as_json: bool

    def __post_init__(self) -> None:
        check_sizes(self.draws, self.warmup, self.chains, self.checkpoint_every)
        if self.tolerance is not None and not self.tolerance >= 0:
            raise InputError(f"--tolerance is {self.tolerance:g}: give zero or a positive number.")
        of = {"--guide": ("svi", self.guide), "--steps": ("svi", self.steps), "--resume": ("nuts", self.resume or None)}
        stray = [f"{k} is for --method {m}" for k, (m, value) in of.items() if value is not None and m != self.method]
        if stray:
            raise InputError(
                f"{', '.join(stray)}, and the method is {self.method}: leave it out, or choose that method."
            )

    @property
    def changed(self) -> dict[str, tuple[str, str | bool | list[str]]]:
        """By option: the key under [model] that it takes the place of, and its value."""
        by_option = {
            "population": ("population", self.population),
            "covariates": ("covariates", self.covariates),
            "by-group": ("groups", self.groups),
            "beliefs": ("beliefs", self.beliefs),
            "habits": ("prior_parameters", self.habits),
            "costs": ("method", self.costs),
            "parameters": ("parameters", None if self.parameters is None else split_names(self.parameters)),
            "lapse": ("lapse", self.lapse or None),
            "learning": ("learning", self.learning or None),
        }
        return {option: (key, value) for option, (key, value) in by_option.items() if value is not None}

    @property
    def command(self) -> str:
        asked: dict[str, Any] = {**self.sizes, **self.flags} | {"tolerance": self.tolerance}
        asked |= {"method": None if self.method == "nuts" else self.method, "guide": self.guide, "steps": self.steps}
        joined = lambda x: ",".join(x) if isinstance(x, list) else x
        asked |= {option: joined(value) for option, (_, value) in self.changed.items()}
        asked |= {"snap": self.snap, "reweight": self.reweight, "sharpen": self.sharpen}
        return f"bayescal calibrate {shlex.quote(self.study)}{flags(asked)}"

    @property
    def rivals_command(self) -> str:
        """The command that shows whether another explanation repairs a misfit."""
        return f"bayescal compare {shlex.quote(self.study)}{flags(self.flags)}"

    def load(self) -> Loaded:
        model = dict(self.changed.values())
        return load_asked(self.study, self, tolerance=self.tolerance, snap=self.snap or None, model=model)

    def sampler(self) -> "NUTS | SVI | Grid":
        from bayescal.posterior.grid import Grid
        from bayescal.posterior.nuts import NUTS, longest_of
        from bayescal.posterior.svi import SVI

        if self.method == "svi":
            given: dict[str, Any] = {"guide": self.guide, "steps": self.steps}
            given = {name: value for name, value in given.items() if value is not None}
            return SVI(draws=self.draws * self.chains, seed=self.seed, **given)
        if self.method == "grid":
            return Grid(seed=self.seed)
        longest = longest_of(self.draws, self.chains)
        return NUTS(**self.sizes, longest=longest, every=self.checkpoint_every, resume=self.resume)


def calibrate_study(asked: Calibration) -> None:
    use_cores(asked.chains)
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.diagnostics import check
        from bayescal.model.standard import standard_models
        from bayescal.posterior.calibrate import calibrate, estimate
        from bayescal.report.meaning import meaning_of, typical_cost
        from bayescal.report.write import report_files

        study, policy, how = asked.load()
        exact = models_to_weight(study, policy, asked.method) if asked.reweight else {}
        blunt = models_to_sharpen(study, policy, asked.method) if asked.sharpen else {}
        models = exact or blunt or ({} if asked.method == "mle" else standard_models(study, policy=policy))
    say_masked(study.decisions, console)
    say_snapped(study.decisions, console)
    if asked.method == "mle":
        with console.status("Maximising the likelihood"):
            estimates = estimate(study, policy=policy)
        show_estimates(estimates, study, asked.as_json)
        return
    folder = Path(asked.out) if asked.out else Path("bayescal-out") / study.name
    method, command = asked.sampler(), asked.command
    with fitting(folder, Kind.CALIBRATE, study.name, command) as held:
        if asked.method == "nuts":
            say_checkpoints(folder, asked.resume, console)
        try:
            with FitProgress(console) as progress:
                fits = calibrate(study, models=models, method=method, checkpoints=folder, progress=progress)
        except KeyboardInterrupt:
            say_interrupted(folder, console)
            sys.exit(130)
        with console.status("Checking"):
            checks = {name: check(fit, models[name], study) for name, fit in fits.items()}
        weighted = weigh(exact, fits, console)
        sharpened = sharpen_all(models if asked.sharpen else {}, fits, asked.sampler(), console)
        with console.status("Writing the report"):
            page = report_files(study, fits, command=command, checks=checks) | weighted_files(weighted)
            page |= sharpened_files(sharpened)
            every = fits | {sharpened_name(name): s.fit for name, s in sharpened.items()}
            built = models | {sharpened_name(name): s.model for name, s in sharpened.items()}
            run = run_of(Kind.CALIBRATE, study, every, built, command=command, seed=asked.seed)
            files = chain(fit_files(every, command=command, loaded=how), page.items())
            held.commit(run, files, retired=checkpoints_of(fits))
    report = folder / "report.html"
    if asked.as_json:
        more = {"reweighted": {name: w.as_dict() for name, w in weighted.items()}} if asked.reweight else {}
        more |= {"sharpened": {name: s.as_dict() for name, s in sharpened.items()}} if asked.sharpen else {}
        print_json(as_dict(fits, report, checks) | more)
        return
    stdout = stdout_console()
    for name, fit in fits.items():
        stdout.print(posterior_table(name, fit))
        for sentence in (f"{name}: {fit.status}", *fit.identifiability().sentences, f"Checks {checks[name].status}"):
            say(stdout, sentence)
        if (cost := typical_cost(fit)) is not None:
            say(stdout, f"What a cost means: {meaning_of(cost, study.units)}.")
        stdout.print()
        if name in weighted:
            show_weighted(name, weighted[name], stdout)
        if name in sharpened:
            show_sharpened(name, sharpened[name], stdout)
    if bad := [name for name, found in checks.items() if found.misfit]:
        say(
            stdout,
            f"{', '.join(bad)}: not a description of these decisions. Would a habit, costs that differ or another "
            f"explanation be one? {asked.rivals_command}",
        )
    say(stdout, f"Report: {report}")
