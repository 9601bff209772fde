"""A rule of thumb, played softly."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from bayescal.environments.base import Environment
from bayescal.training.replies.base import Decision, Reply, Rule, tilted, wanted_actions

FIRMNESS = (0.1, 1.0, 8.0, 60.0)


class SoftRule(Reply):
    """q(a|o) exp(g) with g = -firmness · (10 · distance / range of the grid)²: at a firmness of 1, a distance of a
    tenth of the grid costs one nat. Versions are the rule's candidates, each with four degrees of firmness."""

    rule: Rule

    @property
    def name(self) -> str:
        return self.rule.name

    def settings(self, environment: Environment, role: int, params: PyTree) -> Float[np.ndarray, "versions numbers"]:
        start = environment.observe(environment.reset(jax.random.key(0), params), _first(environment, role))
        candidates = len(wanted_actions(self.rule, environment, role, start, params))
        return np.array([(c, f) for c in range(candidates) for f in FIRMNESS], float)

    def log_choices(
        self, environment: Environment, role: int, at: Decision, setting: Float[Array, " numbers"]
    ) -> Float[Array, " actions"]:
        values = jnp.asarray(environment.action_values[role], jnp.result_type(float))
        wanted = wanted_actions(self.rule, environment, role, at.seen, at.params)
        away = (values - wanted[setting[0].astype(jnp.int32)]) / (values[-1] - values[0])
        return tilted(at.log_q, -setting[1] * (10 * away) ** 2)


def _first(environment: Environment, role: int) -> int:
    """The first player of a role."""
    return sum(environment.role_counts[:role])
