"""What people with costs of their own did, as a function of those costs.

A participant's decisions depend on one's own cost and on a few **shared numbers**, named as in a `Domain`: "phi.NAME"
(what others' costs are believed to be), "psi.NAME" (the prior), "params.NAME" (the game), "lapse" and "drift".
`curves` gives everybody's log-likelihood at common costs, for integrals over costs; `observe` is a NumPyro statement
about the decisions of people whose costs are given.

Shared numbers are scalars, or arrays with one entry for each belief group (people who meet each other).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.special import gammaln

from bayescal._table import unique_rows
from bayescal.decisions import Decisions
from bayescal.errors import InputError
from bayescal.inference.choices import finite, lapsed, observe_counts, refuse_impossible
from bayescal.inference.games import stacked
from bayescal.inference.play import Played, by_role, distinct, play_in
from bayescal.inference.tree import AT_ONCE
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import ABSENT, Policy, tilt
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.base import Population

Shared = Mapping[str, Any]

BLOCKS = 10  # of rounds, in which a drifting cost stands still
_FEW = 64  # situations that are looped over; more are gathered


class Likelihood(ABC):
    """The decisions of people with private costs.

    Attributes:
        participants: their labels; `group` is the belief group of each.
        names: the shared numbers.
        decisions: how many each of them made.
        given: shared numbers that are fixed.
        ways: log of the number of orders in which each person's counted choices can have been made, which is part of
            `observe` where it observes counts, and not of `curves`.
    """

    participants: tuple[str, ...]
    group: Int[np.ndarray, " participants"]
    names: tuple[str, ...]
    given: Mapping[str, float]
    decisions: Int[np.ndarray, " participants"]
    ways: Float[np.ndarray, " participants"]
    person: Int[np.ndarray, " rows"]  # of whom each row of data is

    def __init__(
        self,
        decisions: Decisions,
        group: Int[np.ndarray, " participants"],
        names: tuple[str, ...],
        given: Mapping[str, float] | None,
    ):
        self.participants, self.source = decisions.levels("participant"), decisions.source
        self.group, self.names, self.given = group, names, given or {}

    @abstractmethod
    def check_support(self) -> None:
        """See `refuse_impossible`."""

    @abstractmethod
    def curves(self, log_cost: Float[Array, " nodes"], shared: Shared) -> Float[Array, "participants nodes"]:
        """The log-likelihood of everybody's decisions at each of these log costs."""

    @abstractmethod
    def observe(self, log_cost: Float[Array, " participants"], shared: Shared, own_psi: Any = None) -> None:
        """A NumPyro site for the decisions of people with these log costs (and, if given, priors of their own)."""

    @property
    @abstractmethod
    def learned(self) -> bool:
        """Whether the policy is a network: cheap, and smooth in everything."""

    @abstractmethod
    def of_some(self, people: Int[np.ndarray, " some"]) -> "Likelihood":
        """The likelihood of some of the people, by their place."""

    def _of_some(self, people: Int[np.ndarray, " some"]) -> tuple[Any, Bool[np.ndarray, " rows"]]:
        """(a copy with these people only, which rows of data are theirs): the rest of the data is still everybody's."""
        place = np.full(len(self.participants), -1)
        place[people] = np.arange(len(people))
        some, kept = copy(self), place[self.person] >= 0
        some.participants = tuple(self.participants[i] for i in people)
        some.group, some.decisions, some.ways = self.group[people], self.decisions[people], self.ways[people]
        some.person = place[self.person[kept]]
        return some, kept

    def shards(self, most: int) -> Iterator["Likelihood"]:
        """The same in parts with at most so many decisions each (and one person at the least)."""
        start, total = 0, np.cumsum(np.minimum(self.decisions, self.rows))
        while start < len(self.participants):
            before = total[start - 1] if start else 0
            stop = max(int(np.searchsorted(total, before + most, side="right")), start + 1)
            yield self.of_some(np.arange(start, stop))
            start = stop

    @property
    def rows(self) -> int:
        """Of data, for one person at the most."""
        return 2**62

    @property
    @abstractmethod
    def coords(self) -> dict[str, Any]: ...

    @property
    @abstractmethod
    def constant(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """What an analysis needs beside the draws, as (dims, values)."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Probabilities that are worked out for one draw."""


@dataclass(frozen=True)
class _Stack:
    """Games of one shape: their parameters, the belief group and the share of the drift of each."""

    policy: Any
    params: Any
    members: Int[np.ndarray, " pairs"]
    group: Int[np.ndarray, " pairs"]
    time: Float[np.ndarray, " pairs"]


class OneShotLikelihood(Likelihood):
    """Of one-shot games: counts are sufficient. Values do not depend on one's own cost, so one solution of each game
    serves every cost.

    Args:
        belief: the population that others are believed to come from, where costs are private.
        group: the belief group of each participant.
        drifting: costs change over the rounds (in at most ten blocks).
    """

    def __init__(
        self,
        policy: Policy,
        belief: Population | None,
        decisions: Decisions,
        *,
        group: Int[np.ndarray, " participants"],
        names: tuple[str, ...],
        given: Mapping[str, float] | None = None,
        drifting: bool = False,
    ):
        super().__init__(decisions, group, names, given)
        width = decisions.counts.shape[1]
        if drifting:
            table = decisions.table
            time, place = np.unique(rounds_as_time(decisions), return_inverse=True)
            columns = [table["game_index"].to_numpy(), table["role_index"].to_numpy()]
            columns += [table["participant"].cat.codes.to_numpy(), place.reshape(-1)]
            first, of = unique_rows(columns)
            flat = np.zeros(len(first) * width)
            np.add.at(flat, of * width + table["action_index"].to_numpy(), table["n"].to_numpy())
            self.counts = flat.reshape(-1, width)
            game, role, self.person, place = (np.asarray(c)[first].astype(int) for c in columns)
            time = time[place]
        else:
            cells = decisions.cells
            game, role, self.person = (cells[f"{n}_index"].to_numpy() for n in ("game", "role", "participant"))
            self.counts, time = decisions.counts.astype(float), np.zeros(len(cells))
        rows = np.stack([game, group[self.person], time, role], axis=1)
        self.decisions = np.bincount(self.person, self.counts.sum(axis=1), len(self.participants)).astype(int)
        orders = gammaln(self.counts.sum(axis=1) + 1) - gammaln(self.counts + 1).sum(axis=1)
        self.ways = np.bincount(self.person, orders, len(self.participants))
        # A pair is a game as one belief group plays it at one time; a situation is a role in it.
        pairs, of_row = np.unique(rows[:, :3], axis=0, return_inverse=True)
        situations, self.situation = np.unique(
            np.stack([of_row.reshape(-1), rows[:, 3].astype(int)], axis=1), axis=0, return_inverse=True
        )
        self.situation = self.situation.reshape(-1)
        self.pair, self.role = situations[:, 0].astype(int), situations[:, 1].astype(int)
        self.time = pairs[self.pair, 2]
        environments = list(decisions.environments.values())
        games = pairs[:, 0].astype(int)
        self.width = width
        self.sizes = np.array([len(environments[games[p]].action_values[r]) for p, r in situations.astype(int)])
        self.labels = [
            " · ".join(
                [
                    str(decisions.game_names[games[self.pair[s]]]),
                    environments[games[self.pair[s]]].role_names[self.role[s]],
                ]
            )
            for s in range(len(situations))
        ]
        self.stacks = []
        for first, params, members in stacked(environments, games):
            own = play_in(policy, first, belief if first.players > 1 else None)
            self.stacks.append(_Stack(own, params, members, pairs[members, 1].astype(int), pairs[members, 2]))
        self.pairs = len(pairs)
        self._sort()

    def _sort(self) -> None:
        """Rows by situation."""
        self._order = np.argsort(self.situation, kind="stable")
        self._ends = np.searchsorted(self.situation[self._order], np.arange(1, len(self.sizes)))

    def _values(
        self, shared: Shared
    ) -> tuple[Float[Array, "pairs roles actions"], Float[Array, "pairs roles actions"]]:
        """Q and log q of every role of every pair."""
        roles = max(s.policy.environment.roles for s in self.stacks)
        shape = (self.pairs, roles, self.width)
        q, log_q = jnp.zeros(shape), jnp.full(shape, -1e30)
        for stack in self.stacks:
            phi, psi, params = _unpack({**self.given, **shared}, stack.group)
            if phi is not None and "drift" in shared:
                phi = jax.vmap(stack.policy.population.shifted)(phi, shared["drift"] * stack.time)

            def one(phi, psi, own, changed, stack=stack):
                policy = stack.policy
                given = own | changed
                return policy.values(None, phi, psi, given), policy.log_prior(psi)

            values, log_prior = jax.vmap(one)(phi, psi, stack.params, params)
            here = (stack.members, slice(0, values.shape[1]), slice(0, values.shape[2]))
            q, log_q = q.at[here].set(values), log_q.at[here].set(log_prior)
        return q, log_q

    def curves(self, log_cost: Float[Array, " nodes"], shared: Shared) -> Float[Array, "participants nodes"]:
        q, log_q = self._values(shared)
        q, log_q = q[self.pair, self.role], log_q[self.pair, self.role]
        at = jnp.exp(log_cost + shared.get("drift", 0.0) * self.time[:, None])  # (situations, nodes)

        def log_probs(q, log_q, cost, size):
            log_p = jax.vmap(lambda c: tilt(log_q, q, c))(cost)
            return lapsed(log_p, shared.get("lapse"), size)

        if len(self.sizes) <= _FEW:
            return self._told([log_probs(q[s], log_q[s], at[s], size) for s, size in enumerate(self.sizes)])
        return self._told(jax.vmap(log_probs)(q, log_q, at, jnp.asarray(self.sizes)))

    def _told(self, log_p: Any) -> Float[Array, "participants nodes"]:
        """The log-likelihood of everybody's decisions, from log-probabilities (nodes, actions) in each situation."""
        if len(self.sizes) <= _FEW:
            rows = np.split(self._order, self._ends)
            parts = [jnp.asarray(self.counts[own]) @ finite(log_p[s]).T for s, own in enumerate(rows)]
            by_row, person = jnp.concatenate(parts), self.person[self._order]
        else:
            by_row = jnp.einsum("ra,rga->rg", jnp.asarray(self.counts), finite(log_p)[self.situation])
            person = self.person
        if len(person) == len(self.participants) and (person == np.arange(len(person))).all():
            return by_row
        return jax.ops.segment_sum(by_row, person, len(self.participants))

    @property
    def learned(self) -> bool:
        return all(isinstance(s.policy, AmortisedPolicy) for s in self.stacks)

    def of_some(self, people: Int[np.ndarray, " some"]) -> "OneShotLikelihood":
        some, kept = self._of_some(people)
        some.counts, some.situation = self.counts[kept], self.situation[kept]
        some._sort()
        return some

    @property
    def rows(self) -> int:
        return int(np.bincount(self.person).max()) * self.width

    def observe(self, log_cost: Float[Array, " participants"], shared: Shared, own_psi: Any = None) -> None:
        q, log_q = self._values(shared)
        q, log_q = q[self.pair, self.role][self.situation], log_q[self.pair, self.role][self.situation]
        if own_psi is not None:
            log_q = self._own_prior({n: x[self.person] for n, x in own_psi.items()})
        cost = jnp.exp(log_cost[self.person] + shared.get("drift", 0.0) * self.time[self.situation])
        log_p = lapsed(jax.vmap(tilt)(log_q, q, cost), shared.get("lapse"), self.sizes[self.situation][:, None])
        observe_counts(log_p, self.counts)

    def _own_prior(self, psi: Any) -> Float[Array, "rows actions"]:
        out = jnp.full(self.counts.shape, -1e30)
        for stack in self.stacks:
            for role in range(stack.policy.environment.roles):
                mine = np.isin(self.pair[self.situation], stack.members) & (self.role[self.situation] == role)
                rows = np.flatnonzero(mine)
                if len(rows):
                    row = jax.vmap(lambda p, stack=stack, role=role: stack.policy.log_prior_of(role, p, role))
                    found = row({n: x[rows] for n, x in psi.items()})
                    out = out.at[rows, : found.shape[1]].set(found)
        return out

    @property
    def coords(self) -> dict[str, Any]:
        people = np.asarray(self.participants, dtype=str)[self.person]
        games = np.asarray(self.labels, dtype=str)[self.situation]
        return {"cell": np.char.add(np.char.add(people, " · "), games), "action": np.arange(self.width)}

    @property
    def constant(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        available = np.arange(self.width)[None, :] < self.sizes[self.situation][:, None]
        names = np.asarray([label.split(" · ") for label in self.labels], dtype=str)
        return {
            "total": (("cell",), self.counts.sum(axis=1).astype(int)),
            "available": (("cell", "action"), available),
            "cell_game": (("cell",), names[self.situation, 0]),
            "cell_role": (("cell",), names[self.situation, 1]),
            "cell_participant": (("cell",), np.asarray(self.participants, dtype=str)[self.person]),
        }

    @property
    def size(self) -> int:
        return self.counts.size

    def check_support(self) -> None:
        offenders = []
        for stack in self.stacks:
            env = stack.policy.environment
            possible = np.asarray(stack.policy.log_prior() > -1e29)
            for s in np.flatnonzero(np.isin(self.pair, stack.members)):
                rows = self.situation == s
                chosen = self.counts[rows].sum(axis=0)[: possible.shape[1]]
                offenders += [
                    f"{self.labels[s]}, action {env.action_labels[self.role[s]][a]} (chosen {chosen[a]:.0f} times)"
                    for a in np.flatnonzero((chosen > 0) & ~possible[self.role[s]])
                ]
        refuse_impossible(self.source, offenders)


@dataclass(frozen=True)
class _Part:
    """See `Played.parts`."""

    policy: Any
    role: int
    here: Int[np.ndarray, " some"]
    of: Int[np.ndarray, " some"]
    seen: Mapping[str, np.ndarray]  # by distinct situation
    group: Int[np.ndarray, " distinct"]
    time: Float[np.ndarray, " distinct"]
    params: Any


class PlayLikelihood(Played, Likelihood):
    """Of games over time: decisions one by one, each given what was seen before it."""

    def __init__(
        self,
        policy: Policy,
        belief: Population | None,
        decisions: Decisions,
        *,
        group: Int[np.ndarray, " participants"],
        names: tuple[str, ...],
        given: Mapping[str, float] | None = None,
        drifting: bool = False,
    ):
        Played.__init__(self, decisions)
        Likelihood.__init__(self, decisions, group, names, given)
        self.person = self.played["participant"].cat.codes.to_numpy()
        self.decisions = np.bincount(self.person, minlength=len(self.participants))
        self.ways = np.zeros(len(self.participants))
        assert decisions.play is not None
        time = rounds_as_time(decisions)[decisions.play.row] if drifting else np.zeros(len(self.chosen))
        environments = decisions.environments
        own = {n: play_in(policy, e, belief if e.players > 1 else None) for n, e in environments.items()}
        for name, role, rows, seen in by_role(decisions):
            grouped = group[self.person[rows]]
            seen, first, of = distinct(seen, np.stack([grouped, time[rows]], axis=1))
            where = grouped[first], time[rows][first]
            self.parts.append(_Part(own[name], role, rows, of, seen, *where, environments[name].params))

    def _log_probs(self, part: _Part, seen: Any, cost: Any, shared: Shared, group: Any, psi: Any = None) -> Array:
        """Row by row: (rows, actions). `cost` is one number a row."""
        phi, own_psi, params = _unpack({**self.given, **shared}, group)
        psi = own_psi if psi is None else psi
        given = {n: x for n, x in part.params.items() if n not in params}
        one = lambda seen, cost, phi, psi, params: part.policy.log_prob(
            (part.role, seen), cost, phi, psi, {**given, **params}
        )
        log_p = jax.vmap(one)(seen, cost, phi, psi, params)
        size = len(part.policy.environment.action_values[part.role])
        return lapsed(log_p, shared.get("lapse"), size)

    @property
    def learned(self) -> bool:
        return all(isinstance(p.policy, AmortisedPolicy) for p in self.parts)

    def of_some(self, people: Int[np.ndarray, " some"]) -> "PlayLikelihood":
        some, kept = self._of_some(people)
        became = np.cumsum(kept) - 1
        some.chosen, some.played, some.parts = self.chosen[kept], self.played.iloc[kept], []
        for part in self.parts:
            mine = kept[part.here]
            if mine.any():
                used, of = np.unique(part.of[mine], return_inverse=True)
                seen = {k: v[used] for k, v in part.seen.items()}
                changed = {"here": became[part.here[mine]], "of": of.reshape(-1), "seen": seen}
                some.parts.append(replace(part, **changed, group=part.group[used], time=part.time[used]))
        return some

    def _tables(
        self, part: _Part, log_cost: Float[Array, " people"], shared: Shared
    ) -> Iterator[tuple[Array, Int[np.ndarray, " some"], Any]]:
        """By belief group and time, one solution for all: (log-probabilities of the part's role at each of these costs,
        by what may be seen; which of the part's decisions were made there; what was seen before each)."""
        for group, time in sorted(set(zip(part.group.tolist(), part.time.tolist(), strict=True))):
            here = np.flatnonzero((part.group[part.of] == group) & (part.time[part.of] == time))
            seen = part.policy.place(part.role, part.seen)[1][part.of[here]]
            yield self._table(part, log_cost, group, time, shared), here, seen

    def _table(self, part: _Part, log_cost: Float[Array, " people"], group: int, time: float, shared: Shared) -> Array:
        phi, psi, params = jax.tree.map(lambda x: x[0], _unpack({**self.given, **shared}, np.array([group])))
        own = {**part.params, **params}
        cost = jnp.exp(log_cost + shared.get("drift", 0.0) * time)
        log_p = part.policy.tables(cost, phi, psi, own)[:, part.role]
        return lapsed(log_p, shared.get("lapse"), len(part.policy.environment.action_values[part.role]))

    def _values_everywhere(self, part: _Part, shared: Shared) -> Float[Array, " actions"] | None:
        """What actions are worth, where that depends on nothing that is seen or inferred."""
        values = getattr(part.policy.environment, "values_everywhere", None)
        moves = "drift" in shared or any(n.startswith("params.") for n in shared)
        solved = isinstance(part.policy, ExactPolicy)
        return values(part.params) if values is not None and solved and not moves else None

    def _tilted(
        self, part: _Part, q: Float[Array, " actions"], log_cost: Float[Array, " nodes"], shared: Shared
    ) -> Float[Array, "decisions nodes"]:
        """Log-probabilities of the part's decisions at each cost: Z of all situations is one product of matrices."""
        _, psi, _ = _unpack({**self.given, **shared}, part.group)
        prior, grid = part.policy.prior, jnp.asarray(part.policy.environment.action_values[part.role], q.dtype)
        # Weights do, where probabilities would be normalised twice.
        weight = lambda seen, psi: prior.log_weight(seen, psi or prior.defaults, role=part.role, action_values=grid)
        log_q = jnp.maximum(jax.vmap(weight)(part.seen, psi), ABSENT)
        log_q = jax.lax.optimization_barrier(log_q)  # or XLA takes seconds to fold it
        log_q = log_q - jax.lax.stop_gradient(jnp.max(log_q, axis=1, keepdims=True))
        gain = (q - jnp.max(q))[:, None] / jnp.exp(log_cost)
        z = jnp.exp(log_q) @ jnp.exp(gain)
        log_z = jnp.log(jnp.maximum(z, jnp.finfo(z.dtype).tiny))
        of, chosen = part.of, self.chosen[part.here]
        log_p = log_q[of, chosen][:, None] + gain[chosen] - log_z[of]
        return lapsed(log_p, shared.get("lapse"), len(part.policy.environment.action_values[part.role]))

    def curves(self, log_cost: Float[Array, " nodes"], shared: Shared) -> Float[Array, "participants nodes"]:
        total = jnp.zeros((len(self.participants), log_cost.shape[0]))
        for part in self.parts:
            if getattr(part.policy, "tabled", False):
                for table, here, seen in self._tables(part, log_cost, shared):
                    rows = finite(table)[:, seen, self.chosen[part.here[here]]]
                    total = total + jax.ops.segment_sum(rows.T, self.person[part.here[here]], len(self.participants))
                continue
            if (q := self._values_everywhere(part, shared)) is not None:
                rows = self._tilted(part, q, log_cost, shared)
                total = total + jax.ops.segment_sum(rows, self.person[part.here], len(self.participants))
                continue
            drift = shared.get("drift", 0.0) * part.time

            def node(x, part=part, drift=drift):
                cost = jnp.exp(x + drift)
                log_p = finite(self._log_probs(part, part.seen, cost, shared, part.group))
                return log_p[part.of, self.chosen[part.here]]

            batch = int(np.clip(AT_ONCE / (len(part.group) * self.width * 4), 1, log_cost.shape[0]))
            rows = jax.lax.map(node, log_cost, batch_size=batch)  # (nodes, decisions)
            total = total + jax.ops.segment_sum(rows.T, self.person[part.here], len(self.participants))
        return total

    def observe(self, log_cost: Float[Array, " participants"], shared: Shared, own_psi: Any = None) -> None:
        log_probs = jnp.full((len(self.chosen), self.width), -jnp.inf)
        for part in self.parts:
            # People differ in their costs: here the distinct situations are those of one person.
            person = self.person[part.here]
            if getattr(part.policy, "tabled", False) and own_psi is None:
                for table, here, seen in self._tables(part, log_cost, shared):
                    rows = table[person[here], seen]
                    log_probs = log_probs.at[part.here[here], : rows.shape[1]].set(rows)
                continue
            cost = jnp.exp(log_cost[person] + shared.get("drift", 0.0) * part.time[part.of])
            seen = {k: v[part.of] for k, v in part.seen.items()}
            psi = None if own_psi is None else {n: x[person] for n, x in own_psi.items()}
            rows = self._log_probs(part, seen, cost, shared, part.group[part.of], psi)
            log_probs = log_probs.at[part.here, : rows.shape[1]].set(rows)
        self._observe(log_probs)


def _unpack(shared: Shared, group: Int[np.ndarray, " rows"]) -> tuple[Any, Any, dict[str, Any]]:
    """(phi, psi, params) with one entry a row, from scalars or arrays by belief group."""
    kinds: dict[str, dict[str, Any]] = {"phi": {}, "psi": {}, "params": {}}
    for name, value in shared.items():
        kind, dot, short = name.partition(".")
        if dot:
            value = jnp.asarray(value, jnp.result_type(float))
            kinds[kind][short] = value[group] if value.ndim else jnp.broadcast_to(value, (len(group),))
    return kinds["phi"] or None, kinds["psi"] or None, kinds["params"]


def rounds_as_time(decisions: Decisions) -> Float[np.ndarray, " rows"]:
    """From 0 in the first round to 1 in the last, in at most `BLOCKS` steps."""
    if "round" not in decisions.table:
        raise InputError(f"{decisions.source} has no column 'round', so no cost can drift over the rounds.")
    round_ = decisions.table["round"].to_numpy(float)
    first, last = round_.min(), round_.max()
    if not last > first:
        raise InputError(
            f"{decisions.source} has one round ({first:g}) only, so no cost can drift: leave out learning."
        )
    time = (round_ - first) / (last - first)
    if len(np.unique(time)) <= BLOCKS:
        return time
    return (np.minimum(np.floor(time * BLOCKS), BLOCKS - 1) + 0.5) / BLOCKS
