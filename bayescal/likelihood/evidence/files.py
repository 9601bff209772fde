"""An evidence as one file: arrays, with everything else in its header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_tensors

from bayescal._types import AnyArray
from bayescal.errors import InputError
from bayescal.files import write_atomically
from bayescal.reading import TABLE_BYTES, parse_json, refuse_larger

FORMAT = 1
ARRAYS = ("log_cost", "level", "U", "V")


def write(path: Path, arrays: Mapping[str, AnyArray], facts: Mapping[str, Any]) -> Path:
    """Write a file; it appears whole or not at all."""
    header = {"evidence": json.dumps({"format": FORMAT, **facts})}
    write_atomically(path, to_tensors({n: np.ascontiguousarray(x) for n, x in arrays.items()}, metadata=header))
    return path


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, facts) of a file.

    Raises:
        InputError: the file does not exist, or is not a saved evidence of this version.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; evidence is saved by `evidence.save(path)`.")
    refuse_larger(path.stat().st_size, TABLE_BYTES, str(path))
    try:
        with safe_open(path, framework="np") as opened:
            text = (opened.metadata() or {})["evidence"]
            facts = parse_json(text, str(path), "build the evidence again", finite=False)
            if facts.pop("format") != FORMAT:
                raise InputError(f"{path} was saved by another version of bayescal: build the evidence again.")
            return {n: opened.get_tensor(n) for n in ARRAYS}, facts
    except (SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise not_evidence(path, error) from None


def not_evidence(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is not evidence saved by bayescal, or is cut short ({error}): build it again.")
