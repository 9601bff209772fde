"""The likelihood of games over time: each decision given the observation before it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Parameters
from bayescal.environments.finite import FiniteGame
from bayescal.environments.own_solution import SolvesItself
from bayescal.environments.repeated import Repeated
from bayescal.errors import InputError
from bayescal.evaluation.batches import AT_ONCE, map_in_batches
from bayescal.likelihood.base import (
    CommonLikelihood,
    OwnPsi,
    PrivateLikelihood,
    Shared,
    by_kind,
    by_row,
    of_each,
    play_in,
    refuse_unsolved,
)
from bayescal.likelihood.choices import finite, lapsed
from bayescal.likelihood.over_time_data import OverTimeData, Part
from bayescal.likelihood.rounds import rounds_as_time
from bayescal.policies.base import ABSENT, Policy
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.base import Population
from bayescal.precision import double_precision
from bayescal.table.decisions import Decisions


@dataclass(frozen=True, eq=False)
class OverTimeCommon(CommonLikelihood):
    """Games over time in which costs are common knowledge.

    Log-probabilities that no inferred number changes are computed when the likelihood is built.

    Attributes:
        policies: one for each game.
        given: fixed shared numbers.
        solved: log-probabilities of each part by situation, if no inferred number changes them.
    """

    data: OverTimeData
    policies: tuple[Policy, ...]
    given: Shared
    solved: tuple[Float[np.ndarray, "_ _"], ...] | None = None

    @classmethod
    def of(
        cls,
        policy: Policy,
        population: Population | None,
        decisions: Decisions,
        *,
        given: Shared | None = None,
        constant: bool = False,
        by: str | None = None,
    ) -> "OverTimeCommon":
        """
        Args:
            policy: for any of the games.
            population: the population that others' costs are believed to come from, in a learned policy.
            given: fixed shared numbers.
            constant: no inferred number changes the log-probabilities, except lapses.
            by: the level at which costs differ; the shared "cost" then has one entry per level.

        Raises:
            InputError: players would have to know each other's costs.
        """
        assert decisions.play is not None
        environments = list(decisions.environments.values())
        crowded = [e for e in environments if e.players > 1]
        if by == "participant" and crowded:
            raise InputError(
                f"by='participant' makes costs common knowledge: the players of {crowded[0].name} would have to know "
                "each other's. Give a population (bayescal.populations.LogNormal()) for private costs."
            )
        levels = np.zeros((len(decisions.play.row), 0))
        if by is not None:
            levels = decisions.table[by].cat.codes.to_numpy()[decisions.play.row][:, None].astype(float)
        data = OverTimeData.of(decisions, levels)
        policies = tuple(play_in(policy, e, population if e.players > 1 else None) for e in environments)
        made = cls(data, policies, given or {})
        return made._solve_now() if constant else made

    def _solve_now(self) -> "OverTimeCommon":
        solved = []
        with double_precision():
            for part in self.data.parts:
                solve = lambda seen, part=part: self._solve(part._replace(seen=seen), {})
                # A finite game is solved outside jit: the solution is then indexed by the observations.
                rows = (solve if isinstance(part.environment, FiniteGame) else jax.jit(solve))(part.seen)
                refuse_unsolved(np.asarray(rows), self.policies[part.game])
                solved.append(np.asarray(rows))
        return replace(self, solved=tuple(solved))

    @property
    def types(self) -> int:
        return 1

    def log_shares(self, shared: Shared) -> Float[Array, " types"]:
        return jnp.zeros(1)

    def _solve(self, part: Part, shared: Shared) -> Float[Array, "situations actions"]:
        shared = {**self.given, **shared}
        phi, psi, params = by_kind(shared)
        cost = shared.get("cost", 0.0)  # policies without a cost ignore it
        own = of_each(cost, part.by[:, 0]) if part.by.shape[1] else cost
        policy, params = self.policies[part.game], {**part.environment.params, **params}
        return policy.log_prob_cells(part.role, part.seen, own, phi or None, psi or None, params)

    def _log_probs(self, shared: Shared) -> Iterator[tuple[Part, Float[Array, "situations actions"]]]:
        for i, part in enumerate(self.data.parts):
            log_p = self._solve(part, shared) if self.solved is None else jnp.asarray(self.solved[i])
            yield part, lapsed(log_p, shared.get("lapse"), part.options)

    def by_person(self, shared: Shared) -> Float[Array, "participants types"]:
        return sum(
            (
                self.data.by_person(finite(log_p)[part.situation, self.data.chosen_in(part)][:, None], part.here)
                for part, log_p in self._log_probs(shared)
            ),
            jnp.zeros((len(self.data.participants), 1)),
        )

    def observe(self, shared: Shared, type_of: Int[Array, " participants"] | None = None) -> None:
        self.data.observe([(part.here, log_p[part.situation]) for part, log_p in self._log_probs(shared)])

    def check_support(self) -> None:
        self.data.check_support(self.policies)


class _Solution(NamedTuple):
    """Decisions of a part that share one solution: those of one belief group at one time.

    Attributes:
        here: indices of the decisions in the part.
        seen: index of each decision's observation among the situations of `log_p`.
        log_p: log-probabilities at each cost, in each situation of the game.
    """

    here: Int[np.ndarray, " some"]
    seen: Int[np.ndarray, " some"]
    log_p: Float[Array, "costs situations actions"]


@dataclass(frozen=True, eq=False)
class OverTimePrivate(PrivateLikelihood):
    """Games over time of people with private costs.

    There are three algorithms for the log-probabilities of a part, fastest first: one solution for all costs and
    situations (finite games); values that do not depend on the situation, and one matrix product (a newsvendor);
    situation by situation.

    Attributes:
        policies: one for each game.
    """

    data: OverTimeData
    policies: tuple[Policy, ...]
    names: tuple[str, ...]
    given: Shared

    @classmethod
    def of(
        cls,
        policy: Policy,
        belief: Population | None,
        decisions: Decisions,
        *,
        group: Int[np.ndarray, " participants"],
        names: Sequence[str],
        given: Shared | None = None,
        drifting: bool = False,
    ) -> "OverTimePrivate":
        """See `OneShotPrivate.of`."""
        assert decisions.play is not None
        row = decisions.play.row
        time = rounds_as_time(decisions)[row] if drifting else np.zeros(len(row))
        person = decisions.table["participant"].cat.codes.to_numpy()[row]
        data = OverTimeData.of(decisions, np.stack([group[person], time], axis=1))
        environments = decisions.environments.values()
        policies = tuple(play_in(policy, e, belief if e.players > 1 else None) for e in environments)
        return cls(data, policies, tuple(names), given or {})

    def curves(self, log_cost: Float[AnyArray, " nodes"], shared: Shared) -> Float[Array, "participants nodes"]:
        total = jnp.zeros((len(self.participants), log_cost.shape[0]))
        for part in self.data.parts:
            for here, log_p in self._of_chosen(part, log_cost, shared):
                total = total + self.data.by_person(log_p, here)
        return total

    def _of_chosen(
        self, part: Part, log_cost: Float[AnyArray, " nodes"], shared: Shared
    ) -> Iterator[tuple[Int[np.ndarray, " some"], Float[Array, "some nodes"]]]:
        """(indices of decisions, log-probability of each choice at each node of log cost)."""
        chosen = self.data.chosen_in(part)
        if self._tabled(part):
            for solution in self._solutions(part, log_cost, shared):
                log_p = finite(solution.log_p)[:, solution.seen, chosen[solution.here]]
                yield part.here[solution.here], log_p.T
        elif (q := self._values_everywhere(part, shared)) is not None:
            yield part.here, self._tilted(part, q, log_cost, shared)
        else:
            group, time = part.by.T
            drift = shared.get("drift", 0.0) * time

            def node(x: Float[Array, ""]) -> Float[Array, " decisions"]:
                log_p = self._log_probs(part, part.seen, jnp.exp(x + drift), shared, group.astype(int))
                return finite(log_p)[part.situation, chosen]

            batch = int(np.clip(AT_ONCE / (len(group) * self.data.width * 4), 1, log_cost.shape[0]))
            yield part.here, map_in_batches(node, log_cost, batch).T

    def observe(
        self, log_cost: Float[AnyArray, " participants"], shared: Shared, own_psi: OwnPsi | None = None
    ) -> None:
        self.data.observe([x for part in self.data.parts for x in self._of_everybody(part, log_cost, shared, own_psi)])

    def _of_everybody(
        self, part: Part, log_cost: Float[AnyArray, " participants"], shared: Shared, own_psi: OwnPsi | None
    ) -> Iterator[tuple[Int[np.ndarray, " some"], Float[Array, "some actions"]]]:
        """(indices of decisions, log-probabilities of all actions at the cost of the person who decided)."""
        person = self.data.person_in(part)
        if isinstance(part.environment, Repeated) and self._tabled(part) and own_psi is None:
            yield from self._of_repeated(part, log_cost, shared)
        elif self._tabled(part) and own_psi is None:
            for solution in self._solutions(part, log_cost, shared):
                yield part.here[solution.here], solution.log_p[person[solution.here], solution.seen]
        else:
            # Costs differ by person, so situations are not shared.
            group, time = part.by[part.situation].T
            cost = jnp.exp(log_cost[person] + shared.get("drift", 0.0) * time)
            seen = {k: v[part.situation] for k, v in part.seen.items()}
            psi = None if own_psi is None else {n: x[person] for n, x in own_psi.items()}
            yield part.here, self._log_probs(part, seen, cost, shared, group.astype(int), psi)

    def _log_probs(
        self,
        part: Part,
        seen: Mapping[str, np.ndarray],
        cost: Float[Array, " rows"],
        shared: Shared,
        group: Int[np.ndarray, " rows"],
        own_psi: dict[str, Float[Array, " rows"]] | None = None,
    ) -> Float[Array, "rows actions"]:
        """Log-probabilities of each row, at its own cost."""
        phi, psi, params = by_row({**self.given, **shared}, group)
        policy = self.policies[part.game]
        own = {n: x for n, x in part.environment.params.items() if n not in params}

        def one(seen, cost, phi, psi, params):
            return policy.log_prob((part.role, seen), cost, phi, psi, {**own, **params})

        log_p = jax.vmap(one)(seen, cost, phi, psi if own_psi is None else own_psi, params)
        return lapsed(log_p, shared.get("lapse"), part.options)

    # --- One solution for all costs and situations -------------------------------------------------------------------

    def _tabled(self, part: Part) -> bool:
        return getattr(self.policies[part.game], "tabled", False)

    def _solutions(self, part: Part, log_cost: Float[AnyArray, " costs"], shared: Shared) -> Iterator[_Solution]:
        policy: Any = self.policies[part.game]
        for here, cost, (phi, psi, params) in self._by_solution(part, log_cost, shared):
            if isinstance(part.environment, Repeated):
                rows, seen = np.unique(part.situation[here], return_inverse=True)
                log_p = policy.tables_at({n: x[rows] for n, x in part.seen.items()}, cost, phi, psi, params)
            else:
                seen = policy.place(part.role, part.seen)[1][part.situation[here]]
                log_p = policy.tables(cost, phi, psi, params)[:, part.role]
            yield _Solution(here, seen, lapsed(log_p, shared.get("lapse"), part.options))

    def _of_repeated(
        self, part: Part, log_cost: Float[AnyArray, " participants"], shared: Shared
    ) -> Iterator[tuple[Int[np.ndarray, " some"], Float[Array, "some actions"]]]:
        """`_of_everybody` in a repeated game: solved once, and looked up at each person's own cost only."""
        policy: Any = self.policies[part.game]
        person = self.data.person_in(part)
        for here, cost, given in self._by_solution(part, log_cost, shared):
            seen = {n: x[part.situation[here]] for n, x in part.seen.items()}
            log_p = policy.log_prob_people(seen, person[here], cost, *given)
            yield part.here[here], lapsed(log_p, shared.get("lapse"), part.options)

    def _by_solution(
        self, part: Part, log_cost: Float[AnyArray, " costs"], shared: Shared
    ) -> Iterator[tuple[Int[np.ndarray, " some"], Float[Array, " costs"], tuple[Parameters, Parameters, Parameters]]]:
        """(indices in the part of decisions that share one solution, costs there, its phi, psi and params)."""
        group, time = part.by.T
        for g, t in sorted(set(zip(group.tolist(), time.tolist(), strict=True))):
            here = np.flatnonzero(((group == g) & (time == t))[part.situation])
            by_group = by_row({**self.given, **shared}, np.array([int(g)]))
            phi, psi, params = jax.tree.map(lambda x: x[0], by_group)
            cost = jnp.exp(log_cost + shared.get("drift", 0.0) * t)
            yield here, cost, (phi, psi, {**part.environment.params, **params})

    # --- Values that do not depend on the situation ------------------------------------------------------------------

    def _values_everywhere(self, part: Part, shared: Shared) -> Float[Array, " actions"] | None:
        """Q of each action, if it depends neither on observations nor on inferred numbers."""
        moves = "drift" in shared or any(n.startswith("params.") for n in shared)
        environment, policy = part.environment, self.policies[part.game]
        own = isinstance(environment, SolvesItself) and isinstance(policy, ExactPolicy) and not moves
        return environment.values_everywhere(environment.params) if own else None

    def _tilted(
        self, part: Part, q: Float[Array, " actions"], log_cost: Float[AnyArray, " nodes"], shared: Shared
    ) -> Float[Array, "decisions nodes"]:
        """Log-probabilities of the part's decisions at each cost; Z of all situations is one matrix product."""
        policy: Any = self.policies[part.game]
        prior, grid = policy.prior, jnp.asarray(part.environment.action_values[part.role], q.dtype)
        psi = by_row({**self.given, **shared}, part.by[:, 0].astype(int))[1]
        # Unnormalised weights suffice: they are normalised below.
        weight = lambda seen, psi: prior.log_weight(seen, psi or prior.defaults, role=part.role, action_values=grid)
        log_q = jnp.maximum(jax.vmap(weight)(part.seen, psi), ABSENT)
        log_q = jax.lax.optimization_barrier(log_q)  # otherwise XLA takes seconds to fold it
        log_q = log_q - jax.lax.stop_gradient(jnp.max(log_q, axis=1, keepdims=True))
        gain = (q - jnp.max(q))[:, None] / jnp.exp(log_cost)
        z = jnp.exp(log_q) @ jnp.exp(gain)
        log_z = jnp.log(jnp.maximum(z, jnp.finfo(z.dtype).tiny))
        situation, chosen = part.situation, self.data.chosen_in(part)
        log_p = log_q[situation, chosen][:, None] + gain[chosen] - log_z[situation]
        return lapsed(log_p, shared.get("lapse"), part.options)

    def check_support(self) -> None:
        self.data.check_support(self.policies)
