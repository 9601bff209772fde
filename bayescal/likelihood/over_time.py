"""The likelihood of games over time played by people with costs of their own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.environments.own_solution import SolvesItself
from bayescal.evaluation.batches import AT_ONCE
from bayescal.likelihood.base import Likelihood, Shared, rounds_as_time, unpack
from bayescal.likelihood.choices import finite, lapsed
from bayescal.likelihood.plays import Played, by_role, distinct, play_in
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import ABSENT, Policy
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.base import Population
from bayescal.table.decisions import Decisions


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
        phi, own_psi, params = unpack({**self.given, **shared}, group)
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
        phi, psi, params = jax.tree.map(lambda x: x[0], unpack({**self.given, **shared}, np.array([group])))
        own = {**part.params, **params}
        cost = jnp.exp(log_cost + shared.get("drift", 0.0) * time)
        log_p = part.policy.tables(cost, phi, psi, own)[:, part.role]
        return lapsed(log_p, shared.get("lapse"), len(part.policy.environment.action_values[part.role]))

    def _values_everywhere(self, part: _Part, shared: Shared) -> Float[Array, " actions"] | None:
        """What actions are worth, where that depends on nothing that is seen or inferred."""
        environment = part.policy.environment
        moves = "drift" in shared or any(n.startswith("params.") for n in shared)
        solved = isinstance(part.policy, ExactPolicy)
        own = isinstance(environment, SolvesItself) and solved and not moves
        return environment.values_everywhere(part.params) if own else None

    def _tilted(
        self, part: _Part, q: Float[Array, " actions"], log_cost: Float[Array, " nodes"], shared: Shared
    ) -> Float[Array, "decisions nodes"]:
        """Log-probabilities of the part's decisions at each cost: Z of all situations is one product of matrices."""
        _, psi, _ = unpack({**self.given, **shared}, part.group)
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
