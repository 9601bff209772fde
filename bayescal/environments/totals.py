"""Games in which the others matter only through the total of their actions."""

from abc import abstractmethod

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray
from bayescal.environments.base import OneShot, Params


class GameOfTotals(OneShot):
    """A game of one role whose payoffs depend on the others only through the sum of their actions' values.

    A subclass writes its payoffs once, as `payoff_at`. On a grid with equal steps the others' totals lie on a grid
    too, so that twelve players have a table of a few thousand payoffs instead of A**12.

    Example:
        >>> import bayescal as bc
        >>> market = bc.Cournot(12, quantities=range(11))
        >>> market.joint_table(0, market.params).shape  # quantities, totals of eleven rivals
        (11, 111)
    """

    @abstractmethod
    def payoff_at(self, own: Float[AnyArray, "..."], total: Float[AnyArray, "..."], params: Params) -> Array:
        """Payoff of an action of value `own` when the others' values sum to `total`; the two broadcast."""

    @property
    def by_total(self) -> bool:
        """Whether the joint table has one column for each total of the others."""
        steps = np.diff(self.action_values[0])
        return bool(np.allclose(steps, steps[0]))

    @property
    def grid(self) -> Float[np.ndarray, " actions"]:
        return np.asarray(self.action_values[0])

    def payoffs(self, joint_action: Int[AnyArray, " players"], params: Params) -> Float[Array, " players"]:
        values = jnp.asarray(self.grid)[joint_action]
        return self.payoff_at(values, jnp.sum(values) - values, params)

    def payoffs_by_total(self, params: Params, others: int) -> Float[Array, "actions totals"]:
        """Payoff of each own action against each total of `others` players on the grid."""
        grid = self.grid
        totals = others * grid[0] + (grid[1] - grid[0]) * np.arange(others * (len(grid) - 1) + 1)
        return self.payoff_at(grid[:, None], totals[None, :], params)

    def joint_size(self, role: int) -> int:
        if not self.by_total:
            return super().joint_size(role)
        size = len(self.action_values[0])
        return size * ((self.players - 1) * (size - 1) + 1)

    def joint_table(self, role: int, params: Params) -> Float[Array, "actions others"]:
        return self.payoffs_by_total(params, self.players - 1) if self.by_total else super().joint_table(role, params)

    def joint_chances(self, role: int, strategies: Float[AnyArray, "roles actions"]) -> Float[Array, " others"]:
        if not self.by_total:
            return super().joint_chances(role, strategies)
        return distribution_of_sum(jnp.asarray(strategies)[0], self.players - 1)


def distribution_of_sum(p: Float[Array, " actions"], draws: int) -> Float[Array, " totals"]:
    """The distribution of the sum of independent draws from p, as a power of its Fourier transform.

    Probabilities are exact up to the rounding of 1. It compiles fast, however many draws there are.
    """
    size = draws * (p.shape[0] - 1) + 1
    length = 1 << (size - 1).bit_length()
    power = jax.lax.integer_pow(jnp.fft.rfft(p, length), draws)
    total = jnp.maximum(jnp.fft.irfft(power, length)[:size], 0.0)
    return total / jnp.sum(total)
