"""Interfaces of likelihoods: for people with private costs, and for people who behave alike.

A likelihood is data plus a behaviour. The data (`OneShotData`, `OverTimeData`) hold who chose what in which situation.
The behaviour gives the log-probability of each action there, as a function of **shared numbers**, named as in a
`Domain`: "phi.NAME" (the population that others' costs are believed to come from), "psi.NAME" (the habit),
"params.NAME" (the game), "lapse", "drift", and "cost" if everybody knows it. Shared numbers are scalars, or arrays
with one entry for each belief group (people who meet each other).

There is a class for each behaviour and kind of data:

                    one-shot games        games over time
    common cost     OneShotCommon         OverTimeCommon      (or a type of each person: levels of reasoning)
    private costs   OneShotPrivate        OverTimePrivate
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.likelihood.one_shot_data import OneShotData
from bayescal.likelihood.over_time_data import OverTimeData
from bayescal.policies.base import Policy
from bayescal.policies.learned import LearnedPolicy
from bayescal.populations.base import Population

Number = float | AnyArray
Shared = Mapping[str, Number]
OwnPsi = Mapping[str, Float[Array, " participants"]]  # habit parameters of each person
Labelled = dict[str, tuple[tuple[str, ...], np.ndarray]]  # (dims, values) by name


@dataclasses.dataclass(frozen=True, eq=False)
class PrivateLikelihood(ABC):
    """The decisions of people with private costs.

    `curves` gives everybody's log-likelihood at common nodes of log cost, for integrals over costs; `observe` is a
    NumPyro statement about the decisions of people whose costs are given.

    Attributes:
        data: who chose what in which situation.
        policies: compute probabilities; one for each kind of game in the data.
        names: the shared numbers that the likelihood depends on.
        given: fixed shared numbers.
    """

    data: OneShotData | OverTimeData
    policies: tuple[Policy, ...]
    names: tuple[str, ...]
    given: Shared

    @abstractmethod
    def curves(self, log_cost: Float[AnyArray, " nodes"], shared: Shared) -> Float[Array, "participants nodes"]:
        """The log-likelihood of each person's decisions at each of these log costs."""

    @abstractmethod
    def observe(
        self, log_cost: Float[AnyArray, " participants"], shared: Shared, own_psi: OwnPsi | None = None
    ) -> None:
        """The NumPyro site of the decisions of people with these log costs (and their own habits, if given)."""

    @abstractmethod
    def check_support(self) -> None:
        """Raises InputError if the habit gives a choice in the data probability zero."""

    def of_some(self, people: Int[np.ndarray, " some"]) -> "PrivateLikelihood":
        """The likelihood of a subset of the people, by index."""
        return dataclasses.replace(self, data=self.data.of_some(people))

    def shards(self, most: int) -> "Iterator[PrivateLikelihood]":
        """The likelihood in parts with at most `most` decisions each, and at least one person."""
        start, total = 0, np.cumsum(np.minimum(self.decisions, self.data.most_rows))
        while start < len(self.participants):
            before = total[start - 1] if start else 0
            stop = max(int(np.searchsorted(total, before + most, side="right")), start + 1)
            yield self.of_some(np.arange(start, stop))
            start = stop

    @property
    def participants(self) -> tuple[str, ...]:
        return self.data.participants

    @property
    def decisions(self) -> Int[np.ndarray, " participants"]:
        """Number of decisions of each person."""
        return self.data.decisions

    @property
    def learned(self) -> bool:
        """Whether all policies are networks, which are fast and smooth."""
        return all(p.facts.learned for p in self.policies)


@dataclasses.dataclass(frozen=True, eq=False)
class CommonLikelihood(ABC):
    """The decisions of people who behave alike at the same shared numbers, or who are of a few types.

    Attributes:
        data: who chose what in which situation.
        types: number of types; 1 if all people are alike.
    """

    data: OneShotData | OverTimeData

    @property
    @abstractmethod
    def types(self) -> int: ...

    @property
    def type_name(self) -> str:
        """The site of everybody's type: "level", or "kind" where types are not levels of reasoning alone."""
        return "level"

    @abstractmethod
    def log_shares(self, shared: Shared) -> Float[Array, " types"]:
        """Log-probabilities of the types."""

    @abstractmethod
    def by_person(self, shared: Shared) -> Float[Array, "participants types"]:
        """Log-likelihood of each person's decisions, by type."""

    @abstractmethod
    def observe(self, shared: Shared, type_of: Int[Array, " participants"] | None = None) -> None:
        """The NumPyro site of the decisions, given the type of each person (None: the first)."""

    @abstractmethod
    def check_support(self) -> None:
        """Raises InputError if the habit gives a choice in the data probability zero."""


@dataclasses.dataclass(frozen=True, eq=False)
class AtOneCost(CommonLikelihood):
    """People with private costs that are all equal to the shared number "cost"."""

    private: PrivateLikelihood

    @classmethod
    def of(cls, private: PrivateLikelihood) -> "AtOneCost":
        return cls(private.data, private)

    @property
    def types(self) -> int:
        return 1

    def log_shares(self, shared: Shared) -> Float[Array, " types"]:
        return jnp.zeros(1)

    def by_person(self, shared: Shared) -> Float[Array, "participants types"]:
        return self.private.curves(self._log_cost(shared)[None], shared)

    def observe(self, shared: Shared, type_of: Int[Array, " participants"] | None = None) -> None:
        self.private.observe(jnp.full(len(self.private.participants), self._log_cost(shared)), shared)

    def _log_cost(self, shared: Shared) -> Float[Array, ""]:
        return jnp.log(jnp.asarray({**self.private.given, **shared}["cost"]))

    def check_support(self) -> None:
        self.private.check_support()


def by_kind(shared: Shared) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(phi, psi, params) by their short names."""
    kinds: dict[str, dict[str, Any]] = {"phi": {}, "psi": {}, "params": {}}
    for name, value in shared.items():
        kind, dot, short = name.partition(".")
        if dot:
            kinds[kind][short] = value
    return kinds["phi"], kinds["psi"], kinds["params"]


def of_each(cost: Number, level: Float[np.ndarray, " rows"]) -> Number:
    """One cost for all rows, or the cost of each row's level."""
    return jnp.asarray(cost)[level.astype(int)] if jnp.ndim(cost) else cost


def by_row(shared: Shared, group: Int[np.ndarray, " rows"]) -> tuple[Any, Any, dict[str, Any]]:
    """(phi, psi, params) with one entry per row, from scalars or arrays by belief group; None instead of empty."""

    def rows(value: Number) -> Array:
        value = jnp.asarray(value, jnp.result_type(float))
        return value[group] if value.ndim else jnp.broadcast_to(value, (len(group),))

    phi, psi, params = ({n: rows(x) for n, x in kind.items()} for kind in by_kind(shared))
    return phi or None, psi or None, params


def moving(names: tuple[str, ...]) -> tuple[str, ...]:
    """The shared numbers that behaviour depends on: all but "lapse", which mixes it with uniform play."""
    return tuple(n for n in names if n != "lapse")


def play_in(policy: Policy, environment: Environment, population: Population | None) -> Policy:
    """The policy in this game and for this population."""
    if isinstance(policy, LearnedPolicy):
        return policy.play(environment, population)
    changes: dict[str, Any] = {"environment": environment}
    if hasattr(policy, "population"):
        changes["population"] = population
    return dataclasses.replace(policy, **changes)


def refuse_unsolved(log_p: Float[np.ndarray, "..."], policy: Policy) -> None:
    """Raises InputError if an equilibrium was not found, for probabilities that are computed only once."""
    unsolved = np.isnan(log_p)
    if unsolved.any():
        share = unsolved.reshape(len(log_p), -1).any(axis=1).mean()
        raise InputError(
            f"{type(policy).__name__}: no equilibrium was found in {share:.0%} of the games: leave out this model or "
            "those games."
        )
