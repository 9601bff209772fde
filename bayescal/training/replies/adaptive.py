"""Forecasting: the last price, or a step from the own last forecast towards it (Nerlove 1958)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from bayescal.environments.base import Environment
from bayescal.training.replies.base import Rule

GAINS = (0.25, 0.5, 0.75)


class Naive(Rule):
    """The next price is forecast to be the last one; in the first round, the middle of the grid.

    Example:
        >>> from bayescal.training.replies import Naive
        >>> Naive().name
        'naive forecast'
    """

    @property
    def name(self) -> str:
        return "naive forecast"

    def wanted(self, environment: Environment, role: int, seen: PyTree, params: PyTree) -> Float[Array, " candidates"]:
        return jnp.reshape(once_begun(environment, role, seen, seen["seen"]), (1,))


class AdaptiveForecast(Rule):
    """The own last forecast, corrected by a share of its error; candidates are the shares."""

    @property
    def name(self) -> str:
        return "adaptive forecast"

    def wanted(self, environment: Environment, role: int, seen: PyTree, params: PyTree) -> Float[Array, " candidates"]:
        forecast = seen["own"] + np.asarray(GAINS) * (seen["seen"] - seen["own"])
        return once_begun(environment, role, seen, forecast)


def once_begun(environment: Environment, role: int, seen: PyTree, x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x; in the first round the middle of the grid."""
    values = environment.action_values[role]
    return jnp.where(seen["began"] > 0, x, (values[0] + values[-1]) / 2)
