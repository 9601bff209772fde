"""The public goods game: what is given is multiplied and shared by all."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import AnyArray, Number, Numbers
from bayescal.environments.base import Params, symmetric_fields
from bayescal.environments.limits import check_actions
from bayescal.environments.totals import GameOfTotals
from bayescal.errors import InputError


class PublicGoods(GameOfTotals):
    """Each of n players keeps what is not contributed, and gets `mpcr` of every unit that anybody contributes:

        payoff = endowment - contribution + mpcr · (sum of all contributions).

    The marginal per-capita return is the factor by which contributions are multiplied, over n. Between 1/n and 1 it is
    best for each to give nothing and for all to give everything (Isaac & Walker 1988, QJE 103:179-199).

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> game = bc.PublicGoods(4, mpcr=0.4, endowment=20)
        >>> game.payoffs(np.array([0, 20, 20, 20]), game.params).tolist()  # giving nothing pays
        [44.0, 24.0, 24.0, 24.0]
    """

    endowment: float
    mpcr: float

    def __init__(
        self,
        players: int = 4,
        *,
        mpcr: Number = 0.4,
        endowment: Number = 20.0,
        contributions: Numbers | None = None,
    ):
        if players < 2:
            raise InputError(f"Public goods: {players} players were given; it takes at least two.")
        if not (np.isfinite(endowment) and endowment > 0):
            raise InputError(f"Public goods: the endowment is {endowment:g}; give a positive number.")
        if contributions is None:
            check_actions("Public goods", float(endowment) + 1)
        grid = np.arange(np.floor(endowment) + 1) if contributions is None else np.asarray(list(contributions), float)
        if not len(grid) > 1 or grid.min() < 0 or grid.max() > endowment:
            raise InputError(
                f"Public goods: contributions are {grid.tolist()}; give two or more, from 0 to the endowment of "
                f"{endowment:g}."
            )
        self.endowment, self.mpcr = float(endowment), float(mpcr)
        vars(self).update(symmetric_fields("public-goods", "player", players, grid, ordered=True))

    @property
    def reduced(self) -> "PublicGoods":
        """A game of two: what others give, and how many they are, moves the payoffs of all own actions alike."""
        return PublicGoods(2, mpcr=self.mpcr, endowment=self.endowment, contributions=self.contributions)

    @property
    def payoff_parameters(self) -> tuple[str, ...]:
        return ("mpcr",)  # the payoffs of two choices differ by mpcr - 1 times the difference of contributions

    @property
    def contributions(self) -> Float[np.ndarray, " actions"]:
        return self.grid

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        width = float(self.contributions[-1] - self.contributions[0])
        return width * jnp.maximum(jnp.abs(1 - params["mpcr"]), 1e-3)

    def payoff_at(self, own: Float[AnyArray, "..."], total: Float[AnyArray, "..."], params: Params) -> Array:
        return params["endowment"] - own + params["mpcr"] * (own + total)

    def expected_payoffs(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        given = jnp.asarray(self.contributions)
        return self.payoff_at(given, (self.players - 1) * jnp.dot(strategies[0], given), params)[None]
