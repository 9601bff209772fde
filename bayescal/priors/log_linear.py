"""A habit that leans: an exponential tilt of uniform play along a feature of the actions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpyro import distributions as dist

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.domain import REAL, Interval
from bayescal.priors.base import Prior


class LogLinear(Prior):
    """log q(a) = tilt · f(a) - log Z, with psi = {"tilt"}.

    Args:
        features: f by role and action; by default the action's index, scaled to mean 0 and standard deviation 1,
            so that the tilt is in nats per standard deviation of uniform play.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> log_q = bc.priors.LogLinear().log_prob(None, {"tilt": 0.5}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.09', '0.12', '0.18', '0.25', '0.36']
    """

    features: tuple[tuple[float, ...], ...] | None = eqx.field(
        static=True,
        default=None,
        converter=lambda rows: None if rows is None else tuple(tuple(map(float, row)) for row in rows),
    )

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"tilt": REAL}

    @property
    def defaults(self) -> dict[str, float]:
        return {"tilt": 0.0}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"tilt": dist.Normal(0.0, 1.5)}

    @property
    def flat_parameters(self) -> dict[str, float]:
        return {"tilt": 0.0}

    def log_prob(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        if self.features is None:
            index = np.arange(action_values.shape[0]) - (action_values.shape[0] - 1) / 2
            feature = index / max(index.std(), 1e-12)
        else:
            feature = np.asarray(self.features[role])
        return jax.nn.log_softmax(psi["tilt"] * jnp.asarray(feature, action_values.dtype))
