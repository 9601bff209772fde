"""A learned policy on disk: weights in `policy.safetensors`, everything that gives them meaning in `policy.json`.

Nothing is pickled. The two files carry each other's hashes and that of the game, so that weights are never read
into another game, box or format than their own.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as to_tensors

from bayescal import schema
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.policies.learned import LearnedPolicy, with_network
from bayescal.reading import read_bytes, read_json
from bayescal.results import Kind, Run, holding

FORMAT = 1
WEIGHTS, FACTS = "policy.safetensors", "policy.json"
LARGEST = 1e6  # absolute value of a weight; those of a trained network are below a thousand

_CLASS = schema.record({"class": schema.text}, others=True)
_BOX = schema.map_of(schema.list_of(schema.number, 2))
_FACTS = schema.record(
    {
        "format": schema.whole,
        "weights_sha256": schema.sha256,
        "environment_hash": schema.sha256,
        "policy": schema.record(
            {
                "environments": schema.list_of(_CLASS),
                "prior": _CLASS,
                "population": schema.maybe(_CLASS),
                "domain": _BOX,
                "layers": schema.list_of(schema.list_of(schema.count)),
            },
            {
                "roles": schema.text,
                "unit": schema.text,
                "nodes": schema.count,
                "others": schema.text,
                "own_box": _BOX,
            },
        ),
        "provenance": schema.record(
            {},
            {
                "trainer": schema.record({"trainer": schema.text}, others=True),
                "seed": schema.count,
                "seconds_training": schema.number,
                "seconds_compiling": schema.number,
                "data_hash": schema.maybe(schema.text),
                "versions": schema.map_of(schema.text),
            },
            others=True,
        ),
    }
)


def describe(policy: LearnedPolicy) -> dict[str, Any]:
    """What the weights were trained for: games, box, prior, population and the way numbers enter the network."""
    return {
        "environments": [_fields(v) for v in policy.variants],
        "prior": _fields(policy.prior),
        "population": None if policy.population is None else _fields(policy.population),
        "domain": policy.domain.as_dict(),
        **policy.architecture,
    }


def environment_hash(policy: LearnedPolicy) -> str:
    """A fingerprint of everything in `describe`."""
    return fingerprint(describe(policy))


def fingerprint(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def save_policy(policy: LearnedPolicy, folder: Path, provenance: Mapping[str, Any] | None = None) -> None:
    """Write both files into a folder, in one step."""
    with holding(folder, Kind.TRAIN, "") as held:
        run = Run(Kind.TRAIN, "", "", policies={"policy": policy_sha256(policy)})
        held.commit(run, policy_files(policy, provenance).items())


def policy_files(policy: LearnedPolicy, provenance: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Both files, by name."""
    weights = to_tensors(tensors(policy.network))
    facts = {
        "format": FORMAT,
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "environment_hash": environment_hash(policy),
        "policy": describe(policy),
        "provenance": dict(provenance or {}),
    }
    return {WEIGHTS: weights, FACTS: (json.dumps(facts, indent=2) + "\n").encode()}


def policy_sha256(policy: Policy) -> str:
    """A digest of a policy: its kind and every number in it, its game's included."""
    digest = hashlib.sha256(json.dumps(policy.facts.as_dict(), sort_keys=True).encode())
    for name, x in tensors(policy).items():
        digest.update(f"{name} {x.dtype} {x.shape}".encode())
        digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()


def load_policy[P: LearnedPolicy](skeleton: P, folder: Path) -> tuple[P, dict[str, Any]]:
    """(the skeleton with the folder's weights, the facts that are stored with them).

    Raises:
        InputError: files are missing, damaged, of another format, or were trained for something else.
    """
    facts = read_facts(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(f"{folder} has no {WEIGHTS}: train the model again.")
    raw = read_bytes(path)
    if hashlib.sha256(raw).hexdigest() != facts["weights_sha256"]:
        raise InputError(
            f"{path} is not the file that {FACTS} describes (their hashes differ): copy both files from one place, or "
            "train the model again."
        )
    theirs, ours = facts["policy"], describe(skeleton)
    if "others" in ours:  # files of earlier releases do not say it: their others were the same people all game long
        theirs = {"others": "persistent", **theirs}
    differ = differences(theirs, ours)
    if differ:
        raise InputError(
            f"{folder} was trained for something else than is asked for: {'; '.join(differ[:4])}. Train it again, or "
            "use the experiment that it was trained with."
        )
    network = read_tensors(raw, skeleton.network, str(path))
    odd = [name for name, x in tensors(network).items() if not np.all(np.abs(x) <= LARGEST)]  # NaN is not below it
    if odd:
        raise InputError(
            f"{path}: {', '.join(odd[:4])} holds numbers that are not finite or larger than {LARGEST:g}, so these are "
            "not the weights of a trained network: train the model again."
        )
    return with_network(skeleton, network), facts


def read_facts(folder: Path) -> dict[str, Any]:
    path = folder / FACTS
    if not path.is_file():
        raise InputError(f"{folder} holds no trained policy ({FACTS} is missing): train it first.")
    advice = "it is damaged or not a policy's description: train the model again"
    facts = read_json(path, advice)
    number = facts.get("format") if isinstance(facts, dict) else None
    if isinstance(number, int) and number != FORMAT:
        raise InputError(
            f"{path} has format {number}, this version of bayescal reads format {FORMAT}: train the model again."
        )
    schema.check(facts, _FACTS, str(path), advice)
    return facts


def tensors(tree: PyTree) -> dict[str, np.ndarray]:
    """The arrays of a pytree by their path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(tree, eqx.is_array))
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in leaves}


def read_tensors(raw: bytes, like: PyTree, where: str) -> PyTree:
    """Arrays of the same names, shapes and types as those of `like`, in its place."""
    try:
        found = parse_tensors(raw)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{where} is damaged or cut short ({error}): delete it and begin again.") from None
    arrays, rest = eqx.partition(like, eqx.is_array)
    leaves, tree = jax.tree_util.tree_flatten_with_path(arrays)
    new, problems = [], []
    for path, leaf in leaves:
        name = jax.tree_util.keystr(path)
        x = found.pop(name, None)
        if x is None:
            problems.append(f"{name} is missing")
        elif x.shape != leaf.shape or x.dtype != leaf.dtype:
            problems.append(f"{name} is {x.dtype}{list(x.shape)} where {leaf.dtype}{list(leaf.shape)} is needed")
        new.append(x)
    problems += [f"{name} is not known" for name in found]
    if problems:
        raise InputError(f"{where} does not fit: {'; '.join(problems[:4])}. Delete it and begin again.")
    return eqx.combine(jax.tree_util.tree_unflatten(tree, [jax.numpy.asarray(x) for x in new]), rest)


def differences(theirs: object, ours: object, path: str = "") -> list[str]:
    """Where two descriptions differ, in words."""
    ours = json.loads(json.dumps(ours))
    if isinstance(theirs, dict) and isinstance(ours, dict):
        out = []
        for name in sorted(set(theirs) | set(ours)):
            out += differences(theirs.get(name), ours.get(name), f"{path}.{name}" if path else name)
        return out
    if theirs == ours:
        return []
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [d for i, (a, b) in enumerate(zip(theirs, ours, strict=True)) for d in differences(a, b, f"{path}[{i}]")]
    return [f"{path} was {_short(theirs)}, now {_short(ours)}"]


def _short(x: object) -> str:
    text = json.dumps(x)
    return text if len(text) <= 60 else text[:57] + "…"


def _fields(module: eqx.Module) -> dict[str, Any]:
    """A game, prior or population: its class and everything that it was given."""
    loose = {"name", "role_names", "action_labels"}
    fields = {n: _plain(getattr(module, n)) for n in (f.name for f in dataclasses.fields(module)) if n not in loose}
    return {"class": f"{type(module).__module__}.{type(module).__qualname__}", **fields}


def _plain(x: object) -> object:
    if isinstance(x, eqx.Module):
        return _fields(x)
    if isinstance(x, np.ndarray | jax.Array | np.generic):
        return np.asarray(x).tolist()
    if isinstance(x, tuple | list):
        return [_plain(y) for y in x]
    return x
