"""A habit of round numbers: some actions catch the eye."""

import equinox as eqx
import jax.numpy as jnp
from numpyro import distributions as dist

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.domain import REAL, Interval
from bayescal.priors.base import Tilt


class Focal(Tilt):
    """q(a) ∝ exp(bonus) where a is a multiple of `every`, 1 elsewhere; psi = {"bonus"} in nats.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> log_q = bc.priors.Focal(50.0).log_prob(None, {"bonus": 1.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.27', '0.10', '0.27', '0.10', '0.27']
    """

    every: float = eqx.field(static=True, default=10.0)

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"bonus": REAL}

    @property
    def defaults(self) -> dict[str, float]:
        return {"bonus": 0.0}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"bonus": dist.Normal(0.0, 1.5)}

    @property
    def flat_parameters(self) -> dict[str, float]:
        return {"bonus": 0.0}

    def log_weight(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        ratio = action_values / self.every
        focal = jnp.abs(ratio - jnp.round(ratio)) < 1e-6
        return jnp.where(focal, psi["bonus"], 0.0).astype(action_values.dtype)
