"""`bayescal calibrate --reweight`: is the network good enough for these decisions?"""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from bayescal.cli.saved import file_name
from bayescal.cli.show import empty_table, say
from bayescal.errors import InputError
from bayescal.files import write_atomically

_ROWS = 20


def models_to_weight(study: Any, policy: Any, method: str) -> dict[str, Any]:
    """The study's models, each with an exact twin: refused before the long work, not after it."""
    if method == "mle":
        raise InputError("--reweight weights draws, and --method mle has none: leave out one of the two.")
    from bayescal.diagnostics.reweight import exact_twin
    from bayescal.model.standard import standard_models

    models = standard_models(study, policy=policy)
    for model in models.values():
        exact_twin(model.spec.policy)
    return models


def weigh(models: dict[str, Any], fits: dict[str, Any], folder: Path, console: Console) -> dict[str, Any]:
    """By fit; each is also written into the folder, as JSON."""
    from bayescal.diagnostics.reweight import reweight

    found = {}
    for name, model in models.items():
        with console.status(f"Weighting the draws of {name} to the exact posterior"):
            found[name] = reweight(fits[name], model)
        written = json.dumps(found[name].as_dict(), indent=1) + "\n"
        write_atomically(folder / f"{file_name(name)}-reweighted.json", written.encode())
    return found


def show_weighted(name: str, found: Any, stdout: Console) -> None:
    from rich.markup import escape

    columns = ["mean", "sd", "exact mean", "exact sd", "moves by (sd)"]
    table = empty_table(f"As exact as can be told, {name}", ["parameter"], columns)
    summary = found.summary()
    largest = summary["shift"].abs().sort_values(ascending=False).index[:_ROWS]
    for label, row in summary.loc[largest].iterrows():
        values = [f"{row[c]:.3f}" for c in ("mean", "sd", "exact_mean", "exact_sd")]
        table.add_row(escape(str(label)), *values, f"{row['shift']:+.3f} ± {row['shift_error']:.3f}")
    stdout.print(table)
    if len(summary) > _ROWS:
        say(stdout, f"… and {len(summary) - _ROWS} more that move less")
    say(stdout, f"{name}: {found.verdict}\n")
