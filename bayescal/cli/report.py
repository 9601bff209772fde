"""`bayescal report`: a report of saved fits."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bayescal.cli.show import print_json, say, stdout_console
from bayescal.results import Kind, holding


def report_fits(paths: Sequence[str], *, out: str | None, trust: bool, as_json: bool) -> None:
    console = Console(stderr=True)
    with console.status("Reading"):
        from bayescal.cli.saved import comparison_of, load_fits, study_of
        from bayescal.report.write import report_files, run_of_report

        fits = load_fits(paths)
        study, missing = study_of(fits, trust=trust)
    if missing:
        say(console, missing)
    comparison, folder = None, Path(out) if out else Path(paths[0]).parent
    command = f"bayescal report {shlex.join(paths)}"
    before = {fit.provenance.get("command", "") for fit in fits.values()} - {""}
    with holding(folder, Kind.REPORT, "", command=command) as held:
        if len(fits) > 1:
            with console.status("Comparing"):
                from bayescal.comparison import compare

                comparison, path = comparison_of(paths, fits)
                if comparison is None:
                    comparison = compare(fits, decisions=None if study is None else study.decisions)
                else:
                    command += f"  # with the comparison of these fits in {path}"
        with console.status("Checking"):
            from bayescal.diagnostics import check

            checks = {name: check(fit, study=study) for name, fit in fits.items()}
        with console.status("Writing the report"):
            page = report_files(
                study,
                fits,
                command="\n".join([*sorted(before), command]),
                comparison=comparison,
                checks=checks,
                remarks=(missing,) if missing else (),
            )
            held.commit(run_of_report(study, fits, command), page.items())
    written = folder / "report.html"
    if as_json:
        facts = {"report": str(written), "study_found": study is not None}
        facts |= {} if comparison is None else {"verdict": comparison.verdict}
        print_json(facts | {"checks": {name: found.status for name, found in checks.items()}})
        return
    stdout = stdout_console()
    if comparison is not None:
        say(stdout, comparison.verdict)
    for name, found in checks.items():
        say(stdout, f"{name}: {found.status}")
    say(stdout, f"Report: {written}")
