"""Several habits at work in every decision."""

from collections.abc import Callable

import jax.numpy as jnp

from bayescal._types import Actions, Grid, Observation, Parameters
from bayescal.priors.base import ABSENT, Tilt
from bayescal.priors.combined import Combined
from bayescal.priors.focal import Focal
from bayescal.priors.near import Adaptive
from bayescal.priors.repeat import Repeat


class Product(Combined, Tilt):
    """q ∝ prod_k q_k; the components' parameters are `NAME_k`, with k from 0.

    `Product((Repeat(), Adaptive(), Centre(), Focal(10)))` is somebody who likes to order what was ordered before, is
    drawn to the last outcome and to the middle, and rounds; psi = {"bonus_0", "gain_1", "pull_1", "pull_2", "bonus_3"}.

    Example:
        >>> import bayescal as bc
        >>> import jax.numpy as jnp
        >>> grid = jnp.arange(0.0, 101.0, 25.0)
        >>> seen = {"own": 25.0, "seen": 75.0, "usual": 50.0, "began": 1.0}
        >>> habits = bc.priors.Product((bc.priors.Previous(), bc.priors.Focal(50.0)))
        >>> log_q = habits.log_prob(seen, {"pull_0": 4.0, "bonus_1": 1.0}, role=0, action_values=grid)
        >>> [f"{p:.2f}" for p in jnp.exp(log_q)]
        ['0.31', '0.30', '0.31', '0.04', '0.04']
    """

    @property
    def words(self) -> str:
        return " × ".join(component.words for component in self.components)

    @classmethod
    def example(cls) -> "Product":
        return cls((Repeat(), Adaptive(), Focal(5.0)))

    def log_weight(
        self,
        observation: Observation,
        psi: Parameters,
        *,
        role: int,
        action_values: Grid,
    ) -> Actions:
        each = [
            c.log_weight(observation, self.psi_of(k, psi), role=role, action_values=action_values)
            for k, c in enumerate(self.components)
        ]
        return jnp.maximum(sum(each[1:], each[0]), ABSENT)

    def terms(self, psi: Parameters, *, role: int, action_values: Grid) -> list[Callable[[Observation], Actions]]:
        each = [
            c.terms(self.psi_of(k, psi), role=role, action_values=action_values) for k, c in enumerate(self.components)
        ]
        return [term for terms in each for term in terms]
