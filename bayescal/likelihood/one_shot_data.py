"""The data of one-shot games: how often each action was chosen, by person and situation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pandas as pd
from jaxtyping import Array, Bool, Float, Int
from scipy.special import gammaln

from bayescal._types import AnyArray
from bayescal.environments.base import Environment, shape_key
from bayescal.likelihood.choices import Choices, finite, refuse_impossible
from bayescal.likelihood.rounds import rounds_as_time
from bayescal.policies.base import Policy
from bayescal.table.codes import unique_rows
from bayescal.table.decisions import Decisions

_FEW = 64  # situations that are looped over; more are gathered


class Stack(NamedTuple):
    """Instances of games of one shape, solved by one vmapped call.

    Attributes:
        environment: one of the games.
        params: the parameters of all of them, stacked.
        members: indices of the instances.
        by: columns in which instances of the same game differ.
    """

    environment: Environment
    params: Any
    members: Int[np.ndarray, " members"]
    by: Float[np.ndarray, "members columns"]


class Rows(NamedTuple):
    """Decisions of one-shot games as counts.

    Attributes:
        counts: counts of each action.
        game, role, person: indices; person is None if there are no subject identifiers.
        time: from 0 in the first round to 1 in the last if costs drift; else 0.
        labels: labels of each row ("game", "participant", …).
    """

    counts: Float[np.ndarray, "rows actions"]
    game: Int[np.ndarray, " rows"]
    role: Int[np.ndarray, " rows"]
    person: Int[np.ndarray, " rows"] | None
    time: Float[np.ndarray, " rows"]
    labels: dict[str, pd.Categorical]


@dataclass(frozen=True, eq=False)
class OneShotData:
    """Counts of choices in one-shot games.

    A row has the counts of one person (of all people, if there are no subject identifiers) in one situation. A
    **situation** is a role in an instance; an **instance** is a game together with everything else that its solution
    depends on, such as the belief group. Each instance is solved once, for any number of rows.

    Attributes:
        counts: counts of each action, by row.
        labels: labels of each row ("game", "participant", …).
        person: index of each row's person; None if there are no subject identifiers.
        situation: index of each row's situation.
        instance, role: indices, by situation.
        sizes: number of actions of each situation.
        stacks: the instances.
        decisions: number of decisions of each person.
        ways: log of the number of orders of each person's choices. It is part of `observe`, which observes counts, and
            not of `by_person`.
        source: name of the table, for messages.
    """

    counts: Float[AnyArray, "rows actions"]
    labels: dict[str, pd.Categorical]
    participants: tuple[str, ...]
    person: Int[np.ndarray, " rows"] | None
    situation: Int[np.ndarray, " rows"]
    instance: Int[np.ndarray, " situations"]
    role: Int[np.ndarray, " situations"]
    sizes: Int[np.ndarray, " situations"]
    stacks: tuple[Stack, ...]
    decisions: Int[np.ndarray, " participants"]
    ways: Float[np.ndarray, " participants"]
    source: str

    @classmethod
    def of(cls, decisions: Decisions, rows: Rows, by: Float[np.ndarray, "rows columns"]) -> "OneShotData":
        """
        Args:
            by: columns that, with the game, identify an instance.
        """
        keys = np.column_stack([rows.game, by])
        instances, of_row = np.unique(keys, axis=0, return_inverse=True)
        situations, situation = np.unique(
            np.column_stack([of_row.reshape(-1), rows.role]).astype(int), axis=0, return_inverse=True
        )
        environments, games = list(decisions.environments.values()), instances[:, 0].astype(int)
        sizes = np.array([len(environments[games[i]].action_values[r]) for i, r in situations])
        named = rows.person is not None
        participants = decisions.levels("participant") if named else ()
        person = rows.person if named else np.zeros(0, int)
        each = rows.counts if named else rows.counts[:0]
        orders = gammaln(each.sum(axis=1) + 1) - gammaln(each + 1).sum(axis=1)
        return cls(
            counts=rows.counts,
            labels=rows.labels,
            participants=participants,
            person=rows.person,
            situation=situation.reshape(-1),
            instance=situations[:, 0],
            role=situations[:, 1],
            sizes=sizes,
            stacks=tuple(_stacked(environments, games, instances[:, 1:])),
            decisions=np.bincount(person, each.sum(axis=1), len(participants)).astype(int),
            ways=np.bincount(person, orders, len(participants)).astype(float),  # NumPy counts nobody in integers
            source=decisions.source,
        )

    @property
    def width(self) -> int:
        return self.counts.shape[1]

    @property
    def instances(self) -> int:
        return sum(len(s.members) for s in self.stacks)

    @property
    def most_rows(self) -> int:
        """The largest number of counts of one person."""
        return int(np.bincount(self._person).max()) * self.width

    @property
    def size(self) -> int:
        """Probabilities computed per draw."""
        return self.counts.size

    def tables(self, parts: Sequence[Float[Array, "_ ... _ _"]], empty: float) -> Float[Array, "..."]:
        """The tables of all stacks as (instances, …, roles, actions), padded with `empty`."""
        roles = max(s.environment.roles for s in self.stacks)
        between = parts[0].shape[1:-2]
        out = jnp.full((self.instances, *between, roles, self.width), empty)
        for stack, part in zip(self.stacks, parts, strict=True):
            out = out.at[stack.members, ..., : part.shape[-2], : part.shape[-1]].set(part)
        return out

    def at(self, tables: Float[Array, "instances ... roles actions"]) -> Float[Array, "situations ... actions"]:
        """The entries of each situation in a table of all instances."""
        # Roles are moved next to instances: with a slice between two index arrays, NumPy would move the dimensions.
        return jnp.moveaxis(tables, -2, 1)[self.instance, self.role]

    def by_person(
        self, log_p: Sequence[Float[Array, "nodes _"]] | Float[Array, "situations nodes actions"]
    ) -> Float[Array, "participants nodes"]:
        """The log-likelihood of everybody's decisions, from log-probabilities in each situation."""
        if len(self.sizes) <= _FEW:
            order, ends = self._by_situation
            rows = np.split(order, ends)
            parts = [jnp.asarray(self.counts[own]) @ finite(log_p[s]).T for s, own in enumerate(rows)]
            by_row, person = jnp.concatenate(parts), self._person[order]
        else:
            by_row = jnp.einsum("ra,rga->rg", jnp.asarray(self.counts), finite(jnp.asarray(log_p))[self.situation])
            person = self._person
        if len(person) == len(self.participants) and (person == np.arange(len(person))).all():
            return by_row
        return jax.ops.segment_sum(by_row, person, len(self.participants))

    def observe(self, log_p: Float[Array, "rows actions"]) -> None:
        """The NumPyro site of the counts."""
        counts = np.asarray(self.counts).astype(np.int32)  # added up here: XLA takes seconds over millions of constants
        totals = jnp.asarray(counts.sum(axis=1))
        with numpyro.plate("cell", len(counts)):
            numpyro.sample("choices", Choices(log_p, totals), obs=jnp.asarray(counts))

    @property
    def available(self) -> Bool[np.ndarray, "rows actions"]:
        return np.arange(self.width)[None, :] < self.sizes[self.situation][:, None]

    @property
    def coords(self) -> dict[str, np.ndarray]:
        """Labels of the dimensions of `observe`."""
        # The same for all models of the same decisions of known subjects: models are compared by these labels.
        named = ("participant", "game", "role") if "participant" in self.labels else tuple(self.labels)
        first, *others = (_text(self.labels[n]) for n in named)
        joined = first
        for more in others:
            joined = np.char.add(np.char.add(joined, " · "), more)
        return {"cell": joined, "action": np.arange(self.width)}

    @property
    def constant(self) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
        """Data that an analysis needs in addition to the draws, as (dims, values)."""
        out = {
            "total": (("cell",), np.asarray(self.counts).sum(axis=1).astype(int)),
            "available": (("cell", "action"), self.available),
        }
        return out | {f"cell_{name}": (("cell",), _text(x)) for name, x in self.labels.items()}

    def of_some(self, people: Int[np.ndarray, " some"]) -> "OneShotData":
        """The data of a subset of the people, by index; instances and situations are kept."""
        new = np.full(len(self.participants), -1)
        new[people] = np.arange(len(people))
        rows = new[self._person] >= 0
        return replace(
            self,
            counts=self.counts[rows],
            labels={n: x[rows] for n, x in self.labels.items()},
            participants=tuple(self.participants[i] for i in people),
            person=new[self._person[rows]],
            situation=self.situation[rows],
            decisions=self.decisions[people],
            ways=self.ways[people],
        )

    def check_support(self, policies: Sequence[Policy]) -> None:
        """Raises InputError if the habit gives a choice probability zero.

        Args:
            policies: one for each stack.
        """
        chosen = np.zeros((len(self.sizes), self.width))
        np.add.at(chosen, self.situation, np.asarray(self.counts))
        games = dict(zip(self.situation.tolist(), self.labels["game"], strict=True))
        offenders = []
        for stack, policy in zip(self.stacks, policies, strict=True):
            log_prior = getattr(policy, "log_prior", None)
            if log_prior is None:
                continue
            impossible = np.asarray(log_prior() <= -1e29)
            for s in np.flatnonzero(np.isin(self.instance, stack.members)):
                role, env = self.role[s], stack.environment
                offenders += [
                    f"{games[s]}, role {env.role_names[role]}, action {env.action_labels[role][a]} "
                    f"(chosen {chosen[s, a]:.0f} times)"
                    for a in np.flatnonzero(impossible[role] & (chosen[s, : impossible.shape[1]] > 0))
                ]
        refuse_impossible(self.source, offenders)

    @property
    def _person(self) -> Int[np.ndarray, " rows"]:
        assert self.person is not None, "no subject identifiers"
        return self.person

    @cached_property
    def _by_situation(self) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " situations_less_one"]]:
        """(rows sorted by situation, the positions at which a new situation starts)."""
        order = np.argsort(self.situation, kind="stable")
        return order, np.searchsorted(self.situation[order], np.arange(1, len(self.sizes)))


def cells(decisions: Decisions) -> Rows:
    """One row per cell of the decisions."""
    table = decisions.cells
    game, role = (table[f"{n}_index"].to_numpy() for n in ("game", "role"))
    person = table["participant_index"].to_numpy() if "participant" in table else None
    labels = {n: pd.Categorical(table[n]) for n in ("game", "group", "participant", "role") if n in table}
    return Rows(decisions.counts.astype(float), game, role, person, np.zeros(len(table)), labels)


def personal(decisions: Decisions, *, drifting: bool) -> Rows:
    """One row per subject, role, game and, if costs drift, block of rounds."""
    rows = _by_time(decisions) if drifting else cells(decisions)
    return rows._replace(labels={n: rows.labels[n] for n in ("participant", "game", "role")})


def _by_time(decisions: Decisions) -> Rows:
    table, width = decisions.table, decisions.counts.shape[1]
    time, block = np.unique(rounds_as_time(decisions), return_inverse=True)
    columns = [table["game_index"].to_numpy(), table["role_index"].to_numpy()]
    columns += [table["participant"].cat.codes.to_numpy(), block.reshape(-1)]
    first, of = unique_rows(columns)
    flat = np.zeros(len(first) * width)
    np.add.at(flat, of * width + table["action_index"].to_numpy(), table["n"].to_numpy())
    game, role, person, block = (np.asarray(c)[first].astype(int) for c in columns)
    labels = {n: pd.Categorical(table[n].iloc[first]) for n in ("game", "participant", "role")}
    return Rows(flat.reshape(-1, width), game, role, person, time[block], labels)


def _text(labels: pd.Categorical) -> np.ndarray:
    return np.asarray(labels).astype(str)


def _stacked(
    environments: Sequence[Environment],
    games: Int[np.ndarray, " instances"],
    by: Float[np.ndarray, "instances columns"],
) -> list[Stack]:
    """The instances, stacked by the shape of their game."""
    keys = [shape_key(e) for e in environments]
    shapes: dict[Any, list[int]] = {}
    for instance, game in enumerate(games):
        shapes.setdefault(keys[game], []).append(instance)
    out = []
    for members in map(np.array, shapes.values()):
        own = [environments[games[m]] for m in members]
        params = jax.tree.map(lambda *x: np.stack(x), *[e.params for e in own])
        out.append(Stack(own[0], params, members, by[members]))
    return out
