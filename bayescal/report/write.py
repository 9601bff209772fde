"""A report: all of its files are written, or none."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib import rc_context, rcdefaults, rcParams

from bayescal.comparison.compare import Comparison
from bayescal.diagnostics.check import Checks
from bayescal.errors import InputError
from bayescal.posterior.fit import Fit
from bayescal.report.numbers import FitFacts, Numbers, StudyFacts
from bayescal.report.page import render
from bayescal.report.pictures import draw_all
from bayescal.report.verdict import compared, findings, main_fit, people_fit, pooled_fit, reserve, warnings
from bayescal.results import Kind, Run, holding
from bayescal.study.load import Study


def write_report(
    study: Study | None,
    fits: Mapping[str, Fit],
    folder: str | Path,
    *,
    command: str = "",
    comparison: Comparison | None = None,
    checks: Mapping[str, Checks] | None = None,
    remarks: tuple[str, ...] = (),
) -> Path:
    """Write report.html, report.json and figures/ into a folder, in one step; returns the path of report.html.

    Other files in the folder stay, but for those of an earlier report.

    Args:
        study: None where it cannot be found; the report then has fewer facts of the data.
        fits: of the study's decisions, by name.
        command: that makes this report again.
        comparison: of these fits, from `bayescal.comparison.compare`; the verdict then comes from it.
        checks: by the name of the fit, from `bayescal.diagnostics.check`.
        remarks: sentences to show below the verdict.

    Raises:
        InputError: the folder cannot be written to, or another run writes there; its contents are unchanged.

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
    run = run_of_report(study, fits, command)
    with holding(Path(folder), run.kind, run.study, command=command) as held:
        held.commit(
            run,
            report_files(study, fits, command=command, comparison=comparison, checks=checks, remarks=remarks).items(),
        )
    return Path(folder) / "report.html"


def report_files(
    study: Study | None,
    fits: Mapping[str, Fit],
    *,
    command: str = "",
    comparison: Comparison | None = None,
    checks: Mapping[str, Checks] | None = None,
    remarks: tuple[str, ...] = (),
) -> dict[str, bytes]:
    """The files of a report by name; the arguments are those of `write_report`."""
    fits, checks = dict(fits), dict(checks or {})
    if not fits:
        raise InputError("A report needs at least one fit.")
    main = main_fit(fits, comparison)
    people = people_fit(fits, main)
    facts = StudyFacts.of(study, fits)
    with rc_context():
        rcdefaults()  # a matplotlibrc in the working folder may be of somebody else, and can start LaTeX
        rcParams["text.parse_math"] = False  # a dollar in a label is a dollar
        pictures = draw_all(study, fits, main, people, comparison, checks, facts.units)
    verdict = [] if comparison is None else reserve(compared(comparison.conclusion.sentences), main, checks)
    numbers = Numbers(
        study=facts,
        command=command,
        fits={name: FitFacts.of(fit) for name, fit in fits.items()},
        main=main,
        comparison=None if comparison is None else comparison.as_dict(),
        checks={name: found.as_dict() for name, found in checks.items()},
        verdict=verdict + findings(fits, main, facts.units, () if study is None else study.parameters, checks),
        warnings=[*remarks, *warnings(fits, checks, comparison)],
        figures=sorted(f"{name}.{kind}" for name in pictures.by_name for kind in ("svg", "png")),
    )
    page = render(numbers, pictures, people, pooled_fit(fits) is not None, comparison, checks)
    contents: dict[str, bytes] = {
        "report.html": page.encode(),
        "report.json": json.dumps(numbers.as_dict(), indent=1, allow_nan=False).encode(),
    }
    for name, picture in pictures.by_name.items():
        contents |= {f"figures/{name}.svg": picture.svg, f"figures/{name}.png": picture.png}
    return contents


def run_of_report(study: Study | None, fits: Mapping[str, Fit], command: str) -> Run:
    """What a manifest says of a report."""
    seeds = sorted({int(fit.provenance["seed"]) for fit in fits.values() if "seed" in fit.provenance})
    return Run(Kind.REPORT, command, "" if study is None else study.name, tuple(seeds), data_of(fits))


def data_of(fits: Mapping[str, Fit]) -> str | None:
    """sha256 of the decisions that the fits were made from; None if they do not say, or differ."""
    found = {fit.provenance.get("data_hash") for fit in fits.values()}
    return found.pop() if len(found) == 1 else None
