"""The volunteer's dilemma: one volunteer is enough, and volunteering costs."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal._types import AnyArray, Number
from bayescal.environments.base import Params, symmetric_fields
from bayescal.environments.totals import GameOfTotals
from bayescal.errors import InputError


class VolunteersDilemma(GameOfTotals):
    """Each of n players gets V if anybody volunteers and L if nobody does; volunteering costs c.

    Diekmann (1985); experiments with V = 1, c = L = 0.2 by Goeree, Holt & Smith (2017). Action 0 volunteers.

    Example:
        >>> import bayescal as bc
        >>> game = bc.VolunteersDilemma(6)
        >>> [f"{p:.2f}" for p in bc.equilibrium(game, 0.05).strategies[0]]  # volunteer, wait
        ['0.28', '0.72']
    """

    benefit: float
    cost: float
    loss: float

    def __init__(self, players: int = 3, *, benefit: Number = 1.0, cost: Number = 0.2, loss: Number = 0.2):
        if players < 2:
            raise InputError(f"Volunteer's dilemma: {players} players were given; it takes at least two.")
        self.benefit, self.cost, self.loss = float(benefit), float(cost), float(loss)
        labels = ("volunteer", "wait")
        fields = symmetric_fields("volunteers-dilemma", "player", players, (0, 1), ordered=False, labels=labels)
        vars(self).update(fields)

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        return jnp.abs(params["benefit"] - params["loss"]) + jnp.abs(params["cost"])

    def payoff_at(self, own: Float[AnyArray, "..."], total: Float[AnyArray, "..."], params: Params) -> Array:
        """The value of waiting is 1, so that the total is the number of others who wait."""
        nobody = (own == 1) & (total == self.players - 1)
        return jnp.where(nobody, params["loss"], params["benefit"]) - params["cost"] * (own == 0)

    def expected_payoffs(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        nobody = jnp.asarray(strategies)[0, 1] ** (self.players - 1)
        wait = params["benefit"] + (params["loss"] - params["benefit"]) * nobody
        return jnp.stack([params["benefit"] - params["cost"], wait])[None]
