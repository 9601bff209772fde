"""`bayescal doctor`: is a results folder whole?"""

import sys
from pathlib import Path

from bayescal.cli.show import print_json, say, stdout_console
from bayescal.plain import listed
from bayescal.results.checkpoints import fault_of, find_checkpoints
from bayescal.results.doctor import examine
from bayescal.results.manifest import Run


def examine_folder(folder: str, as_json: bool) -> None:
    found = examine(Path(folder), {path.name: fault_of(path) for path in find_checkpoints(Path(folder))})
    if as_json:
        print_json(found.as_dict() | {"healthy": found.healthy})
    else:
        stdout = stdout_console()
        for run in found.runs:
            say(stdout, _words(run))
        for sentence in found.notes:
            say(stdout, f"note: {sentence}")
        for sentence in found.wrong:
            say(stdout, f"wrong: {sentence}")
        if found.healthy:
            say(stdout, f"{folder} is whole: {sum(len(r.files) for r in found.runs)} files as they were written.")
    if not found.healthy:
        sys.exit(1)


def _words(run: Run) -> str:
    """Who wrote what, in a sentence."""
    packages = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    seeds = "" if not run.seeds else f", seed {listed([str(s) for s in run.seeds])}"
    devices = "" if run.devices is None else f", {run.devices} device{'s'[: run.devices > 1]}"
    made = f"{run.written}{seeds}, {run.cores} core{'s'[: run.cores > 1]}{devices}, {run.platform}, {packages}"
    return (
        f"{listed(sorted(run.files, key=lambda name: ('/' in name, name)), 6)}: by `{run.command or run.kind}` ({made})"
    )
