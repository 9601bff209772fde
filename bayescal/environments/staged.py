"""Games over time in which what an action pays is known once one number is: what the others and chance contribute."""

import math
from abc import abstractmethod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal._types import Actions, Scalar, Seen
from bayescal.environments.base import Environment, Params


class Mixture(NamedTuple):
    """Normal distributions, by their log weights; a mean is linear in the own action."""

    log_weight: Float[Array, " parts"]
    mean: Float[Array, " parts"]
    slope: Float[Array, " parts"]
    sd: Float[Array, " parts"]

    def log_density(self, part: Scalar, own: Scalar) -> Float[Array, ""]:
        """Of a part after an own action."""
        z = (part - self.mean - self.slope * own) / self.sd
        return jax.nn.logsumexp(self.log_weight - 0.5 * z**2 - jnp.log(self.sd) - 0.5 * math.log(2 * math.pi))


class Staged(Environment):
    """A game over time in which what an action pays is known once one number is: the others' **part**.

    The part is what the others and chance contribute to the outcome of an action, so that it is found from what the
    player sees later: in the cobweb the price but for the own supply, in a supply chain what comes in and goes out
    before an order arrives. A learned policy then need only learn how the part is distributed given what a player sees,
    and what its action is worth beyond that payoff (`StagedPolicy`). All roles have the same grid of actions.

    Properties:
        shown_after: after how many rounds the part can be seen.
        paid_after: with how many rounds' delay the action is paid.
        part_moves: whether the part may contain a share of the own action.
    """

    @property
    def shown_after(self) -> int:
        return 1

    @property
    def paid_after(self) -> int:
        return 0

    @property
    def part_moves(self) -> bool:
        return False

    def held(self, seen: Seen) -> Float[Array, " numbers"]:
        """Numbers of which the part may contain a share, from nothing to all."""
        return jnp.zeros(0)

    @property
    @abstractmethod
    def part_range(self) -> tuple[float, float]:
        """Usual values of the part."""

    @abstractmethod
    def part(self, before: Seen, own: Scalar, later: Seen, params: Params) -> Float[Array, ""]:
        """The part, from what a player saw before an action and `shown_after` rounds later.

        Args:
            own: the action, in the grid's units.
        """

    @abstractmethod
    def stage(self, role: int, seen: Seen, part: Mixture, params: Params) -> Actions:
        """What each own action pays, on average."""
