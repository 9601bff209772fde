"""Cournot competition: firms choose quantities, the market finds the price."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import AnyArray, Number, Numbers
from bayescal.environments.base import Params, symmetric_fields
from bayescal.environments.totals import GameOfTotals
from bayescal.errors import InputError


class Cournot(GameOfTotals):
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
        quantities: Numbers = tuple(range(101)),
        *,
        intercept: Number = 100.0,
        slope: Number = 1.0,
        cost: Number = 1.0,
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
    def quantities(self) -> Float[np.ndarray, " actions"]:
        return self.grid

    @property
    def payoff_parameters(self) -> tuple[str, ...]:
        return ("intercept", "slope", "cost")

    @property
    def template_words(self) -> tuple[str, ...]:
        return (
            "Huck, Normann & Oechssler (1999, 2004): participant: the subject, with a label of its own in all "
            "sessions; group: the market; round: the period; action: the quantity.",
            "The learned policy `cournot`, in which each firm has a cost of its own, has quantities from 0 to 60 in "
            "steps of 2: snap = true rounds those in between. For a finer grid or larger quantities, name others under "
            "[games] and leave out the policy: the game is then solved exactly, which takes longer.",
        )

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        table = self.payoffs_by_total(params, 1)
        return jnp.max(table) - jnp.min(table)

    def payoff_at(self, own: Float[AnyArray, "..."], total: Float[AnyArray, "..."], params: Params) -> Array:
        price = jnp.maximum(params["intercept"] - params["slope"] * (own + total), 0.0)
        return (price - params["cost"]) * own

    def expected_payoffs(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        # Sums of products, not the Fourier transform of `joint_chances`, whose rounding shows in single precision.
        rivals = self.players - 1
        return (self.payoffs_by_total(params, rivals) @ _total(jnp.asarray(strategies)[0], rivals))[None]

    def payoff_slopes(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions roles actions"]:
        # One of the n-1 rivals moves to b; the total of the others is unchanged.
        p = jnp.asarray(strategies)[0]
        rivals, size = self.players - 1, len(p)
        rest = _total(p, rivals - 1) if rivals > 1 else jnp.ones(1, p.dtype)
        shifted = _shifts(rest, size).T
        return (rivals * self.payoffs_by_total(params, rivals) @ shifted)[None, :, None, :]


def _total(p: Float[Array, " actions"], firms: int) -> Float[Array, " totals"]:
    """The distribution of the sum of `firms` independent draws from p."""
    total = p
    for _ in range(firms - 1):
        total = p @ _shifts(total, len(p))
    return total


def _shifts(v: Float[Array, " n"], size: int) -> Float[Array, "size n+size-1"]:
    """Row k is v moved k places to the right: p @ _shifts(v) is the convolution of p and v.

    A batch of `jnp.convolve` is a grouped convolution, which is very slow in XLA's CPU backend. Here the tiled vector
    is cut into rows that are one element short, so that each row begins one place later.
    """
    length = len(v) + size
    padded = jnp.pad(v, (0, length - len(v)))
    return jnp.tile(padded, size)[: size * (length - 1)].reshape(size, length - 1)
