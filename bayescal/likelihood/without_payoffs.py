"""The likelihood of models that know no payoffs: choices depend on where they are made, and on who makes them.

A **place** is a role of a game. What people lean to there is the same in every round.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.environments.base import Environment
from bayescal.likelihood.base import CommonLikelihood, Shared, by_kind
from bayescal.likelihood.choices import finite
from bayescal.likelihood.one_shot_data import OneShotData, cells
from bayescal.likelihood.over_time_data import OverTimeData
from bayescal.policies.base import Parameters
from bayescal.table.decisions import Decisions

PLACE = "place"  # how the dimensions of numbers begin that each place has of its own


class Place(NamedTuple):
    """A role of a game in which somebody decided.

    Attributes:
        name: of the game.
        role: its index.
    """

    name: str
    environment: Environment
    role: int

    @property
    def label(self) -> str:
        return f"{self.name} · {self.environment.role_names[self.role]}"

    @property
    def values(self) -> Float[np.ndarray, " actions"]:
        """Of the actions."""
        return np.asarray(self.environment.action_values[self.role], float)


class Leaning(ABC):
    """Choice probabilities without payoffs, as a function of what is inferred."""

    @property
    @abstractmethod
    def types(self) -> int:
        """How many types of people there are."""

    @abstractmethod
    def log_shares(self, at: Parameters) -> Float[Array, " types"]:
        """Log-probabilities of the types."""

    @abstractmethod
    def log_probs(self, at: Parameters) -> Float[Array, "places types actions"]:
        """Log-probabilities of the actions, padded with -inf."""


def places_of(decisions: Decisions) -> tuple[Place, ...]:
    """The places, by game and role."""
    table = decisions.cells if decisions.play is None else decisions.table.iloc[decisions.play.row]
    found = np.unique(table[["game_index", "role_index"]].to_numpy(), axis=0)
    games = list(decisions.environments.items())
    return tuple(Place(*games[g], int(r)) for g, r in found)


@dataclass(frozen=True, eq=False)
class WithoutPayoffs(CommonLikelihood):
    """Choices of people who each lean to something, whatever it pays.

    Attributes:
        leaning: gives the probabilities.
    """

    leaning: Leaning

    @classmethod
    def of(cls, leaning_in: Callable[[tuple[Place, ...]], Leaning], decisions: Decisions) -> "WithoutPayoffs":
        """
        Args:
            leaning_in: makes the leaning in these places.
        """
        leaning = leaning_in(places_of(decisions))
        if decisions.play is None:
            rows = cells(decisions)
            # Nothing but the game tells instances apart, so situations are places, in the same order.
            return cls(OneShotData.of(decisions, rows, np.zeros((len(rows.game), 0))), leaning)
        return cls(OverTimeData.of(decisions, np.zeros((len(decisions.play.row), 0))), leaning)

    @property
    def types(self) -> int:
        return self.leaning.types

    @property
    def type_name(self) -> str:
        return "kind"

    def log_shares(self, shared: Shared) -> Float[Array, " types"]:
        return self.leaning.log_shares(by_kind(shared)[2])

    def _log_probs(self, shared: Shared) -> Float[Array, "places types actions"]:
        return self.leaning.log_probs(by_kind(shared)[2])

    def by_person(self, shared: Shared) -> Float[Array, "participants types"]:
        log_p = self._log_probs(shared)
        if isinstance(self.data, OneShotData):
            return self.data.by_person(log_p)
        return jnp.einsum("kna,kta->nt", jnp.asarray(self.counts), finite(log_p))

    @property
    def counts(self) -> Float[np.ndarray, "places participants actions"]:
        """How often each person chose each action in each place of a game over time."""
        data = self.data
        assert isinstance(data, OverTimeData)
        out = np.zeros((len(data.parts), len(data.participants), data.width))
        for k, part in enumerate(data.parts):
            np.add.at(out[k], (data.person_in(part), data.chosen_in(part)), 1.0)
        return out

    def observe(self, shared: Shared, type_of: Int[Array, " participants"] | None = None) -> None:
        log_p, data = self._log_probs(shared), self.data
        if isinstance(data, OneShotData):
            own = 0 if type_of is None else type_of[data.person]
            data.observe(log_p[data.situation, own])
            return
        rows = []
        for k, part in enumerate(data.parts):
            own = np.zeros(len(part.here), int) if type_of is None else type_of[data.person_in(part)]
            rows.append((part.here, log_p[k, own]))
        data.observe(rows)

    def observe_mixture(self, shared: Shared) -> None:
        """The NumPyro site of the decisions of people who are not named, and are all alike."""
        self.observe(shared)

    def with_counts(self, counts: Float[Array, "rows actions"]) -> "WithoutPayoffs":
        """The same people with other choices in a one-shot game."""
        assert isinstance(self.data, OneShotData)
        return replace(self, data=replace(self.data, counts=counts))

    def check_support(self) -> None:
        """Every action has a positive probability."""
