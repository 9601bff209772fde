"""Normal costs cut off at both ends: the Gaussian supertypes of Evans & Ganesh (2024)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal._types import AnyArray, Costs, Key
from bayescal.domain import POSITIVE, REAL, Interval
from bayescal.errors import InputError
from bayescal.populations.base import Nodes, Phi, Population, default_cost


class TruncatedNormal(Population):
    """phi = {"mean", "sd"} of the normal before it is cut to low < cost < high.

    Example:
        >>> import bayescal as bc
        >>> costs, weights = bc.populations.TruncatedNormal(high=10.0).quadrature({"mean": 5.0, "sd": 1.0})
        >>> round(float(weights @ costs), 2)
        5.0
    """

    low: float = eqx.field(static=True, default=1e-3)
    high: float = eqx.field(static=True, default=np.inf)
    nodes: int = eqx.field(static=True, default=64)

    def __check_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise InputError(
                f"TruncatedNormal: low is {self.low} and high {self.high}; costs are positive, so 0 < low < high."
            )

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"mean": REAL, "sd": POSITIVE}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"mean": dist.Normal(payoff_scale / 10, payoff_scale / 4), "sd": default_cost(payoff_scale)}

    @property
    def words(self) -> str:
        return "truncated normal"

    @property
    def support(self) -> Interval:
        return Interval(self.low, self.high)

    def _log_mass(self, phi: Phi) -> Float[Array, ""]:
        a = (self.low - phi["mean"]) / phi["sd"]
        # An infinite end has no slope in phi, and is as far as makes no difference.
        b = (
            (self.high - phi["mean"]) / phi["sd"]
            if np.isfinite(self.high)
            else jax.lax.stop_gradient(jnp.abs(a)) + 40.0
        )
        # Where the whole interval lies in one tail, the other tail's probabilities would cancel.
        a, b = jnp.where(a > 0, -b, a), jnp.where(a > 0, -a, b)
        return log_ndtr(b) + jnp.log1p(-jnp.exp(log_ndtr(a) - log_ndtr(b)))

    def log_density(self, cost: Costs, phi: Phi) -> Float[AnyArray, "..."]:
        z = (cost - phi["mean"]) / phi["sd"]
        inside = (cost >= self.low) & (cost <= self.high)
        log_normal = -0.5 * z**2 - jnp.log(phi["sd"]) - 0.5 * np.log(2 * np.pi)
        return jnp.where(inside, log_normal - self._log_mass(phi), -jnp.inf)

    def sample(self, key: Key, phi: Phi, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        a, b = (self.low - phi["mean"]) / phi["sd"], (self.high - phi["mean"]) / phi["sd"]
        z = jax.random.truncated_normal(key, a, b, shape)
        return jnp.clip(phi["mean"] + phi["sd"] * z, self.low, self.high)

    def quadrature(self, phi: Phi) -> tuple[Nodes, Nodes]:
        """Gauss-Legendre over the part that carries mass; phi moves the weights, not the nodes."""
        x, w = np.polynomial.legendre.leggauss(self.nodes)
        mean, sd = jax.lax.stop_gradient((jnp.asarray(phi["mean"] * 1.0), jnp.asarray(phi["sd"] * 1.0)))
        top = jnp.minimum(self.high, jnp.maximum(mean, self.low) + 8 * sd)
        bottom = jnp.maximum(self.low, jnp.minimum(mean, top) - 8 * sd)
        costs = bottom + (top - bottom) * (jnp.asarray(x) + 1) / 2
        log_w = -0.5 * ((costs - phi["mean"]) / phi["sd"]) ** 2 + jnp.log(jnp.asarray(w))
        return costs, jax.nn.softmax(log_w)
