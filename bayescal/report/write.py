"""Put a report together and write it: whole files or none."""

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from bayescal.environments.base import shape_key
from bayescal.errors import InputError
from bayescal.files import whole_file
from bayescal.policies.rational import RationalPolicy
from bayescal.posterior.fit import Fit
from bayescal.report import check_figures, figures, formulas, rival_figures, tables, words
from bayescal.report.numbers import collect
from bayescal.report.picture import Picture, draw
from bayescal.report.priors import prior_picture
from bayescal.report.verdict import compared, findings, main_fit, people_fit, pooled_fit, tally, warnings
from bayescal.study.load import Study


def write_report(
    study: Study | None,
    fits: Mapping[str, Fit],
    folder: str | Path,
    *,
    command: str = "",
    comparison: Any = None,
    checks: Mapping[str, Any] | None = None,
    remarks: tuple[str, ...] = (),
) -> Path:
    """Write report.html, report.json and figures/ into a folder; returns the path of report.html.

    Args:
        study: None where it cannot be found; the report then says less of the data.
        fits: of the study's decisions, by name.
        command: that makes this report again.
        comparison: of these fits, as `bayescal.comparison.compare` makes it; it is then the verdict.
        checks: by the name of the fit, as `bayescal.diagnostics.check` makes them.
        remarks: sentences that belong below the verdict.

    Raises:
        InputError: the folder cannot be written to; what was in it is as it was.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> import tempfile
        >>> fits = {"pooled": bc.infer(model, bc.Grid(draws=100))}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     bc.write_report(study, fits, folder).name
        'report.html'
    """
    folder, fits, checks = Path(folder), dict(fits), dict(checks or {})
    if not fits:
        raise InputError("A report needs at least one fit.")
    _refuse_unwritable(folder)
    main = main_fit(fits, comparison)
    people = people_fit(fits, main)
    numbers = collect(study, fits, command)
    numbers |= {
        "main": main,
        "comparison": None if comparison is None else comparison.as_dict(),
        "checks": {name: found.as_dict() for name, found in checks.items()},
    }
    units = numbers["study"]["units"]
    pictures, who = _pictures(study, fits, main, people, comparison, checks, units)
    numbers["verdict"] = [] if comparison is None else compared(comparison.verdict)
    numbers["verdict"] += findings(fits, main, units, () if study is None else study.parameters)
    numbers["warnings"] = [*remarks, *warnings(fits, checks, comparison)]
    numbers["figures"] = sorted(f"{name}.{kind}" for name in pictures for kind in ("svg", "png"))
    page = _page(numbers, pictures, main, people, comparison, checks, who, pooled_fit(fits) is not None)
    contents: dict[str, bytes] = {
        "report.html": page.encode(),
        "report.json": json.dumps(numbers, indent=1, allow_nan=False).encode(),
    }
    for name, picture in pictures.items():
        contents |= {f"figures/{name}.svg": picture.svg, f"figures/{name}.png": picture.png}
    before = _figures_of(folder / "report.json")
    _write(folder, contents)
    for name in before - set(numbers["figures"]):  # of a report that was there, and only those
        (folder / "figures" / name).unlink(missing_ok=True)
    return folder / "report.html"


def _refuse_unwritable(folder: Path) -> None:
    """Before the work, not after it."""
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"{folder}: the report cannot be written to {there}; choose another folder.")


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """All of the files or none: each is written under another name, and all are then renamed, the page last."""
    taken = [name for name in contents if (folder / name).is_dir()]
    if taken:
        raise InputError(f"{folder}: {', '.join(taken)} is a folder where a file is to be; choose another folder.")
    try:
        with contextlib.ExitStack() as stack:
            for name, content in contents.items():
                stack.enter_context(whole_file(folder / name)).write_bytes(content)
    except OSError as error:
        raise InputError(f"{folder}: the report cannot be written ({error.strerror}); choose another folder.") from None


def _figures_of(path: Path) -> set[str]:
    """The figures of the report that is there."""
    try:
        found = json.loads(path.read_text()).get("figures", [])
    except (OSError, ValueError, AttributeError):
        return set()
    return {name for name in found if isinstance(name, str) and Path(name).name == name}


def _pictures(
    study: Study | None,
    fits: Mapping[str, Fit],
    main: str,
    people: str | None,
    comparison: Any,
    checks: Mapping[str, Any],
    units: str,
) -> tuple[dict[str, Picture], str]:
    """The figures that can be drawn, and what the one about units says in words."""
    drawn: dict[str, tuple[Figure | None, str]] = {}
    who = ""
    if comparison is not None:
        drawn["advantages"] = (
            rival_figures.advantages(comparison),
            f"How far models are behind the best. {comparison.verdict}",
        )
        if (found := rival_figures.who_says_so(comparison)) is not None:
            picture, who = found
            drawn["who"] = (picture, f"By how much each is better predicted. {who}")
        drawn["calibration"] = (
            rival_figures.calibration(comparison),
            "Shares of actions taken by the probability given.",
        )
    if people is not None:
        pooled = pooled_fit(fits)
        drawn["population"] = (
            figures.population_of_costs(fits[people], units),
            "The density of costs in the population.",
        )
        drawn["cost"] = (
            figures.cost_forest(fits[people], fits[pooled] if pooled else None, units),
            "The cost of each with 90% intervals; the numbers are in the table below.",
        )
    if main in checks:
        table = tables.predictive(checks[main])
        drawn["predictive"] = (
            check_figures.predictive(table) if len(table) else None,
            "Statistics of the data beside those of replications; the numbers are in the table below.",
        )
        drawn["pit"] = (check_figures.pit(checks[main].pit), "The ECDF of the PIT less the uniform's, with its band.")
    drawn["choices"] = (_choices(study, fits[main]), "What was chosen, beside what the fitted model predicts.")
    drawn["beliefs"] = (
        prior_picture(fits[main], units=units),
        "Numbers of the model before and after the data, and choices as the assumptions alone expect them.",
    )
    return {name: draw(name, fig, alt) for name, (fig, alt) in drawn.items() if fig is not None}, who


def _choices(study: Study | None, fit: Fit) -> Figure | None:
    """What people did beside what was predicted of them."""
    if "choices" in fit.tree["observed_data"]:
        people = "cell_participant" in fit.tree["constant_data"]  # whose cells are not those of the decisions
        nash = None if people or study is None else rational_play(study)
        return figures.observed_and_predicted(fit, nash)
    if study is None or "choice" not in fit.tree["observed_data"]:
        return None
    environment = next(iter(study.decisions.environments.values()))
    values, labels = np.asarray(environment.action_values[0]), environment.action_labels[0]
    return figures.play_and_predicted(fit, values, labels, environment.ordered)


def rational_play(study: Study) -> np.ndarray | None:
    """Each cell's strategy at a cost near zero (a Nash equilibrium), or None where one is not found."""
    decisions = study.decisions
    first: dict[Any, Any] = {}  # games of one shape are solved by one compiled solver
    rows = []
    for game in decisions.environments.values():
        nash = RationalPolicy(first.setdefault(shape_key(game), game))
        rows.append(np.asarray(nash.probabilities(game.params)))
    out = np.full(decisions.counts.shape, np.nan)
    for cell, (g, r) in enumerate(zip(decisions.cells["game_index"], decisions.cells["role_index"], strict=True)):
        out[cell, : rows[g].shape[1]] = rows[g][r]
    return None if np.isnan(out[decisions.mask]).any() else out


def _page(
    numbers: dict[str, Any],
    pictures: Mapping[str, Picture],
    main: str,
    people: str | None,
    comparison: Any,
    checks: Mapping[str, Any],
    who: str,
    pooled: bool,
) -> str:
    script = _text("script.js")
    study = numbers["study"]
    provenance = {name: fit["provenance"] for name, fit in numbers["fits"].items()}
    contents = {"comparison": "Which wins", "people": "Costs", "predictions": "Predictions", "checks": "Checks"}
    contents |= {"data": "Data", "models": "Models", "reproduce": "Reproduce", "words": "Words"}
    given: dict[str, Any] = {
        "numbers": numbers,
        "pictures": pictures,
        "main": main,
        "verdict": numbers["verdict"],
        "warnings": numbers["warnings"],
        "trusted": comparison is not None or numbers["fits"][main]["converged"],
        "tally": tally(checks, main),
        "question": words.question(study["decisions"], compared=comparison is not None),
        "contents": [(k, v) for k, v in contents.items() if k != "comparison" or comparison is not None],
        "people": None if people is None else tables.people(numbers["fits"][people], people),
        "pooled": pooled,
        "checks": {name: tables.checks(found) for name, found in checks.items()},
        "predictive": tables.predictive(checks[main]).to_dict("records") if main in checks else [],
        "facts": tables.facts(study),
        "models": [words.explained(name, p) for name, p in provenance.items()],
        "aim": formulas.AIM,
        "choice": formulas.CHOICE[study["over_time"]],
        "settings": {name: tables.settings(p) for name, p in provenance.items()},
        "versions": tables.versions(provenance),
        "glossary": words.glossary(study["units"], compared=comparison is not None),
        "style": Markup(_text("style.css")),
        "script": Markup(script),
        # Nothing but this script may run, and nothing at all may be loaded.
        "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode(),
        "comparison": None,
    }
    if comparison is not None:
        given |= {"comparison": numbers["comparison"], "who": who} | tables.comparison(comparison)
    return _environment().get_template("report.html").render(given)


def _text(name: str) -> str:
    return files("bayescal.report").joinpath("templates", name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    env = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    env.filters |= {"num": tables.number, "sig": tables.significant}
    return env
