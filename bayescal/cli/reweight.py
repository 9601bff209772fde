"""`bayescal calibrate --reweight`: is a learned policy accurate enough for these decisions?"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from bayescal.cli.saved import file_name
from bayescal.cli.show import empty_table, say
from bayescal.errors import InputError

if TYPE_CHECKING:
    from bayescal.diagnostics.reweight import Reweighted
    from bayescal.model.build import Model
    from bayescal.policies.base import Policy
    from bayescal.posterior.fit import Fit
    from bayescal.study import Study

_ROWS = 20


def models_to_weight(study: "Study", policy: "Policy | None", method: str) -> "dict[str, Model]":
    """The study's models, each of which can be solved exactly; if not, an InputError before the long work."""
    if method == "mle":
        raise InputError("--reweight reweights draws, and --method mle has none: leave out one of the two.")
    from bayescal.diagnostics.reweight import exact_twin
    from bayescal.model.standard import standard_models

    models = standard_models(study, policy=policy)
    for model in models.values():
        exact_twin(model.spec.policy)
    return models


def weigh(models: "Mapping[str, Model]", fits: "Mapping[str, Fit]", console: Console) -> "dict[str, Reweighted]":
    """The draws of each fit, reweighted to the exact posterior."""
    from bayescal.diagnostics.reweight import reweight

    found = {}
    for name, model in models.items():
        with console.status(f"Reweighting the draws of {name} to the exact posterior"):
            found[name] = reweight(fits[name], model)
    return found


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
