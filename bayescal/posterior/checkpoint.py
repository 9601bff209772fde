"""Checkpoints: the state of a sampler in one file, from which an interrupted run resumes. Written atomically."""

import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.infer.hmc import HMCState

from bayescal import schema
from bayescal._types import NumPyroModel
from bayescal.errors import InputError
from bayescal.evaluation.sites import Site
from bayescal.files import write_atomically
from bayescal.reading import TABLE_BYTES, parse_json, read_bytes, refuse_larger
from bayescal.versions import versions

Facts = dict[str, str]
AnyShape = jax.ShapeDtypeStruct | Array

_OURS = "bayescal checkpoint 1"
_HEAD = schema.record(
    {
        "what": schema.one_of((_OURS,)),
        "facts": schema.map_of(schema.text),
        "done": schema.count,
        "seconds": schema.number,
    }
)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run.

    Attributes:
        done: iterations so far, warm-up included.
        seconds: of sampling so far.
        state: the leaves of the sampler's state.
        kept: draws and statistics after warm-up, by name, each (chain, draw, …).
    """

    done: int
    seconds: float
    state: list[np.ndarray]
    kept: dict[str, np.ndarray]


def facts_of(model: NumPyroModel, sites: Mapping[str, Site]) -> Facts:
    """Facts that identify a model and its data."""
    data = hashlib.sha256()
    for name, site in sites.items():
        if site.kind == "observed":
            data.update(f"{name} {site.value.dtype} {site.value.shape}".encode())
            data.update(np.ascontiguousarray(site.value).tobytes())
    shapes = {n: str(s.shape) for n, s in sites.items() if s.kind == "latent"}
    packages = versions()
    return {
        "model": getattr(model, "description", ""),
        **{f"hyperprior of {n}": text for n, text in getattr(model, "hyperprior_text", {}).items()},
        "data": data.hexdigest()[:12],
        **{f"shape of {n}": text for n, text in shapes.items()},
        **{p: str(packages[p]) for p in ("bayescal", "jax", "numpyro") if p in packages},
    }


def write(path: Path, facts: Facts, at: Checkpoint) -> None:
    """Write a checkpoint, with the facts that a resumed run must agree with."""
    arrays = {f"state {i}": x for i, x in enumerate(at.state)} | {f"kept {n}": x for n, x in at.kept.items()}
    head = {"what": _OURS, "facts": facts, "done": at.done, "seconds": at.seconds}
    with io.BytesIO() as buffer:
        np.savez(buffer, head=np.array(json.dumps(head)), **arrays)  # ty: ignore[invalid-argument-type]
        write_atomically(path, buffer.getvalue())


def read(path: Path, facts: Facts) -> Checkpoint:
    """The checkpoint of a run with these facts.

    Raises:
        InputError: it belongs to another run (every difference is named), or is not a checkpoint.
    """
    advice = "this is not a checkpoint of bayescal; delete it, or give another path"
    try:
        head, found = _arrays(path)
    except InputError:
        raise
    except Exception:  # noqa: BLE001 - whatever NumPy makes of a damaged file
        raise InputError(f"{path}: {advice}.") from None
    head = parse_json(head, str(path), advice)
    schema.check(head, _HEAD, str(path), advice)
    theirs = head["facts"]
    different = [
        f"{n} is {_short(theirs.get(n))} there and {_short(facts.get(n))} here"
        for n in {**theirs, **facts}
        if theirs.get(n) != facts.get(n)
    ]
    if different:
        raise other_run(path, "; ".join(different))
    count = sum(n.startswith("state ") for n in found)
    if not all(f"state {i}" in found for i in range(count)):
        raise InputError(f"{path}: {advice}.")
    state = [found[f"state {i}"] for i in range(count)]
    kept = {n.removeprefix("kept "): x for n, x in found.items() if n.startswith("kept ")}
    return Checkpoint(head["done"], head["seconds"], state, kept)


def _arrays(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    """(the head as text, every other array), with nothing unpickled."""
    content = io.BytesIO(read_bytes(path))
    with ZipFile(content) as parts:  # a few bytes can become many
        size = sum(part.file_size for part in parts.infolist())
        refuse_larger(size, TABLE_BYTES, f"{path}, once it is decompressed,")
        for part in parts.infolist():
            with parts.open(part) as file:
                _refuse_empty_claims(file, part.file_size, str(path))
    content.seek(0)
    with np.load(content, allow_pickle=False) as arrays:
        found = {n: arrays[n] for n in arrays.files}
    return str(found.pop("head")), found


def _refuse_empty_claims(file: IO[bytes], size: int, where: str) -> None:
    """An array is as large as its header says it is; NumPy would make room for it before it looks."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if math.prod(shape) * dtype.itemsize > size:
        raise InputError(f"{where}: an array is larger than the file: it is cut short; delete it.")


def check_arrays(path: Path, at: Checkpoint, like: HMCState, record: Mapping[str, AnyShape], warmup: int) -> None:
    """An InputError if the arrays of a checkpoint are not those of this sampler.

    Args:
        like: the sampler's state; shapes are enough.
        record: by name, what is kept of an iteration, for every chain.
    """
    leaves = [jax.eval_shape(jax.random.key_data, x) if _is_key(x) else x for x in jax.tree.leaves(like)]
    state = [(x.shape, x.dtype) for x in at.state] == [(x.shape, x.dtype) for x in leaves]
    count = max(at.done - warmup, 0)
    wanted = {n: ((x.shape[0], count, *x.shape[1:]), x.dtype) for n, x in record.items()}
    if not state or {n: (x.shape, x.dtype) for n, x in at.kept.items()} != wanted:
        raise InputError(
            f"{path}: arrays of this checkpoint are missing, or are of another shape than this run's: delete it, or "
            "start again (resume=False; on the command line, leave out --resume)."
        )


def other_run(path: Path, how: str) -> InputError:
    """The error for a checkpoint that another model or other settings made."""
    return InputError(
        f"{path}: this checkpoint is of another run: {how}. Resume with the settings that it was made with, or start "
        "again (resume=False; on the command line, leave out --resume)."
    )


def _short(text: str | None) -> str:
    return "absent" if text is None else repr(text) if " " in text or not text else text


def to_arrays(state: HMCState) -> list[np.ndarray]:
    """The leaves of a sampler's state; random keys as integers."""
    return [np.asarray(jax.random.key_data(x) if _is_key(x) else x) for x in jax.tree.leaves(state)]


def from_arrays(arrays: list[np.ndarray], like: HMCState) -> HMCState:
    """The inverse of `to_arrays`.

    Args:
        like: a state of the same structure; shapes are enough.
    """
    leaves, tree = jax.tree.flatten(like)
    pairs = zip(arrays, leaves, strict=True)
    return jax.tree.unflatten(tree, [jax.random.wrap_key_data(jnp.asarray(x)) if _is_key(s) else x for x, s in pairs])


def _is_key(x: Array | jax.ShapeDtypeStruct) -> bool:
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
