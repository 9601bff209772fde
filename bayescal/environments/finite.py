"""Games over time with finitely many situations, which one table of choices describes completely."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool

from bayescal.environments.base import Environment, Seen


class FiniteGame(Environment):
    """A game in which what a player knows before a decision is one of finitely many situations.

    Attributes:
        situation_key: the entry of an observation that holds the index of the situation.
        situation_noun: what a situation is called in output.
    """

    situation_key: ClassVar[str] = "situation"
    situation_noun: ClassVar[str] = "situation"

    @property
    def solvable(self) -> bool:
        return True

    @property
    @abstractmethod
    def situation_count(self) -> int:
        """The most situations that any player has."""

    @property
    def possible(self) -> Bool[np.ndarray, "players situations actions"]:
        """Which actions can be taken in which situation."""
        return np.broadcast_to(self.mask[:, None, :], (self.players, self.situation_count, self.mask.shape[1]))

    @property
    def same_actions(self) -> bool:
        """Whether every situation of a player has all the player's actions."""
        return bool((self.possible == self.mask[:, None, :]).all())

    @abstractmethod
    def situations_of(self, player: int) -> list[tuple[str, tuple[str, ...]]]:
        """(name, labels of the actions) of each situation of a player."""

    def situation_of(self, observation: Seen) -> Any:
        """The index of the situation that was observed."""
        return observation[self.situation_key]
