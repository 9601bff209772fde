"""A habit of doing what one did before, exactly."""

import jax.numpy as jnp
from numpyro import distributions as dist

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.domain import REAL, Interval
from bayescal.priors.base import Tilt
from bayescal.priors.near import look


class Repeat(Tilt):
    """q(a | o) ∝ exp(bonus) for one's previous decision, 1 elsewhere; psi = {"bonus"} in nats. Flat at first.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> seen = {"own": 25.0, "seen": 75.0, "usual": 50.0, "began": 1.0}
        >>> log_q = bc.priors.Repeat().log_prob(seen, {"bonus": 1.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.15', '0.40', '0.15', '0.15', '0.15']
    """

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
        bonus = psi["bonus"] * look(observation, "began", self)
        same = jnp.abs(action_values - look(observation, "own", self)) < 1e-5 * (action_values[-1] - action_values[0])
        return jnp.where(same, bonus, 0.0).astype(action_values.dtype)
