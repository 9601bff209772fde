"""Games over time that know their own solution."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float

from bayescal._types import Costs
from bayescal.environments.base import Environment, Params, Seen


@runtime_checkable
class Habit(Protocol):
    """What an exact solution needs of a habit (`bayescal.priors.Prior`): factors of q, each a function of what was
    seen. Multiplied and normalised they are q."""

    def terms(
        self, psi: Mapping[str, Any], *, role: int, action_values: Float[Array, " actions"]
    ) -> list[Callable[[Seen], Float[Array, " actions"]]]: ...


class SolvesItself(Environment):
    """A game over time of one player that computes the exact value of every action itself.

    `ExactPolicy` and `RationalPolicy` then play it without a solver.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.environments.own_solution import SolvesItself
        >>> isinstance(bc.Newsvendor(), SolvesItself), bc.Newsvendor().solvable
        (True, True)
    """

    @property
    def solvable(self) -> bool:
        return True

    @abstractmethod
    def exact_values(
        self, observation: Seen, cost: Costs, psi: Mapping[str, Any], params: Params, prior: Habit
    ) -> Float[Array, " actions"]:
        """Q of every action after this observation, in money.

        Args:
            cost: of information, in money per nat.
            prior, psi: the habit and its parameters.
        """

    def values_everywhere(self, params: Params) -> Float[Array, " actions"] | None:
        """Q of every action where it depends neither on what was seen nor on the cost; else None."""
        return None
