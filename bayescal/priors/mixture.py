"""Several habits at once, each followed with some probability."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.domain import REAL, Interval
from bayescal.errors import InputError
from bayescal.priors.base import Prior


class Mixture(Prior):
    """q = sum_k softmax(0, weight_1, …)[k] q_k; the components' own parameters are `NAME_k`."""

    components: tuple[Prior, ...]

    def __check_init__(self) -> None:
        if len(self.components) < 2:
            raise InputError(f"A mixture needs at least two components; found {len(self.components)}.")

    @property
    def parameters(self) -> dict[str, Interval]:
        weights = {f"weight_{k}": REAL for k in range(1, len(self.components))}
        return weights | {f"{n}_{k}": i for k, c in enumerate(self.components) for n, i in c.parameters.items()}

    @property
    def defaults(self) -> dict[str, float]:
        weights = {f"weight_{k}": 0.0 for k in range(1, len(self.components))}
        return weights | {f"{n}_{k}": x for k, c in enumerate(self.components) for n, x in c.defaults.items()}

    def log_prob(
        self,
        observation: Any,
        psi: Mapping[str, Any],
        *,
        role: int,
        action_values: Float[Array, " actions"],
    ) -> Float[Array, " actions"]:
        rows = []
        for k, component in enumerate(self.components):
            own = {name: psi[f"{name}_{k}"] for name in component.parameters}
            row = component.log_prob(observation, own, role=role, action_values=action_values)
            # A component may rule actions out; a finite floor keeps its gradient free of NaN.
            rows.append(jnp.maximum(row, -1e30))
        free = [jnp.asarray(psi[f"weight_{k}"], action_values.dtype) for k in range(1, len(self.components))]
        log_weights = jax.nn.log_softmax(jnp.stack([jnp.zeros_like(free[0]), *free]))
        return jax.nn.logsumexp(jnp.stack(rows) + log_weights[:, None], axis=0)
