"""What priors that are made of priors share: whose parameters are whose."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.domain import Interval
from bayescal.errors import InputError
from bayescal.priors.base import Prior

FLOOR = -1e30  # for actions that a component rules out: finite, so that gradients are free of NaN


class Combined(Prior):
    """Several priors; the parameters of the k-th (from 0) are called `NAME_k`, beside the `weights` of all."""

    components: tuple[Prior, ...]

    def __check_init__(self) -> None:
        if len(self.components) < 2:
            kind = type(self).__name__.lower()
            raise InputError(f"A {kind} needs at least two components; found {len(self.components)}.")

    @property
    @abstractmethod
    def weights(self) -> dict[str, tuple[Interval, float]]:
        """Parameters of the combination itself: their intervals and defaults."""

    @property
    def parameters(self) -> dict[str, Interval]:
        own = {n: interval for n, (interval, _) in self.weights.items()}
        return own | {f"{n}_{k}": i for k, c in enumerate(self.components) for n, i in c.parameters.items()}

    @property
    def defaults(self) -> dict[str, float]:
        own = {n: default for n, (_, default) in self.weights.items()}
        return own | {f"{n}_{k}": x for k, c in enumerate(self.components) for n, x in c.defaults.items()}

    def rows(
        self, observation: Any, psi: Mapping[str, Any], role: int, action_values: Float[Array, " actions"]
    ) -> Float[Array, "components actions"]:
        """log q of every component."""
        rows = [
            component.log_prob(observation, self.own(k, psi), role=role, action_values=action_values)
            for k, component in enumerate(self.components)
        ]
        return jnp.maximum(jnp.stack(rows), FLOOR)

    def own(self, k: int, psi: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of the k-th component, by its own names."""
        return {name: psi[f"{name}_{k}"] for name in self.components[k].parameters}
