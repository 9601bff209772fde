"""The cells of a certificate: each role at costs over the whole box, other bounds in the middle or at a corner."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bayescal import schema
from bayescal.domain import Interval
from bayescal.environments.base import Environment
from bayescal.files import write_atomically
from bayescal.policies.base import PriorPolicy
from bayescal.reading import read_json
from bayescal.results.checkpoints import CERTIFYING as KEPT
from bayescal.training import facts as json_facts
from bayescal.training.certificate.improvement import Settings, improvement
from bayescal.training.certificate.measures import Progress
from bayescal.training.certificate.playing import best_reply
from bayescal.training.certificate.verdict import Cell, Measured
from bayescal.training.replies import rules_of
from bayescal.training.replies.base import Reply, Rule
from bayescal.training.replies.soft import SoftRule
from bayescal.training.rollouts import Place, Valued

__all__ = ["KEPT", "Asked", "Keeper", "asked_cells", "measure_cell", "measure_cells", "params_of"]

_CORNERS = 4
_FORMAT = 1


class Asked(NamedTuple):
    """A cell to be measured."""

    role: int
    cost: float
    at: str
    place: Place


@dataclass(frozen=True)
class Keeper:
    """Where measured cells are kept, so that an interrupted certificate goes on, and of which policy they are."""

    path: Path
    identity: str


def asked_cells(policy: Valued, costs: int) -> list[Asked]:
    """Every role at `costs` costs from one end of the box to the other, in the middle of all other bounds; and the
    lowest and the middle cost at a few corners, the roles in turn."""
    env, box = policy.environment, dict(policy.domain.intervals)
    cost = box.pop("cost")
    middle = _place(policy, {name: float(interval.at(0.5)) for name, interval in box.items()})
    levels = [float(cost.at(share)) for share in np.linspace(0, 1, costs)]
    asked = [Asked(role, level, "middle", middle) for role in range(env.roles) for level in levels]
    for k, corner in enumerate(_corners(box)):
        place = _place(policy, corner)
        asked += [Asked(k % env.roles, float(cost.at(share)), f"corner {k + 1}", place) for share in (0.0, 0.5)]
    return asked


def measure_cell(
    policy: Valued, asked: Asked, rules: tuple[Rule, ...], settings: Settings, seed: int, extra: tuple[Reply, ...] = ()
) -> Cell:
    """Both instruments at one cell.

    Args:
        extra: replies to play instead of the rules and the fitted reply.
    """
    player = sum(policy.environment.role_counts[: asked.role])
    found = improvement(policy, player, asked.cost, asked.place, rules, settings, seed=seed)
    replies = extra or (*(SoftRule(rule) for rule in found.rules), found.guess)
    key = jax.random.fold_in(jax.random.key(seed), 1)
    reply = best_reply(
        policy, replies, key, asked.place, player, asked.cost, games=settings.chosen_by, blocks=settings.blocks
    )
    return Cell(
        role=policy.environment.role_names[asked.role],
        cost=asked.cost,
        at=asked.at,
        gain=found.gain,
        scale=found.scale,
        information=found.information,
        p=found.p,
        reply=reply.name,
        played=Measured(reply.gain, reply.error),
    )


def measure_cells(
    policy: Valued,
    *,
    settings: Settings,
    seed: int,
    rules: tuple[Rule, ...] | None = None,
    keeper: Keeper | None = None,
    progress: Progress,
) -> list[Cell]:
    """All cells; those that an interrupted run has measured are not measured again.

    Args:
        rules: rules of thumb; those of the game's library when None.
    """
    asked = asked_cells(policy, settings.costs)
    rules = rules_of(policy.environment) if rules is None else rules
    run = {"format": _FORMAT, "seed": seed, "settings": asdict(settings)}
    done = [] if keeper is None else _read(keeper, run)[: len(asked)]
    for i in range(len(done), len(asked)):
        progress("certifying", i, len(asked))
        cell = measure_cell(policy, asked[i], rules, settings, seed + i)
        done.append(Cell.from_dict(cell.as_dict()))  # the digits that are kept, with and without an interruption
        if keeper is not None:
            _write(keeper, run, done)
    progress("certifying", len(asked), len(asked))
    return done


def _read(keeper: Keeper, run: Mapping[str, Any]) -> list[Cell]:
    """The cells of an interrupted run of the same policy with the same settings."""
    if not keeper.path.is_file():
        return []
    advice = "it is damaged: delete it, and measure from the start"
    found = read_json(keeper.path, advice)
    schema.check(found, json_facts.kept_cells, str(keeper.path), advice)
    same = {n: found[n] for n in (*run, "identity")} == {**run, "identity": keeper.identity}
    return [Cell.from_dict(c) for c in found["cells"]] if same else []


def _write(keeper: Keeper, run: Mapping[str, Any], done: list[Cell]) -> None:
    content = {**run, "identity": keeper.identity, "cells": [c.as_dict() for c in done]}
    write_atomically(keeper.path, json.dumps(content).encode())


def _corners(box: Mapping[str, Interval]) -> list[dict[str, float]]:
    """A few corners that differ in half of the bounds from each other, or all where there are few."""
    names = list(box)
    count = min(_CORNERS, 2 ** len(names)) if names else 0
    rng = np.random.default_rng(0)
    bits = rng.permutation(2 ** min(len(names), 16))[:count]
    high = lambda bit, i: (bit >> min(i, 15)) & 1
    return [{n: (box[n].high if high(b, i) else box[n].low) for i, n in enumerate(names)} for b in bits.tolist()]


def _place(policy: Valued, values: Mapping[str, float]) -> Place:
    dtype = jnp.result_type(float)
    part = lambda kind: {n.split(".", 1)[1]: jnp.asarray(x, dtype) for n, x in values.items() if n.startswith(kind)}
    filled = lambda defaults, own: {n: jnp.asarray(own.get(n, x), dtype) for n, x in {**defaults, **own}.items()}
    habit = policy.prior.defaults if isinstance(policy, PriorPolicy) else {}
    return Place(part("phi."), filled(habit, part("psi.")), params_of(policy.environment, part("params.")))


def params_of(environment: Environment, own: Mapping[str, Float[jax.Array, "..."]]) -> dict[str, jax.Array]:
    """The parameters of a game: its own, but for those given."""
    dtype = jnp.result_type(float)
    shaped = lambda name, x: jnp.broadcast_to(jnp.asarray(own.get(name, x), dtype), np.shape(x))
    return {name: shaped(name, x) for name, x in environment.params.items()}
