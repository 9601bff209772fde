"""No habit at all: every action is as likely as every other."""

import jax.numpy as jnp

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.priors.base import Known


class Uniform(Known):
    """q(a) = 1 / (number of actions). With it the exact policy is a logit quantal response equilibrium.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> log_q = bc.priors.Uniform().log_prob(None, {}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.20', '0.20', '0.20', '0.20', '0.20']
    """

    @property
    def flat_parameters(self) -> dict[str, float]:
        return {}

    @property
    def words(self) -> str:
        return "uniform"

    def log_prob(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        return jnp.full(action_values.shape, -jnp.log(action_values.shape[0]))
