"""The loop around a trainer: compiled steps, progress, and checkpoints from which a run resumes to the same result."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from safetensors.numpy import save as to_tensors

from bayescal import schema
from bayescal._types import Keys
from bayescal.domain import Domain
from bayescal.errors import InputError
from bayescal.files import write_atomically
from bayescal.policies.learned import LearnedPolicy
from bayescal.policies.store import describe, differences, read_tensors, tensors
from bayescal.reading import TEXT_BYTES, parse_json, read_bytes
from bayescal.training.base import Info, Trainer
from bayescal.training.check import check_environment

CHECKPOINT = "checkpoint.safetensors"
FORMAT = 1
PATIENCE = 1.0  # seconds between two looks at the clock, about

_HEADER = schema.record({"__metadata__": schema.record({"bayescal": schema.text})}, others=True)
_CHECKPOINT = schema.record(
    {"format": schema.whole, "step": schema.count, "seconds": schema.number, "settings": schema.section}
)

Progress = Callable[["Report", Callable[[], LearnedPolicy]], None]


@dataclass(frozen=True)
class Report:
    """The progress of training: steps done, of how many, seconds so far, and the trainer's figures since the last
    report."""

    step: int
    steps: int
    seconds: float
    info: dict[str, float]


@dataclass(frozen=True)
class Trained:
    """The trained policies (one a seed), and the time that it took."""

    policies: tuple[LearnedPolicy, ...]
    history: tuple[Report, ...]
    seconds_compiling: float
    seconds_training: float  # of this run, not of those before an interruption

    @property
    def policy(self) -> LearnedPolicy:
        return self.policies[0]


def train(
    trainer: Trainer,
    *,
    seed: int = 0,
    members: int = 1,
    folder: Path | None = None,
    every: float = 30.0,
    restart: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Train from scratch, or resume from the checkpoint of an interrupted run with the same settings.

    Args:
        seed: determines everything random.
        members: how many policies to train side by side, from different seeds (an ensemble).
        folder: where checkpoints are kept; None for none.
        every: seconds between checkpoints.
        restart: start again even if there is a checkpoint.
        progress: called about once a second with a report and a function that returns the policy so far.

    Raises:
        InputError: a broken environment, a checkpoint that is damaged or has other settings, or training that
            diverged (the last checkpoint is kept).
        KeyboardInterrupt: after the checkpoint is written.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.AmortisedPolicy(
        ...     bc.get_game("stag-hunt"), {"cost": (0.1, 10.0)}, width=8, depth=1
        ... )
        >>> trained = bc.train(bc.SoftQExpected(policy, steps=20, batch=8), seed=1)
        >>> type(trained.policy).__name__, trained.seconds_training < 60
        ('AmortisedPolicy', True)
    """
    for environment in trainer.skeleton.variants:
        check_environment(environment)
    root = jax.random.key(seed)
    keys = jax.vmap(lambda m: jax.random.fold_in(root, m))(jnp.arange(members))

    step_of_all = over_members(trainer.step, members)

    @jax.jit
    def advance(keys: Keys, states: PyTree, first: Array, count: Array) -> tuple[PyTree, Info]:
        """`count` steps of every member; the figures are averages over steps and members. The keys are an argument, so
        that all seeds share one program."""

        def body(i: Array, carry: tuple[PyTree, Info]) -> tuple[PyTree, Info]:
            states, total = carry
            now = jax.vmap(lambda k: jax.random.fold_in(jax.random.fold_in(k, 1), first + i))(keys)
            states, info = step_of_all(now, states)
            return states, jax.tree.map(lambda t, x: t + jnp.mean(x) / count, total, info)

        _, shapes = jax.eval_shape(step_of_all, keys, states)
        zero = {name: jnp.zeros((), x.dtype) for name, x in shapes.items()}
        return jax.lax.fori_loop(0, count, body, (states, zero))

    settings = settings_of(trainer) | {"seed": seed, "members": members}
    states = jax.jit(jax.vmap(lambda k: trainer.init(jax.random.fold_in(k, 0))))(keys)
    step, before = 0, 0.0
    if folder is not None and not restart and (folder / CHECKPOINT).exists():
        states, step, before = read_checkpoint(folder / CHECKPOINT, states, settings)
    started = time.perf_counter()
    compiled = advance.lower(keys, states, 0, 1).compile()
    compiling = time.perf_counter() - started
    started = saved = time.perf_counter()
    history: list[Report] = []

    def member(m: int) -> LearnedPolicy:
        return trainer.policy(jax.tree.map(lambda x: x[m], states))

    count, safe = 10, step
    try:
        while step < trainer.steps:
            count = min(count, trainer.steps - step)
            tick = time.perf_counter()
            new, info = compiled(keys, states, jnp.asarray(step), jnp.asarray(count))
            info = {name: float(x) for name, x in info.items()}
            if not all(np.isfinite(x) for x in info.values()):
                bad = ", ".join(n for n, x in info.items() if not np.isfinite(x))
                raise InputError(
                    f"Training diverged between steps {step} and {step + count}: {bad} is not a number. Lower the "
                    "learning rate (the last checkpoint is kept; --restart starts again)."
                )
            states, step = new, step + count
            now = time.perf_counter()
            count = max(1, min(int(count * PATIENCE / max(now - tick, 1e-6)), 4 * count))
            history.append(Report(step, trainer.steps, before + now - started, info))
            if progress is not None:
                progress(history[-1], lambda: member(0))
            if folder is not None and now - saved > every:
                write_checkpoint(folder / CHECKPOINT, states, step, before + now - started, settings)
                saved, safe = now, step
    except KeyboardInterrupt:
        if folder is not None and step > safe:
            write_checkpoint(folder / CHECKPOINT, states, step, before + time.perf_counter() - started, settings)
        raise
    if folder is not None:
        # It is removed in the step that puts the policy in place, so that a crash between the two loses nothing.
        write_checkpoint(folder / CHECKPOINT, states, step, before + time.perf_counter() - started, settings)
    return Trained(tuple(member(m) for m in range(members)), tuple(history), compiling, time.perf_counter() - started)


def over_members(step: Callable, members: int) -> Callable:
    """`step` with a leading axis of members. A single member is not mapped over: under `vmap` every branch of a
    condition is computed, such as every game of a policy for several."""
    if members > 1:
        return jax.vmap(step)
    first = lambda tree: jax.tree.map(lambda x: x[0], tree)
    return lambda *args: jax.tree.map(lambda x: x[None], step(*map(first, args)))


def settings_of(trainer: Trainer) -> dict[str, Any]:
    """Everything but the seed that the result depends on: stored, and compared when a run resumes."""
    plain = {n: getattr(trainer, n) for n in type(trainer).__dataclass_fields__}
    skeletons = {n: describe(x) for n, x in plain.items() if isinstance(x, LearnedPolicy)}
    numbers = {n: x for n, x in plain.items() if isinstance(x, bool | int | float | str)}
    boxes = {n: x.as_dict() for n, x in plain.items() if isinstance(x, Domain)}
    return {"trainer": type(trainer).__name__, **numbers, **boxes, **skeletons}


def write_checkpoint(path: Path, states: PyTree, step: int, seconds: float, settings: Mapping[str, object]) -> None:
    facts = {"format": FORMAT, "step": step, "seconds": seconds, "settings": settings}
    write_atomically(path, to_tensors(tensors(states), metadata={"bayescal": json.dumps(facts)}))


def read_checkpoint(path: Path, like: PyTree, settings: Mapping[str, object]) -> tuple[PyTree, int, float]:
    """(states, steps done, seconds spent) of an interrupted run with these settings."""
    raw, where = read_bytes(path), f"The checkpoint {path}"
    advice = "it is damaged or cut short: start again with --restart"
    size = int.from_bytes(raw[:8], "little")
    header = parse_json(raw[8 : 8 + min(size, TEXT_BYTES)], where, advice)
    schema.check(header, _HEADER, where, advice)
    facts = parse_json(header["__metadata__"]["bayescal"], where, advice)
    schema.check(facts, _CHECKPOINT, where, advice)
    number, step, seconds = facts["format"], facts["step"], facts["seconds"]
    if number != FORMAT:
        raise InputError(f"The checkpoint {path} has format {number}, not {FORMAT}: start again with --restart.")
    if differ := differences(facts["settings"], settings):
        raise InputError(
            f"The checkpoint {path} is from a training with other settings ({'; '.join(differ[:4])}): use those, "
            "or start again with --restart."
        )
    return read_tensors(raw, like, where), step, seconds
