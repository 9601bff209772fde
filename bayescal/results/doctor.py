"""What is wrong with a results folder."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bayescal.errors import InputError
from bayescal.files import temporaries
from bayescal.owner import State
from bayescal.plain import listed
from bayescal.results.commit import JOURNAL
from bayescal.results.lock import LOCK, holder
from bayescal.results.manifest import MANIFEST, Manifest, Run, faults

# Temporary files of version 0.1: .NAME.SUFFIX.random.SUFFIX, and folders .NAME.random with "new" or "old" inside.
_EARLIER = re.compile(r"\.(.+)\.[a-z0-9_]{8}(\.\w+)?")


@dataclass(frozen=True)
class Diagnosis:
    """What is in a results folder.

    Attributes:
        wrong: sentences; none if nothing is wrong.
        notes: what is worth knowing and not wrong.
        runs: which run wrote what.
    """

    folder: Path
    wrong: tuple[str, ...]
    notes: tuple[str, ...]
    runs: tuple[Run, ...]

    @property
    def healthy(self) -> bool:
        return not self.wrong

    def as_dict(self) -> dict[str, object]:
        runs = [{**vars(r), "files": {name: vars(e) for name, e in r.files.items()}} for r in self.runs]
        return {"folder": str(self.folder), "wrong": list(self.wrong), "notes": list(self.notes), "runs": runs}


def examine(folder: Path, checkpoints: Mapping[str, str | None]) -> Diagnosis:
    """Compare a folder with its manifest, and look for what killed runs have left.

    Args:
        checkpoints: names of the checkpoints in the folder, each with the reason why no run can go on from it, or None.

    Raises:
        InputError: there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give the one that a command wrote to (--out).")
    wrong, notes = [], []
    manifest = None
    try:
        manifest = Manifest.read(folder)
        if manifest is None:
            wrong.append(
                f"there is no {MANIFEST}: no run has ended here, or it was one of bayescal 0.1.0 or earlier; nothing "
                "can be verified"
            )
    except InputError as error:
        wrong.append(str(error))
    runs = () if manifest is None else manifest.runs
    files = {} if manifest is None else manifest.files
    wrong += faults(folder, files.items())
    for place, where in ((folder, ""), (folder.resolve().parent, "beside the folder, ")):
        _strays(place, where, wrong, notes)
    if (folder / JOURNAL).is_dir():
        wrong.append(f"{JOURNAL} is a finished run that was killed while it put its files in place: the next run here "
                     "does the rest, and so does reading the fits")  # fmt: skip
    running = _lock(folder, wrong, notes)
    for name, fault in checkpoints.items():
        written = files and (folder / name).stat().st_mtime < (folder / MANIFEST).stat().st_mtime
        if fault is None and written and not running:
            fault = "it is older than the results"
        if fault is None:
            notes.append(f"{name} is the checkpoint of a run that was interrupted, or still runs")
        else:
            wrong.append(f"{name} is a stale checkpoint ({fault}): delete it")
    others = _others(folder, {*files, *checkpoints, MANIFEST, LOCK})
    if others and manifest is not None:
        notes.append(f"not written by bayescal, and left alone: {listed(others)}")
    return Diagnosis(folder, tuple(wrong), tuple(notes), runs)


def _strays(place: Path, where: str, wrong: list[str], notes: list[str]) -> None:
    for path, owner in temporaries(place).items():
        if owner.state is State.ENDED:
            wrong.append(f"{where}{path.name} was left by a run that was killed: the next run here removes it")
        elif owner.state is State.RUNS:
            notes.append(f"{where}{path.name} belongs to process {owner.pid}, which runs")
        else:
            wrong.append(f"{where}{path.name} was left by a run on another machine: delete it if that run has ended")
    if where:
        return
    earlier = [path.name for path in sorted(place.iterdir()) if _is_earlier(path)]
    wrong += [f"{name} was left by a run of bayescal 0.1.0 that was killed: delete it" for name in earlier]


def _is_earlier(path: Path) -> bool:
    found = _EARLIER.fullmatch(path.name)
    if found is None:
        return False
    if path.is_dir():
        return found[2] is None and {p.name for p in path.iterdir()} <= {"new", "old"}
    return found[2] is not None and found[1].endswith(found[2])


def _lock(folder: Path, wrong: list[str], notes: list[str]) -> bool:
    """Whether a run writes there now."""
    if not (folder / LOCK).exists():
        return False
    other = holder(folder)
    if other is not None and other.state is State.RUNS:
        notes.append(f"a run writes there now ({other})")
        return True
    if other is not None and other.state is State.UNKNOWN:
        notes.append(f"a run on another machine may write there now ({other})")
        return True
    by = "" if other is None else f" ({other})"
    wrong.append(f"{LOCK} was left by a run that was killed{by}: the next run here removes it")
    return False


def _others(folder: Path, ours: set[str]) -> list[str]:
    """Files that no manifest lists; a folder of them only by its name."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            if not any(name.startswith(f"{path.name}/") for name in ours) and not path.name.startswith(".bayescal"):
                found.append(f"{path.name}/")
        elif path.name not in ours and not path.name.startswith(".bayescal") and not _is_earlier(path):
            found.append(path.name)
    return found
