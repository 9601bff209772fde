"""Symmetric two-player games: one role, one matrix."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Nested, Number, Numbers
from bayescal.environments.base import OneShot, Params, symmetric_fields
from bayescal.environments.limits import check_actions, most_against_each_other
from bayescal.errors import InputError


class SymmetricMatrix(OneShot):
    """Two players of one role: `matrix[own action][other's action]`. `params = {"payoffs": matrix}`."""

    default_payoffs: Float[AnyArray, "actions actions"] = eqx.field(converter=lambda p: np.asarray(p, float))

    def __init__(self, matrix: Nested, *, name: str, action_values: Numbers):
        self.default_payoffs = np.asarray(matrix, float)
        vars(self).update(symmetric_fields(name, "player", 2, action_values, ordered=True))

    @property
    def params(self) -> Params:
        return {"payoffs": self.default_payoffs}

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        spread = jnp.max(params["payoffs"]) - jnp.min(params["payoffs"])
        return jnp.where(spread > 0, spread, 1.0)

    def joint_table(self, role: int, params: Params) -> Float[Array, "actions others"]:
        return jnp.asarray(params["payoffs"])

    def payoffs(self, joint_action: Int[AnyArray, " players"], params: Params) -> Float[Array, " players"]:
        i, j = joint_action[0], joint_action[1]
        matrix = jnp.asarray(params["payoffs"])
        return jnp.stack([matrix[i, j], matrix[j, i]])

    def expected_payoffs(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions"]:
        return (jnp.asarray(params["payoffs"]) @ jnp.asarray(strategies)[0])[None]

    def payoff_slopes(
        self, strategies: Float[AnyArray, "roles actions"], params: Params
    ) -> Float[Array, "roles actions roles actions"]:
        return jnp.asarray(params["payoffs"])[None, :, None, :]


def travelers_dilemma(
    low: Number = 180.0, high: Number = 300.0, step: Number = 10.0, reward: Number = 5.0, unit: Number = 100.0
) -> SymmetricMatrix:
    """The traveller's dilemma (Basu 1994; Goeree & Holt 2001): both get the lower claim, and `reward` passes from
    the higher claimant to the lower.

    Claims and reward are in cents and payoffs in dollars (`unit` = 100), as in Goeree & Holt.

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> game = bc.travelers_dilemma(reward=5)
        >>> print(game.payoffs(np.array([0, 1]), game.params))  # claims of 1.80 and 1.90 dollars
        [1.85 1.75]
    """
    if not (low < high and step > 0 and high - low >= step and unit > 0 and np.isfinite(high - low)):
        raise InputError(
            f"Traveller's dilemma: claims from {low:g} to {high:g} in steps of {step:g}, in units of {unit:g}, were "
            "given; give two claims or more, and positive steps and units."
        )
    check_actions("Traveller's dilemma", (high - low) / step, most_against_each_other())
    claims = np.arange(low, high + step / 2, step)
    own, other = claims[:, None], claims[None, :]
    matrix = (np.minimum(own, other) + reward * np.sign(other - own)) / unit
    return SymmetricMatrix(matrix, name="travelers-dilemma", action_values=claims)


def request_game(bonus: Number = 20.0) -> SymmetricMatrix:
    """The 11-20 money request game (Arad & Rubinstein 2012): get what you ask for, and a bonus of 20 for asking
    exactly one less than the other.

    Example:
        >>> import bayescal as bc
        >>> import numpy as np
        >>> game = bc.request_game()
        >>> game.payoffs(np.array([8, 9]), game.params).tolist()  # asking for 19 and 20
        [39.0, 20.0]
    """
    requests = np.arange(11.0, 21.0)
    own, other = requests[:, None], requests[None, :]
    matrix = own + bonus * (own == other - 1)
    return SymmetricMatrix(matrix, name="request-11-20", action_values=requests)
