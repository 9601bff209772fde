"""The p-beauty contest: guess p times the average guess."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Number, Numbers
from bayescal.environments.base import Params, symmetric_fields
from bayescal.environments.joint import LARGEST_TABLE
from bayescal.environments.totals import GameOfTotals
from bayescal.errors import InputError


class BeautyContest(GameOfTotals):
    """n players guess; the target is p times the mean of all guesses, one's own included (Nagel 1995).

    `payoff="distance"` pays `prize · (1 - (distance to the target / width of the grid)²)`. Its expectation needs
    only the mean m and variance of the others' guesses, for any number of players; the best reply to m is
    p (n-1) m / (n-p). `payoff="winner"` gives the prize to the closest guess, split on ties, as in most experiments.
    The target, the distances and the ties then depend on all guesses at once, so that joint guesses are enumerated;
    a contest with more than two million of them is refused.

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> contest = bc.BeautyContest(3, 2 / 3, guesses=range(0, 101, 10))
        >>> [f"{x:.2f}" for x in contest.payoffs(np.array([0, 3, 6]), contest.params)]  # the target is 20
        ['0.96', '0.99', '0.84']
    """

    multiplier: float
    prize: float
    payoff: str = eqx.field(static=True)

    def __init__(
        self,
        players: int = 3,
        multiplier: Number = 2 / 3,
        guesses: Numbers = tuple(range(101)),
        *,
        prize: Number = 1.0,
        payoff: str = "distance",
    ):
        grid = np.asarray(guesses, float)
        if players < 2:
            raise InputError(f"Beauty contest: {players} players were given; it takes at least two.")
        if payoff not in ("distance", "winner"):
            raise InputError(f'Beauty contest: payoff is {payoff!r}; it is "distance" or "winner".')
        if payoff == "winner" and len(grid) ** players > LARGEST_TABLE:
            raise InputError(
                f"Beauty contest: {players} players with {len(grid)} guesses have {len(grid) ** players:.0e} joint "
                f'guesses, too many to enumerate; use fewer guesses or payoff="distance".'
            )
        self.multiplier, self.prize, self.payoff = float(multiplier), float(prize), payoff
        vars(self).update(symmetric_fields("beauty-contest", "player", players, grid, ordered=True))

    @property
    def guesses(self) -> Float[np.ndarray, " actions"]:
        return self.grid

    @property
    def by_total(self) -> bool:
        return self.payoff == "distance" and super().by_total

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        return jnp.asarray(params["prize"])

    def payoffs(self, joint_action: Int[AnyArray, " players"], params: Params) -> Float[Array, " players"]:
        if self.payoff == "distance":
            return super().payoffs(joint_action, params)
        guesses = jnp.asarray(self.guesses)[joint_action]
        miss = jnp.abs(guesses - params["multiplier"] * jnp.mean(guesses))
        # Distances that differ by roundoff are ties.
        closest = miss <= jnp.min(miss) + 1e-6 * self._width
        return params["prize"] * closest / jnp.sum(closest)

    def payoff_at(self, own: Float[AnyArray, "..."], total: Float[AnyArray, "..."], params: Params) -> Array:
        """Of a contest that pays by distance."""
        miss = (own - params["multiplier"] * (own + total) / self.players) / self._width
        return params["prize"] * (1 - miss**2)

    def expected_payoffs(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        if self.payoff == "winner":
            return super().expected_payoffs(strategies, params)
        p, n = jnp.asarray(strategies)[0], self.players
        x = jnp.asarray(self.guesses)
        mean = jnp.dot(p, x)
        variance = jnp.dot(p, (x - mean) ** 2)
        share = params["multiplier"] / n
        miss = (x - share * (x + (n - 1) * mean)) ** 2 + share**2 * (n - 1) * variance
        return (params["prize"] * (1 - miss / self._width**2))[None]

    def slope_factors(
        self, params: Params
    ) -> tuple[Float[Array, "m roles actions"], Float[Array, "m roles actions"]] | None:
        """Only the others' mean matters."""
        if self.payoff == "winner":
            return None
        x = jnp.asarray(self.guesses)[None, None]
        share = params["multiplier"] / self.players
        return 2 * params["prize"] * share * (1 - share) * (self.players - 1) / self._width**2 * x, x

    @property
    def _width(self) -> float:
        return float(self.guesses[-1] - self.guesses[0])
