"""The volunteer's dilemma: one volunteer is enough, and volunteering costs."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.environments.base import OneShot, Params, symmetric_fields
from bayescal.errors import InputError


class VolunteersDilemma(OneShot):
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

    def __init__(self, players: int = 3, *, benefit: float = 1.0, cost: float = 0.2, loss: float = 0.2):
        if players < 2:
            raise InputError(f"Volunteer's dilemma: {players} players were given; it takes at least two.")
        self.benefit, self.cost, self.loss = float(benefit), float(cost), float(loss)
        labels = ("volunteer", "wait")
        fields = symmetric_fields("volunteers-dilemma", "player", players, (0, 1), ordered=False, labels=labels)
        vars(self).update(fields)

    @property
    def params(self) -> Params:
        return {k: np.asarray(getattr(self, k), float) for k in ("benefit", "cost", "loss")}

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        return jnp.abs(params["benefit"] - params["loss"]) + jnp.abs(params["cost"])

    def payoffs(self, joint_action: Int[Array, " players"], params: Params) -> Float[Array, " players"]:
        volunteers = joint_action == 0
        outcome = jnp.where(jnp.any(volunteers), params["benefit"], params["loss"])
        return outcome - params["cost"] * volunteers

    def expected_payoffs(
        self, strategies: Float[Array, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        nobody = strategies[0, 1] ** (self.players - 1)
        wait = params["benefit"] + (params["loss"] - params["benefit"]) * nobody
        return jnp.stack([params["benefit"] - params["cost"], wait])[None]
