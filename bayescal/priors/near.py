"""Habits of staying near something that was seen: one's last decision, the last outcome, one's usual decision."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from numpyro import distributions as dist

from bayescal._types import Actions, Grid, Observation, Parameters, Scalar
from bayescal.domain import POSITIVE, Interval
from bayescal.errors import InputError
from bayescal.priors.base import Prior, Tilt

CORNER = 0.01  # the share of the grid over which the corner of |.| is rounded, so that likelihoods are smooth


def closeness(action_values: Grid, target: Scalar) -> Actions:
    """Minus the distance from the target, in widths of the grid; log-priors near a target are `pull` times this."""
    width = action_values[-1] - action_values[0]
    return -jnp.sqrt(((action_values - target) / width) ** 2 + CORNER**2)


def look(observation: Observation, name: str, prior: Prior) -> Any:
    """What was seen under a name.

    Raises:
        InputError: the game shows nothing of that name.
    """
    if not isinstance(observation, Mapping) or name not in observation:
        shown = ", ".join(sorted(observation)) if isinstance(observation, Mapping) else "nothing of earlier rounds"
        raise InputError(
            f"The prior {type(prior).__name__} leans on {name!r}, which this game does not show (it shows {shown}): "
            "choose another prior."
        )
    return observation[name]


class Near(Tilt):
    """q(a | o) ∝ exp(-pull · |a - target(o)| / width of the grid); flat before the first decision.

    `pull` says how many nats the far end of the grid is away; the corner is rounded over a hundredth of the grid.
    """

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

    @abstractmethod
    def target(self, observation: Observation, psi: Parameters) -> Scalar:
        """Where the habit leads, in the grid's units."""

    def log_weight(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        pull = psi["pull"] * look(observation, "began", self)
        return pull * closeness(action_values, self.target(observation, psi))


class Previous(Near):
    """Anchoring on one's previous decision; psi = {"pull"}.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> seen = {"own": 25.0, "seen": 75.0, "usual": 50.0, "began": 1.0}
        >>> log_q = bc.priors.Previous().log_prob(seen, {"pull": 4.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.20', '0.51', '0.20', '0.07', '0.03']
    """

    def target(self, observation: Observation, psi: Parameters) -> Scalar:
        return look(observation, "own", self)


class Naive(Near):
    """Naive expectations, demand chasing: the last outcome will come again; psi = {"pull"}.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> seen = {"own": 25.0, "seen": 75.0, "usual": 50.0, "began": 1.0}
        >>> log_q = bc.priors.Naive().log_prob(seen, {"pull": 4.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.03', '0.07', '0.20', '0.51', '0.20']
    """

    def target(self, observation: Observation, psi: Parameters) -> Scalar:
        return look(observation, "seen", self)


class Adaptive(Near):
    """Adaptive expectations: from one's previous decision a share `gain` of the way to the last outcome.

    psi = {"gain", "pull"}. A gain of 0 is `Previous`, a gain of 1 is `Naive`.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> seen = {"own": 25.0, "seen": 75.0, "usual": 50.0, "began": 1.0}
        >>> log_q = bc.priors.Adaptive().log_prob(seen, {"gain": 0.5, "pull": 4.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.07', '0.19', '0.49', '0.19', '0.07']
    """

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"gain": Interval(0.0, 1.0), "pull": POSITIVE}

    @property
    def defaults(self) -> dict[str, float]:
        return {"gain": 0.5, "pull": 1.0}

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        return {"gain": dist.Uniform(0.0, 1.0), "pull": dist.HalfNormal(3.0)}

    def target(self, observation: Observation, psi: Parameters) -> Scalar:
        own = look(observation, "own", self)
        return own + psi["gain"] * (look(observation, "seen", self) - own)


class Usual(Near):
    """A personal level: near the mean of all of one's own past decisions; psi = {"pull"}.

    It is what keeps people apart who see and earn the same.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> seen = {"own": 25.0, "seen": 75.0, "usual": 50.0, "began": 1.0}
        >>> log_q = bc.priors.Usual().log_prob(seen, {"pull": 4.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.07', '0.19', '0.49', '0.19', '0.07']
    """

    def target(self, observation: Observation, psi: Parameters) -> Scalar:
        return look(observation, "usual", self)
