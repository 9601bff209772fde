"""Write a report: all of its files or none."""

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from matplotlib import rc_context, rcdefaults, rcParams

from bayescal.comparison.compare import Comparison
from bayescal.diagnostics.check import Checks
from bayescal.errors import InputError
from bayescal.files import whole_file
from bayescal.posterior.fit import Fit
from bayescal.reading import read_json
from bayescal.report.numbers import FitFacts, Numbers, StudyFacts
from bayescal.report.page import render
from bayescal.report.pictures import draw_all
from bayescal.report.verdict import compared, findings, main_fit, people_fit, pooled_fit, warnings
from bayescal.study.load import Study

_FIGURE = re.compile(r"[a-z-]+\.(svg|png)")


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
    """Write report.html, report.json and figures/ into a folder; returns the path of report.html.

    Args:
        study: None where it cannot be found; the report then has fewer facts of the data.
        fits: of the study's decisions, by name.
        command: that makes this report again.
        comparison: of these fits, from `bayescal.comparison.compare`; the verdict then comes from it.
        checks: by the name of the fit, from `bayescal.diagnostics.check`.
        remarks: sentences to show below the verdict.

    Raises:
        InputError: the folder cannot be written to; its contents are unchanged.

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
    facts = StudyFacts.of(study, fits)
    with rc_context():
        rcdefaults()  # a matplotlibrc in the working folder may be of somebody else, and can start LaTeX
        rcParams["text.parse_math"] = False  # a dollar in a label is a dollar
        pictures = draw_all(study, fits, main, people, comparison, checks, facts.units)
    verdict = [] if comparison is None else compared(comparison.conclusion.sentences)
    numbers = Numbers(
        study=facts,
        command=command,
        fits={name: FitFacts.of(fit) for name, fit in fits.items()},
        main=main,
        comparison=None if comparison is None else comparison.as_dict(),
        checks={name: found.as_dict() for name, found in checks.items()},
        verdict=verdict + findings(fits, main, facts.units, () if study is None else study.parameters),
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
    before = _figures_of(folder / "report.json")
    _write(folder, contents)
    for name in before - set(numbers.figures):  # only figures that an earlier report has left there
        (folder / "figures" / name).unlink(missing_ok=True)
    return folder / "report.html"


def _refuse_unwritable(folder: Path) -> None:
    """Refuse before the work, not after it."""
    if (folder / "figures").is_symlink():
        raise InputError(f"{folder / 'figures'} is a link, and nothing is written through it; choose another folder.")
    there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"{folder}: the report cannot be written to {there}; choose another folder.")


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """All of the files or none: each is written under another name, and all are then renamed, the page last."""
    if taken := [name for name in contents if (folder / name).is_dir()]:
        raise InputError(
            f"{folder}: {', '.join(taken)} is a folder, and a file is needed there; choose another folder."
        )
    try:
        with contextlib.ExitStack() as stack:
            for name, content in contents.items():
                stack.enter_context(whole_file(folder / name)).write_bytes(content)
    except OSError as error:
        raise InputError(f"{folder}: the report cannot be written ({error.strerror}); choose another folder.") from None


def _figures_of(path: Path) -> set[str]:
    """The figures of an earlier report."""
    try:
        content = read_json(path, "its figures are kept")
    except InputError:
        return set()
    names = content.get("figures") if isinstance(content, dict) else None
    return {n for n in names if isinstance(n, str) and _FIGURE.fullmatch(n)} if isinstance(names, list) else set()
