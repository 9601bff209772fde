"""Several habits, each followed with some probability."""

import jax
import jax.numpy as jnp

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.priors.combined import Combined
from bayescal.priors.focal import Focal
from bayescal.priors.near import Previous


class Mixture(Combined):
    """q = sum_k softmax(0, weight_1, …)[k] q_k; the components' own parameters are `NAME_k`.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> seen = {"own": 25.0, "seen": 75.0, "usual": 50.0, "began": 1.0}
        >>> habits = bc.priors.Mixture((bc.priors.Previous(), bc.priors.Naive()))
        >>> psi = {"weight_1": 0.0, "pull_0": 8.0, "pull_1": 8.0}
        >>> log_q = habits.log_prob(seen, psi, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.06', '0.39', '0.11', '0.39', '0.06']
    """

    @property
    def weights(self) -> tuple[str, ...]:
        return tuple(f"weight_{k}" for k in range(1, len(self.components)))

    @classmethod
    def example(cls) -> "Mixture":
        return cls((Previous(), Focal(5.0)))

    def log_prob(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        rows = self.rows(observation, psi, role, action_values)
        free = [jnp.asarray(psi[name], action_values.dtype) for name in self.weights]
        log_weights = jax.nn.log_softmax(jnp.stack([jnp.zeros_like(free[0]), *free]))
        return jax.nn.logsumexp(rows + log_weights[:, None], axis=0)
