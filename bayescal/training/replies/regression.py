"""Forecasting by regression: what will be seen next, linear in what was seen before."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from bayescal.environments.base import Environment
from bayescal.environments.cournot_repeated import RepeatedCournot
from bayescal.training.replies.base import Play, Rule

_SHRINKAGE = 1e-3


class RegressionForecast(Rule):
    """The next "seen" (price) by ridge regression on games that the policy plays, and that as the forecast.

    Example:
        >>> from bayescal.training.replies import RegressionForecast
        >>> RegressionForecast().name
        'regression forecast'
    """

    slopes: Float[Array, " features"] | None = None

    @property
    def name(self) -> str:
        return "regression forecast"

    def fitted(self, environment: Environment, role: int, play: Play) -> "RegressionForecast":
        x, y = np.asarray(play.features, float), np.asarray(play.after["seen"], float)
        moments = x.T @ x / len(x) + _SHRINKAGE * np.diag([0.0] + [1.0] * (x.shape[1] - 1))
        slopes = np.linalg.solve(moments + 1e-9 * np.eye(len(moments)), x.T @ y / len(x))
        return eqx.tree_at(
            lambda r: r.slopes, self, jnp.asarray(slopes, jnp.result_type(float)), is_leaf=lambda x: x is None
        )

    def forecast(self, environment: Environment, seen: PyTree, params: PyTree) -> Float[Array, ""]:
        features = jnp.concatenate([jnp.ones(1), environment.see(seen, params)])
        return seen["seen"] if self.slopes is None else features @ self.slopes

    def wanted(self, environment: Environment, role: int, seen: PyTree, params: PyTree) -> Float[Array, " candidates"]:
        return jnp.reshape(self.forecast(environment, seen, params), (1,))


class OneShotReply(RegressionForecast):
    """Repeated Cournot: the quantity that is best in this round against a forecast of the others' mean quantity."""

    @property
    def name(self) -> str:
        return "one-shot best reply"

    def wanted(self, environment: Environment, role: int, seen: PyTree, params: PyTree) -> Float[Array, " candidates"]:
        assert isinstance(environment, RepeatedCournot)
        others = (environment.players - 1) * self.forecast(environment, seen, params)
        best = (params["intercept"] - params["cost"]) / params["slope"] - others
        return jnp.reshape(best / 2, (1,))
