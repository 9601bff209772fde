"""Log-normal costs: log lambda ~ Normal(log_mean, log_sd²)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal._types import AnyArray, Costs, Key, Scalar
from bayescal.domain import POSITIVE, REAL, Interval
from bayescal.populations.base import Nodes, Phi, Population, default_log_cost


class LogNormal(Population):
    """phi = {"log_mean", "log_sd"}; Gauss-Hermite quadrature with `nodes` points.

    Example:
        >>> import bayescal as bc
        >>> costs, weights = bc.populations.LogNormal(16).quadrature({"log_mean": 0.0, "log_sd": 0.5})
        >>> round(float(weights @ costs), 3)  # the mean cost, exp(0.5 ** 2 / 2)
        1.133
    """

    nodes: int = eqx.field(static=True, default=32)

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"log_mean": REAL, "log_sd": POSITIVE}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"log_mean": default_log_cost(payoff_scale), "log_sd": dist.HalfNormal(1.0)}

    @property
    def words(self) -> str:
        return "log-normal"

    def log_density(self, cost: Costs, phi: Phi) -> Float[AnyArray, "..."]:
        t = jnp.log(cost)
        z = (t - phi["log_mean"]) / phi["log_sd"]
        return -0.5 * z**2 - t - jnp.log(phi["log_sd"]) - 0.5 * np.log(2 * np.pi)

    def sample(self, key: Key, phi: Phi, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        return jnp.exp(phi["log_mean"] + phi["log_sd"] * jax.random.normal(key, shape))

    def quadrature(self, phi: Phi) -> tuple[Nodes, Nodes]:
        z, w = np.polynomial.hermite_e.hermegauss(self.nodes)
        dtype = jnp.result_type(float)
        return jnp.exp(phi["log_mean"] + phi["log_sd"] * jnp.asarray(z, dtype)), jnp.asarray(w / w.sum(), dtype)

    def shifted(self, phi: Phi, by: Scalar, spread: Scalar = 0.0) -> dict[str, Any]:
        return {"log_mean": phi["log_mean"] + by, "log_sd": jnp.sqrt(phi["log_sd"] ** 2 + spread**2)}
