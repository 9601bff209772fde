"""The likelihood of one-shot games: counts are sufficient."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray
from bayescal.likelihood.base import (
    CommonLikelihood,
    OwnPsi,
    PrivateLikelihood,
    Shared,
    by_kind,
    by_row,
    moving,
    of_each,
    play_in,
    refuse_unsolved,
)
from bayescal.likelihood.choices import lapsed
from bayescal.likelihood.one_shot_data import OneShotData, Stack, cells, personal
from bayescal.policies.base import ABSENT, Policy, tilt
from bayescal.policies.learned import LearnedPolicy
from bayescal.populations.base import Population
from bayescal.precision import double_precision
from bayescal.table.decisions import Decisions

_FEW = 64  # up to so many situations are computed one by one, more by one vmapped call


@dataclass(frozen=True, eq=False)
class OneShotCommon(CommonLikelihood):
    """One-shot games in which costs are common knowledge, or people are of types, or there are no subject identifiers.

    Every game is solved once for each level of the cost. Log-probabilities that no inferred number changes are computed
    when the likelihood is built.

    Attributes:
        policies: one for each stack of games.
        given: fixed shared numbers.
        solved: log-probabilities of every instance, if no inferred number changes them.
    """

    data: OneShotData
    policies: tuple[Policy, ...]
    given: Shared
    solved: Float[np.ndarray, "instances types roles actions"] | None = None

    @classmethod
    def of(
        cls,
        policy: Policy,
        population: Population | None,
        decisions: Decisions,
        *,
        given: Shared | None = None,
        constant: bool = False,
        level: Int[np.ndarray, " cells"] | None = None,
    ) -> "OneShotCommon":
        """
        Args:
            policy: for any of the games.
            population: the population of costs, if costs are private and there are no subject identifiers.
            given: fixed shared numbers.
            constant: no inferred number changes the log-probabilities, except lapses.
            level: level of each cell of the decisions; the shared "cost" then has one entry per level.
        """
        rows = cells(decisions)
        data = OneShotData.of(
            decisions, rows, np.zeros((len(rows.game), 0)) if level is None else level[:, None].astype(float)
        )
        made = cls(data, tuple(_in_all(policy, s, population) for s in data.stacks), given or {})
        return made._solve_now() if constant else made

    def _solve_now(self) -> "OneShotCommon":
        with double_precision():
            solved = np.asarray(jax.jit(lambda: self._solve({}))())
        refuse_unsolved(solved, self.policies[0])
        return replace(self, solved=solved)

    @property
    def types(self) -> int:
        return getattr(self.policies[0], "levels", 0) + 1

    @property
    def type_name(self) -> str:
        return getattr(self.policies[0], "type_name", "level")

    def log_shares(self, shared: Shared) -> Float[Array, " types"]:
        policy: Any = self.policies[0]
        return jnp.zeros(1) if self.types == 1 else policy.log_shares(by_kind(shared)[0])

    def tables(self, shared: Shared) -> Float[Array, "instances types roles actions"]:
        """Log-probabilities of every type in every role of every instance."""
        return self._solve(shared) if self.solved is None else jnp.asarray(self.solved)

    def _solve(self, shared: Shared) -> Float[Array, "instances types roles actions"]:
        shared = {**self.given, **shared}
        cost = shared.get("cost")
        phi, psi, params = by_kind(shared)

        def stack_of(policy: Any, stack: Stack) -> Float[Array, "members types roles actions"]:
            one_level = cost is None or jnp.ndim(cost) == 0
            own = cost if one_level else of_each(cost, stack.by[:, 0])

            def solve(cost, own):
                if self.types > 1:
                    return policy.log_prob_by_level(cost, phi, psi or None, own | params)
                return policy.log_prob_all(cost, phi or None, psi or None, own | params)[None]

            return jax.vmap(solve, in_axes=(None if one_level else 0, 0))(own, stack.params)

        return self.data.tables(list(map(stack_of, self.policies, self.data.stacks)), -jnp.inf)

    def _log_probs(self, shared: Shared) -> Float[Array, "situations types actions"]:
        log_p = self.data.at(self.tables(shared))
        return lapsed(log_p, shared.get("lapse"), self.data.sizes[:, None, None])

    def by_person(self, shared: Shared) -> Float[Array, "participants types"]:
        return self.data.by_person(self._log_probs(shared))

    def observe(self, shared: Shared, type_of: Int[Array, " participants"] | None = None) -> None:
        log_p = self._log_probs(shared)
        own = 0 if type_of is None else type_of[self.data.person]
        self.data.observe(log_p[self.data.situation, own])

    def observe_mixture(self, shared: Shared) -> None:
        """The NumPyro site of the counts if every decision is by another person: probabilities are averaged over
        types."""
        by_type = jnp.maximum(self.tables(shared), ABSENT) + self.log_shares(shared)[:, None, None]
        log_p = self.data.at(jax.nn.logsumexp(by_type, axis=1))
        log_p = lapsed(jnp.where(log_p <= ABSENT / 2, -jnp.inf, log_p), shared.get("lapse"), self.data.sizes[:, None])
        self.data.observe(log_p[self.data.situation])

    def with_counts(self, counts: Float[Array, "rows actions"]) -> "OneShotCommon":
        """The same people with other choices; `ways` stays, as it moves no posterior."""
        return replace(self, data=replace(self.data, counts=counts))

    def check_support(self) -> None:
        self.data.check_support(self.policies)


@dataclass(frozen=True, eq=False)
class OneShotPrivate(PrivateLikelihood):
    """One-shot games of people with private costs.

    The expected payoff of an action does not depend on one's own cost, so one solution of each instance serves all
    costs. Values that no inferred number changes are computed when the likelihood is built.

    Attributes:
        policies: one for each stack of games.
        solved: (values, log q) of every instance, if no inferred number changes them.
    """

    data: OneShotData
    policies: tuple[Policy, ...]
    names: tuple[str, ...]
    given: Shared
    solved: tuple[np.ndarray, np.ndarray] | None = None

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
    ) -> "OneShotPrivate":
        """
        Args:
            policy: for any of the games.
            belief: the population that others' costs are believed to come from.
            group: the belief group of each participant.
            names: the inferred shared numbers.
            given: the fixed shared numbers.
            drifting: costs change over the rounds (in at most ten blocks).
        """
        rows = personal(decisions, drifting=drifting)
        data = OneShotData.of(decisions, rows, np.stack([group[rows.person], rows.time], axis=1))
        beliefs = [belief if s.environment.players > 1 else None for s in data.stacks]
        policies = tuple(_in_all(policy, s, b) for s, b in zip(data.stacks, beliefs, strict=True))
        made = cls(data, policies, tuple(names), given or {})
        return made if moving(made.names) else made._solve_now()

    def _solve_now(self) -> "OneShotPrivate":
        with double_precision():
            q, log_q = jax.jit(lambda: self._solve({}))()
            return replace(self, solved=(np.asarray(q), np.asarray(log_q)))

    def _values(self, shared: Shared) -> tuple[Float[Array, "situations actions"], Float[Array, "situations actions"]]:
        """(value of each action, log q) by situation."""
        q, log_q = self._solve(shared) if self.solved is None else map(jnp.asarray, self.solved)
        return self.data.at(q), self.data.at(log_q)

    def _solve(
        self, shared: Shared
    ) -> tuple[Float[Array, "instances roles actions"], Float[Array, "instances roles actions"]]:
        def stack_of(policy: Any, stack: Stack) -> tuple[Array, Array]:
            group, time = stack.by.T
            phi, psi, params = by_row({**self.given, **shared}, group.astype(int))
            if phi is not None and "drift" in shared:
                phi = jax.vmap(policy.population.shifted)(phi, shared["drift"] * time)
            one = lambda phi, psi, own, params: (policy.values(None, phi, psi, own | params), policy.log_prior(psi))
            return jax.vmap(one)(phi, psi, stack.params, params)

        values, log_priors = zip(*map(stack_of, self.policies, self.data.stacks), strict=True)
        return self.data.tables(values, 0.0), self.data.tables(log_priors, ABSENT)

    @property
    def _time(self) -> Float[np.ndarray, " situations"]:
        time = np.zeros(self.data.instances)
        for stack in self.data.stacks:
            time[stack.members] = stack.by[:, 1]
        return time[self.data.instance]

    def curves(self, log_cost: Float[AnyArray, " nodes"], shared: Shared) -> Float[Array, "participants nodes"]:
        q, log_q = self._values(shared)
        cost = jnp.exp(log_cost + shared.get("drift", 0.0) * self._time[:, None])  # (situations, nodes)
        sizes = self.data.sizes

        def log_probs(q, log_q, cost, size):
            log_p = jax.vmap(lambda c: tilt(log_q, q, c))(cost)
            return lapsed(log_p, shared.get("lapse"), size)

        if len(sizes) <= _FEW:
            return self.data.by_person([log_probs(q[s], log_q[s], cost[s], size) for s, size in enumerate(sizes)])
        return self.data.by_person(jax.vmap(log_probs)(q, log_q, cost, jnp.asarray(sizes)))

    def observe(
        self, log_cost: Float[AnyArray, " participants"], shared: Shared, own_psi: OwnPsi | None = None
    ) -> None:
        situation, person = self.data.situation, self.data.person
        q, log_q = (x[situation] for x in self._values(shared))
        if own_psi is not None:
            log_q = self._own_log_prior({n: x[person] for n, x in own_psi.items()})
        cost = jnp.exp(log_cost[person] + shared.get("drift", 0.0) * self._time[situation])
        options = self.data.sizes[situation][:, None]
        self.data.observe(lapsed(jax.vmap(tilt)(log_q, q, cost), shared.get("lapse"), options))

    def _own_log_prior(self, psi: dict[str, Float[Array, " rows"]]) -> Float[Array, "rows actions"]:
        """log q of each row, at its own habit parameters."""
        instance, role_of = self.data.instance[self.data.situation], self.data.role[self.data.situation]
        out = jnp.full(self.data.counts.shape, ABSENT)
        for policy, stack in zip(self.policies, self.data.stacks, strict=True):
            log_prior_of: Any = policy.log_prior_of  # ty: ignore[missing-attribute]
            for role in range(stack.environment.roles):
                rows = np.flatnonzero(np.isin(instance, stack.members) & (role_of == role))
                if len(rows):
                    own = jax.vmap(lambda p, role=role, of=log_prior_of: of(role, p, role))
                    log_q = own({n: x[rows] for n, x in psi.items()})
                    out = out.at[rows, : log_q.shape[1]].set(log_q)
        return out

    def with_counts(self, counts: Float[Array, "rows actions"]) -> "OneShotPrivate":
        """The same people with other choices; `ways` stays, as it moves no posterior."""
        return replace(self, data=replace(self.data, counts=counts))

    def check_support(self) -> None:
        self.data.check_support(self.policies)


def _in_all(policy: Policy, stack: Stack, population: Population | None) -> Policy:
    """The policy in the games of a stack, for this population; a learned one must answer for all of them."""
    here = play_in(policy, stack.environment, population)
    if isinstance(here, LearnedPolicy):
        here.check(None, None, None, stack.params)
    return here
