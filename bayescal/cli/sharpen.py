"""`bayescal calibrate --sharpen`: fit again with a policy that is better where the posterior is; show the shifts."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from bayescal.cli.saved import file_name
from bayescal.cli.show import empty_table, say
from bayescal.errors import InputError

if TYPE_CHECKING:
    from bayescal.diagnostics.sharpen import Sharpening
    from bayescal.model.build import Model
    from bayescal.policies.base import Policy
    from bayescal.posterior.assemble import Method
    from bayescal.posterior.fit import Fit
    from bayescal.study import Study
    from bayescal.training.train import Report

_ROWS = 20
_EVERY = 30.0  # seconds


def models_to_sharpen(study: "Study", policy: "Policy | None", method: str) -> "dict[str, Model]":
    """The study's models, each on a policy that can be sharpened; if not, an InputError before the long work."""
    if method == "mle":
        raise InputError("--sharpen compares posteriors, and --method mle has none: leave out one of the two.")
    from bayescal.diagnostics.sharpen import check_sharpenable
    from bayescal.model.standard import standard_models

    models = standard_models(study, policy=policy)
    for model in models.values():
        check_sharpenable(model.spec.policy)
    return models


def sharpen_all(
    models: "Mapping[str, Model]", fits: "Mapping[str, Fit]", method: "Method", console: Console
) -> "dict[str, Sharpening]":
    """Each model fitted again with the sharpened policy, with the same settings."""
    from bayescal.diagnostics.sharpen import STEPS, sharpen
    from bayescal.policies.staged import StagedPolicy

    found = {}
    for name, model in models.items():
        if isinstance(model.spec.policy, StagedPolicy):
            say(console, f"Training the policy where the posterior of {name} is: {STEPS:,} steps, which take minutes.")
        with console.status(f"Fitting {name} again with the sharpened policy"):
            found[name] = sharpen(fits[name], model, method, progress=_Steps(console))
    return found


class _Steps:
    """A line for each half minute of training."""

    def __init__(self, console: Console):
        self.console, self.said = console, 0.0

    def __call__(self, report: "Report", peek: object) -> None:
        if report.seconds - self.said > _EVERY:
            self.said = report.seconds
            left = report.seconds * (report.steps - report.step) / report.step
            say(self.console, f"{report.step} of {report.steps} steps, about {left:.0f} s left")


def sharpened_name(name: str) -> str:
    """The name of the second fit."""
    return f"{name} sharpened"


def sharpened_files(found: "Mapping[str, Sharpening]") -> dict[str, bytes]:
    """Each comparison as JSON, by the name of its file."""
    written = {name: json.dumps(s.as_dict(), indent=1) + "\n" for name, s in found.items()}
    return {f"{file_name(sharpened_name(name))}.json": text.encode() for name, text in written.items()}


def show_sharpened(name: str, found: "Sharpening", stdout: Console) -> None:
    from rich.markup import escape

    columns = ["mean", "sd", "sharpened mean", "sharpened sd", "shift (sd)"]
    table = empty_table(f"Fitted again with the sharpened policy, {name}", ["parameter"], columns)
    # Parameters of all people first, then those of single people, each from the largest shift down.
    single = ["[" in str(label) for label in found.table.index]
    ranked = found.table.assign(single=single, size=found.table["shift"].abs())
    order = ranked.sort_values(["single", "size"], ascending=[True, False]).index[:_ROWS]
    for label, row in found.table.loc[order].iterrows():
        values = [f"{row[c]:.3f}" for c in ("mean", "sd", "sharpened_mean", "sharpened_sd")]
        table.add_row(escape(str(label)), *values, f"{row['shift']:+.3f} ± {row['shift_error']:.3f}")
    stdout.print(table)
    if len(found.table) > _ROWS:
        say(
            stdout,
            f"… and {len(found.table) - _ROWS} more, each with a smaller shift than those of single people above",
        )
    say(stdout, f"{name}: {found.verdict}\n")
