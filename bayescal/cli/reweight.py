"""`bayescal reweight`, `bayescal calibrate --reweight`: is a learned policy accurate enough for these decisions?"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from bayescal.cli.asked import find_policy
from bayescal.cli.progress import FitProgress
from bayescal.cli.saved import file_name, load_fits, study_of
from bayescal.cli.show import empty_table, print_json, say, stdout_console
from bayescal.errors import InputError

if TYPE_CHECKING:
    from bayescal.diagnostics.reweight import Reweighted
    from bayescal.model.build import Model
    from bayescal.policies.base import Policy
    from bayescal.posterior.fit import Fit
    from bayescal.study import Study

_ROWS = 20
_LONG = 60.0  # seconds of work that are announced


def models_to_weight(study: "Study", policy: "Policy | None", method: str) -> "dict[str, Model]":
    """The study's models, each of which can be solved exactly; if not, an InputError before the long work."""
    if method == "mle":
        raise InputError("--reweight reweights draws, and --method mle has none: leave out one of the two.")
    from bayescal.diagnostics.oracle import exact_twin
    from bayescal.model.standard import standard_models

    models = standard_models(study, policy=policy)
    for model in models.values():
        exact_twin(model.spec.policy)
    return models


def weigh(models: "Mapping[str, Model]", fits: "Mapping[str, Fit]", console: Console) -> "dict[str, Reweighted]":
    """The draws of each fit, reweighted to the exact posterior."""
    return {name: _weigh(name, fits[name], model, None, None, console) for name, model in models.items()}


def _weigh(
    name: str, fit: "Fit", model: "Model", oracle: "Policy | None", draws: int | None, console: Console
) -> "Reweighted":
    from bayescal.diagnostics.reweight import reweight

    with FitProgress(console) as bar:
        return reweight(fit, model, oracle, draws=draws, progress=_Announced(f"reweighting {name}", bar, console))


class _Announced:
    """A progress bar; and, where the work takes longer than a minute, a sentence that says so at the start."""

    def __init__(self, title: str, bar: FitProgress, console: Console):
        self.title, self.bar, self.console = title, bar, console
        self.first: tuple[float, int] | None = None
        self.said = False

    def __call__(self, done: int, total: int) -> None:
        now = time.perf_counter()
        if self.first is None:
            self.first = now, done  # the first draws include compiling
        elif not self.said:
            began, before = self.first
            each, self.said = (now - began) / (done - before), True
            if (left := each * (total - done)) > _LONG:
                say(
                    self.console,
                    f"The game is solved at each of {total:,} draws, {each:.1f} s a draw: about {left / 60:.0f} min. "
                    "Ctrl-C weighs the draws that were reached.",
                )
        self.bar(self.title, done, total)


@dataclass(frozen=True)
class Reweighting:
    """What `bayescal reweight` is asked for.

    Attributes:
        policy: the learned policy that the fits were made with; None for the study's own.
        oracle: what draws are weighted to: "exact", or the name of another policy.
    """

    policy: str | None
    oracle: str
    draws: int | None
    trust: bool
    strict: bool
    as_json: bool


def reweight_fits(paths: Sequence[str], asked: Reweighting) -> None:
    """`bayescal reweight`."""
    console = Console(stderr=True)
    with console.status("Starting"):
        from bayescal.model.standard import standard_models

        fits = load_fits(paths)
        work: dict[str, tuple[Model, Policy | None]] = {}
        for name, fit in fits.items():
            study, reason = study_of({name: fit}, "its draws cannot be weighted", trust=asked.trust)
            if study is None:
                raise InputError(reason)
            oracle = None if asked.oracle == "exact" else find_policy(asked.oracle, study, asked.trust)
            models = standard_models(study, policy=find_policy(asked.policy, study, asked.trust))
            model = next((m for m in models.values() if m.description == fit.provenance.get("model")), None)
            if model is None:
                raise InputError(
                    f"{name}: the study's models are {'; '.join(m.description for m in models.values())}, and the fit "
                    f"is of {fit.provenance.get('model')}: give the learned policy that it was made with (--policy)."
                )
            work[name] = model, oracle
    found = {name: _weigh(name, fits[name], *of, asked.draws, console) for name, of in work.items()}
    if asked.as_json:
        print_json({name: w.as_dict() for name, w in found.items()})
    else:
        stdout = stdout_console()
        for name, weighted in found.items():
            show_weighted(name, weighted, stdout)
    if asked.strict and not all(w.good_enough for w in found.values()):
        sys.exit(1)


def weighted_files(found: "Mapping[str, Reweighted]") -> dict[str, bytes]:
    """Each as JSON, by the name of its file."""
    written = {name: json.dumps(w.as_dict(), indent=1) + "\n" for name, w in found.items()}
    return {f"{file_name(name)}-reweighted.json": text.encode() for name, text in written.items()}


def show_weighted(name: str, found: "Reweighted", stdout: Console) -> None:
    from rich.markup import escape

    columns = ["mean", "sd", "exact mean", "exact sd", "shift (sd)"]
    table = empty_table(f"Reweighted to the exact posterior, {name}", ["parameter"], columns)
    summary = found.summary()
    largest = summary["shift"].abs().sort_values(ascending=False).index[:_ROWS]
    for label, row in summary.loc[largest].iterrows():
        values = [f"{row[c]:.3f}" for c in ("mean", "sd", "exact_mean", "exact_sd")]
        table.add_row(escape(str(label)), *values, f"{row['shift']:+.3f} ± {row['shift_error']:.3f}")
    stdout.print(table)
    if len(summary) > _ROWS:
        say(stdout, f"… and {len(summary) - _ROWS} more with a smaller shift")
    say(stdout, f"{name}: {found.verdict}\n")
