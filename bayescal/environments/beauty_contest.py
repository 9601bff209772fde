"""The p-beauty contest: guess p times the average guess."""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.environments.base import OneShot, Params, symmetric_fields
from bayescal.errors import InputError

_LARGEST_TABLE = 2_000_000  # joint actions of a winner-takes-all contest that are still enumerated


class BeautyContest(OneShot):
    """n players guess; the target is p times the mean of all guesses, one's own included (Nagel 1995).

    `payoff="distance"` pays `prize · (1 - (distance to the target / width of the grid)²)`. Its expectation needs
    only the mean m and variance of the others' guesses, for any number of players; the best reply to m is
    p (n-1) m / (n-p). `payoff="winner"` gives the prize to the closest guess, split on ties, as in most experiments:
    the target, the distances and the ties then depend on everybody's guess at once, so the joint guesses are
    enumerated, and contests with more than two million of them are refused.

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> contest = bc.BeautyContest(3, 2 / 3, guesses=range(0, 101, 10))
        >>> [f"{x:.2f}" for x in contest.payoffs(np.array([0, 3, 6]), contest.params)]  # the target is 20
        ['0.96', '0.99', '0.84']
    """

    multiplier: float
    prize: float
    payoff: Literal["distance", "winner"] = eqx.field(static=True)

    def __init__(
        self,
        players: int = 3,
        multiplier: float = 2 / 3,
        guesses: Sequence[float] = tuple(range(101)),
        *,
        prize: float = 1.0,
        payoff: Literal["distance", "winner"] = "distance",
    ):
        grid = np.asarray(guesses, float)
        if players < 2:
            raise InputError(f"Beauty contest: {players} players were given; it takes at least two.")
        if payoff not in ("distance", "winner"):
            raise InputError(f'Beauty contest: payoff is {payoff!r}; it is "distance" or "winner".')
        if payoff == "winner" and len(grid) ** players > _LARGEST_TABLE:
            raise InputError(
                f"Beauty contest: {players} players with {len(grid)} guesses have {len(grid) ** players:.0e} joint "
                f'guesses, too many to enumerate; use fewer guesses or payoff="distance".'
            )
        self.multiplier, self.prize, self.payoff = float(multiplier), float(prize), payoff
        vars(self).update(symmetric_fields("beauty-contest", "player", players, grid, ordered=True))

    @property
    def params(self) -> Params:
        return {"multiplier": np.asarray(self.multiplier), "prize": np.asarray(self.prize)}

    @property
    def guesses(self) -> np.ndarray:
        return np.asarray(self.action_values[0])

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        return jnp.asarray(params["prize"])

    def payoffs(self, joint_action: Int[Array, " players"], params: Params) -> Float[Array, " players"]:
        guesses = jnp.asarray(self.guesses)[joint_action]
        return self._pay(guesses, params)

    def expected_payoffs(
        self, strategies: Float[Array, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        p, n = strategies[0], self.players
        if self.payoff == "winner":
            table = self._winner_table(params)
            for _ in range(n - 1):
                table = table @ p
            return table[None]
        x = jnp.asarray(self.guesses)
        mean = jnp.dot(p, x)
        variance = jnp.dot(p, (x - mean) ** 2)
        share = params["multiplier"] / n
        miss = (x - share * (x + (n - 1) * mean)) ** 2 + share**2 * (n - 1) * variance
        return (params["prize"] * (1 - miss / self._width**2))[None]

    def slope_factors(
        self, params: Params
    ) -> tuple[Float[Array, "m roles actions"], Float[Array, "m roles actions"]] | None:
        """The others' mean is all that matters."""
        if self.payoff == "winner":
            return None
        x = jnp.asarray(self.guesses)[None, None]
        share = params["multiplier"] / self.players
        return 2 * params["prize"] * share * (1 - share) * (self.players - 1) / self._width**2 * x, x

    @property
    def _width(self) -> float:
        return float(self.guesses[-1] - self.guesses[0])

    def _pay(self, guesses: Float[Array, "players ..."], params: Params) -> Float[Array, "players ..."]:
        miss = jnp.abs(guesses - params["multiplier"] * jnp.mean(guesses, axis=0))
        if self.payoff == "distance":
            return params["prize"] * (1 - (miss / self._width) ** 2)
        # Distances that differ by roundoff are ties.
        closest = miss <= jnp.min(miss, axis=0) + 1e-6 * self._width
        return params["prize"] * closest / jnp.sum(closest, axis=0)

    def _winner_table(self, params: Params) -> Float[Array, "..."]:
        """Payoff of the first player at every joint guess."""
        joint = jnp.meshgrid(*[jnp.asarray(self.guesses)] * self.players, indexing="ij")
        return self._pay(jnp.stack(joint), params)[0]
