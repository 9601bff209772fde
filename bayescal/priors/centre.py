"""A pull to the centre, whatever happened."""

import equinox as eqx
from numpyro import distributions as dist

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.domain import POSITIVE, Interval
from bayescal.priors.base import Tilt
from bayescal.priors.near import closeness


class Centre(Tilt):
    """Mean anchoring, the pull to centre: q(a) ∝ exp(-pull · |a - at| / width of the grid); psi = {"pull"}.

    Args:
        at: the centre in the grid's units, such as mean demand; None for the middle of the grid.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> log_q = bc.priors.Centre(at=50.0).log_prob(None, {"pull": 4.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.07', '0.19', '0.49', '0.19', '0.07']
    """

    at: float | None = eqx.field(static=True, default=None)

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"pull": POSITIVE}

    @property
    def defaults(self) -> dict[str, float]:
        return {"pull": 1.0}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"pull": dist.HalfNormal(3.0)}

    @property
    def flat_parameters(self) -> dict[str, float]:
        return {"pull": 0.0}

    def log_weight(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        at = (action_values[0] + action_values[-1]) / 2 if self.at is None else self.at
        return closeness(action_values, at) * psi["pull"]
