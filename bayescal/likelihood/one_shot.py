"""The likelihood of one-shot games played by people with costs of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.special import gammaln

from bayescal.likelihood.base import Likelihood, Shared, rounds_as_time, unpack
from bayescal.likelihood.choices import finite, lapsed, observe_counts, refuse_impossible
from bayescal.likelihood.known_costs import stacked
from bayescal.likelihood.plays import play_in
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import Policy, tilt
from bayescal.populations.base import Population
from bayescal.table.codes import unique_rows
from bayescal.table.decisions import Decisions

_FEW = 64  # situations that are looped over; more are gathered


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
            phi, psi, params = unpack({**self.given, **shared}, stack.group)
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
