"""Checkpoints in a results folder: whether a run can go on from them, without loading what they are of."""

import json
from pathlib import Path
from zipfile import BadZipFile

from bayescal.versions import versions

PATTERN = ".*.checkpoint"  # of NUTS, one for each fit
TRAINING = "checkpoint.safetensors"
CERTIFYING = "certificate.checkpoint.json"


def find_checkpoints(folder: Path) -> list[Path]:
    return [*sorted(folder.glob(PATTERN)), *folder.glob(TRAINING), *folder.glob(CERTIFYING)]


def fault_of(path: Path) -> str | None:
    """Why no run can go on from a checkpoint; None if one can."""
    try:
        read = {TRAINING: _training, CERTIFYING: _certifying}.get(path.name, _sampling)
        theirs = read(path)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, RecursionError):
        return "it cannot be read"
    ours = versions()
    other = [f"{n} {number}, now {ours[n]}" for n, number in theirs.items() if n in ours and ours[n] != number]
    return f"it was written with {', '.join(other)}" if other else None


def _sampling(path: Path) -> dict[str, str]:
    """Facts of a NUTS checkpoint."""
    import numpy as np

    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return dict(json.loads(str(arrays["head"]))["facts"])


def _training(path: Path) -> dict[str, str]:
    """Nothing that depends on versions; raises what is wrong."""
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    json.loads(header.pop("__metadata__")["bayescal"])
    if len(raw) != 8 + size + max(tensor["data_offsets"][1] for tensor in header.values()):
        raise ValueError
    return {}


def _certifying(path: Path) -> dict[str, str]:
    """Nothing that depends on versions; raises what is wrong."""
    found = json.loads(path.read_bytes())
    if not isinstance(found["cells"], list):
        raise ValueError
    return {}
