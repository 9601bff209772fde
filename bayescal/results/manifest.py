"""manifest.json of a results folder: which run wrote which files, from what, and with which versions."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from bayescal import schema
from bayescal._types import Facts
from bayescal.errors import InputError
from bayescal.reading import read_json
from bayescal.versions import versions

MANIFEST = "manifest.json"
FORMAT = 1


class Kind(StrEnum):
    """The command that wrote."""

    CALIBRATE = "calibrate"
    COMPARE = "compare"
    CHECK = "check"
    TRAIN = "train"
    CERTIFY = "certify"
    REPORT = "report"
    COMPARE_FITS = "compare fits"


# These make all of a folder; the others add to what is there.
WHOLE = frozenset({Kind.CALIBRATE, Kind.COMPARE, Kind.CHECK, Kind.TRAIN})


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _devices() -> int | None:
    """Devices that chains run on; None if nothing numeric has run."""
    jax = sys.modules.get("jax")
    return None if jax is None else int(jax.local_device_count())


@dataclass(frozen=True)
class Entry:
    """A file: its sum and its size."""

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> "Entry":
        return cls(hashlib.sha256(content).hexdigest(), len(content))


@dataclass(frozen=True)
class Run:
    """What one command wrote.

    Attributes:
        kind, command, study: which command, as it is typed, and what it was run on.
        seeds: of everything random.
        data: sha256 of the decisions; None if there are none.
        policies: by model, the sha256 of its policy.
        files: by name, with / between folders.
    """

    kind: Kind
    command: str
    study: str
    seeds: tuple[int, ...] = ()
    data: str | None = None
    policies: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)
    platform: str = field(default_factory=platform.platform)
    cores: int = field(default_factory=cores)
    devices: int | None = field(default_factory=_devices)
    written: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    files: Mapping[str, Entry] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """The runs that a results folder holds files of, oldest first."""

    runs: tuple[Run, ...] = ()

    @property
    def files(self) -> dict[str, Entry]:
        return {name: entry for run in self.runs for name, entry in run.files.items()}

    @property
    def whole(self) -> Run | None:
        """The run that made the folder."""
        return next((run for run in self.runs if run.kind in WHOLE), None)

    def after(self, run: Run) -> "Manifest":
        """The manifest once a run is done. One that makes the whole folder replaces everything; another one replaces
        what the same command had written, and the files that it writes."""
        if run.kind in WHOLE:
            return Manifest((run,))
        others = (r for r in self.runs if r.kind != run.kind)
        left = (replace(r, files={n: e for n, e in r.files.items() if n not in run.files}) for r in others)
        return Manifest((*(r for r in left if r.files), run))

    def encode(self) -> bytes:
        return (json.dumps({"format": FORMAT, "runs": [asdict(r) for r in self.runs]}, indent=1) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> "Manifest | None":
        """None if the folder has none.

        Raises:
            InputError: it is damaged, or of a later version.
        """
        path = folder / MANIFEST
        if not path.is_file():
            return None
        advice = "it is damaged or not a manifest of bayescal: delete it, or give another folder"
        facts = read_json(path, advice)
        schema.check(facts, schema.record({"format": schema.whole}, others=True), str(path), advice)
        if facts["format"] != FORMAT:
            raise InputError(
                f"{path} has format {facts['format']}, and this version of bayescal reads format {FORMAT}: upgrade "
                "bayescal."
            )
        schema.check(facts, _SHAPE, str(path), advice)
        return cls(tuple(_run(r) for r in facts["runs"]))


def _run(facts: Facts) -> Run:
    files = {name: Entry(**entry) for name, entry in facts["files"].items()}
    known: dict[str, Any] = {**facts, "kind": Kind(facts["kind"]), "seeds": tuple(facts["seeds"]), "files": files}
    return Run(**known)


def _inside(value: object, place: str) -> schema.Faults:
    """Names of files below the folder, each with its entry."""
    yield from schema.map_of(schema.record({"sha256": schema.sha256, "size": schema.count}))(value, place)
    for name in value if isinstance(value, Mapping) else ():
        if not is_inside(str(name)):
            yield f"{place} has {name!r}, which is not below the folder"


_RUN = schema.record(
    {
        "kind": schema.one_of([str(kind) for kind in Kind]),
        **dict.fromkeys(("command", "study", "platform", "written"), schema.text),
        "seeds": schema.list_of(schema.whole),
        "data": schema.maybe(schema.text),
        **dict.fromkeys(("policies", "versions"), schema.map_of(schema.text)),
        "cores": schema.count,
        "devices": schema.maybe(schema.count),
        "files": _inside,
    }
)
_SHAPE = schema.record({"format": schema.whole, "runs": schema.list_of(_RUN)})


def is_inside(name: str) -> bool:
    """Whether a name is that of a file below the folder."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def sum_of(path: Path) -> Entry:
    """The entry of a file as it is now."""
    return Entry.of(path.read_bytes())


def faults(folder: Path, files: Iterable[tuple[str, Entry]]) -> list[str]:
    """Of each file that is not as the manifest says: what is wrong."""
    found = []
    for name, entry in files:
        try:
            now = sum_of(folder / name)
        except FileNotFoundError:
            found.append(f"{name} is missing")
        except OSError as error:
            found.append(f"{name} cannot be read ({error.strerror or error})")
        else:
            if now != entry:
                found.append(f"{name} is not the file that was written: its sha256 differs")
    return found
