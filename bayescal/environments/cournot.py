"""Cournot competition: firms choose quantities, the market finds the price."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.environments.base import OneShot, Params, symmetric_fields
from bayescal.errors import InputError


class Cournot(OneShot):
    """n firms with constant unit cost c face the price P = max(a - b Q, 0) of their total quantity Q.

    A firm's expected profit needs only the distribution of its rivals' total, the (n-1)-fold convolution of the
    common mixture, so a dozen firms cost little more than two. Huck, Normann & Oechssler (1999, 2004) use
    a = 100, b = 1, c = 1: Nash quantities 33 for n = 2 and 24.75 for n = 3.

    Args:
        firms: how many, at least two.
        quantities: an equally spaced grid starting anywhere at or above zero.
        intercept, slope, cost: a, b and c, all in `params`.

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> market = bc.Cournot(2, quantities=range(0, 61))
        >>> profits = market.payoffs(np.array([33, 33]), market.params)
        >>> profits.tolist()  # at the Nash quantities
        [1089.0, 1089.0]
    """

    intercept: float
    slope: float
    cost: float

    def __init__(
        self,
        firms: int = 2,
        quantities: Sequence[float] = tuple(range(101)),
        *,
        intercept: float = 100.0,
        slope: float = 1.0,
        cost: float = 1.0,
        name: str | None = None,
    ):
        grid = np.asarray(quantities, float)
        if firms < 2:
            raise InputError(f"Cournot: {firms} firms were given; competition needs at least two.")
        if grid.ndim != 1 or len(grid) < 2 or not np.allclose(np.diff(grid), grid[1] - grid[0]) or grid[1] <= grid[0]:
            raise InputError(
                "Cournot: the quantities must rise in equal steps (the rivals' total is then on a grid too); "
                f"found {grid[:4].tolist()}…"
            )
        self.intercept, self.slope, self.cost = float(intercept), float(slope), float(cost)
        vars(self).update(symmetric_fields(name or f"cournot-{firms}", "firm", firms, grid, ordered=True))

    @property
    def params(self) -> Params:
        return {k: np.asarray(getattr(self, k), float) for k in ("intercept", "slope", "cost")}

    @property
    def quantities(self) -> np.ndarray:
        return np.asarray(self.action_values[0])

    def _profit_table(self, params: Params, rivals: int) -> Float[Array, "actions totals"]:
        """Profit of each quantity against each total of `rivals` firms on the grid."""
        q = self.quantities
        totals = rivals * q[0] + (q[1] - q[0]) * np.arange(rivals * (len(q) - 1) + 1)
        price = jnp.maximum(params["intercept"] - params["slope"] * (q[:, None] + totals[None, :]), 0.0)
        return (price - params["cost"]) * q[:, None]

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        table = self._profit_table(params, 1)
        return jnp.max(table) - jnp.min(table)

    def payoffs(self, joint_action: Int[Array, " players"], params: Params) -> Float[Array, " players"]:
        q = jnp.asarray(self.quantities)[joint_action]
        price = jnp.maximum(params["intercept"] - params["slope"] * jnp.sum(q), 0.0)
        return (price - params["cost"]) * q

    def expected_payoffs(
        self, strategies: Float[Array, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        rivals = self.players - 1
        return (self._profit_table(params, rivals) @ _total(strategies[0], rivals))[None]

    def payoff_slopes(
        self, strategies: Float[Array, "roles actions"], params: Params
    ) -> Float[Array, "roles actions roles actions"]:
        # One of the n-1 rivals moves to b, the others' total is unchanged.
        p = strategies[0]
        rivals, size = self.players - 1, len(p)
        rest = _total(p, rivals - 1) if rivals > 1 else jnp.ones(1, p.dtype)
        shifted = _shifts(rest, size).T
        return (rivals * self._profit_table(params, rivals) @ shifted)[None, :, None, :]


def _total(p: Float[Array, " actions"], firms: int) -> Float[Array, " totals"]:
    """The distribution of the sum of `firms` independent draws from p."""
    total = p
    for _ in range(firms - 1):
        total = p @ _shifts(total, len(p))
    return total


def _shifts(v: Float[Array, " n"], size: int) -> Float[Array, "size n+size-1"]:
    """Row k is v moved k places to the right: p @ _shifts(v) is the convolution of p and v.

    A batch of `jnp.convolve` is a grouped convolution, which XLA's CPU backend does very slowly. Here every row of
    the tiled vector is one element short, so that each begins one place later.
    """
    length = len(v) + size
    padded = jnp.pad(v, (0, length - len(v)))
    return jnp.tile(padded, size)[: size * (length - 1)].reshape(size, length - 1)
