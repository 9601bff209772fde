"""Anchoring: people stay near what happened last."""

from numpyro import distributions as dist

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.domain import POSITIVE, Interval
from bayescal.priors.base import Tilt
from bayescal.priors.near import closeness


class Anchored(Tilt):
    """q(a) ∝ exp(-pull · |a - anchor| / width of the grid); psi = {"anchor", "pull"}.

    `anchor` is where people were (the previous outcome), as a fraction of the way from the lowest to the highest
    action; `pull` says how many nats the far end of the grid is away. The corner is rounded over a hundredth of
    the grid, so that likelihoods are smooth in the anchor.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> log_q = bc.priors.Anchored().log_prob(None, {"anchor": 0.5, "pull": 4.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.07', '0.19', '0.49', '0.19', '0.07']
    """

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"anchor": Interval(0.0, 1.0), "pull": POSITIVE}

    @property
    def defaults(self) -> dict[str, float]:
        return {"anchor": 0.5, "pull": 1.0}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"anchor": dist.Uniform(0.0, 1.0), "pull": dist.HalfNormal(3.0)}

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
        target = action_values[0] + psi["anchor"] * (action_values[-1] - action_values[0])
        return closeness(action_values, target) * psi["pull"]
