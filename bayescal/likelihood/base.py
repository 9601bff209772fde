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
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bayescal.errors import InputError
from bayescal.table.decisions import Decisions

Shared = Mapping[str, Any]

BLOCKS = 10  # of rounds, in which a drifting cost stands still


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


def unpack(shared: Shared, group: Int[np.ndarray, " rows"]) -> tuple[Any, Any, dict[str, Any]]:
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
