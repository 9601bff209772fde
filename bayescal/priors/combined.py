"""What priors that are made of priors share: whose parameters are whose."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal._types import AnyArray, Grid, Observation, Parameters, Scalar
from bayescal.domain import REAL, Interval
from bayescal.errors import InputError
from bayescal.priors.base import ABSENT, Prior


class Combined(Prior):
    """Several priors; the parameters of the k-th (from 0) are called `NAME_k`, beside the `weights` of all."""

    components: tuple[Prior, ...]

    def __check_init__(self) -> None:
        if len(self.components) < 2:
            kind = type(self).__name__.lower()
            raise InputError(f"A {kind} needs at least two components; found {len(self.components)}.")

    @property
    def weights(self) -> tuple[str, ...]:
        """Parameters of the combination itself: log odds of the components, relative to the first."""
        return ()

    @property
    def parameters(self) -> dict[str, Interval]:
        return dict.fromkeys(self.weights, REAL) | self._named([c.parameters for c in self.components])

    @property
    def defaults(self) -> dict[str, float]:
        return dict.fromkeys(self.weights, 0.0) | self._named([c.defaults for c in self.components])

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        weights = {name: dist.Normal(0.0, 1.5) for name in self.weights}
        return weights | self._named([c.default_hyperpriors(payoff_scale) for c in self.components])

    @property
    def flat_parameters(self) -> dict[str, float] | None:
        """Where every component is uniform."""
        flat = [component.flat_parameters for component in self.components]
        known = [values for values in flat if values is not None]
        return self._named(known) if len(known) == len(flat) else None

    def rows(
        self, observation: Observation, psi: Parameters, role: int, action_values: Grid
    ) -> Float[Array, "components actions"]:
        """log q of every component."""
        rows = [
            component.log_prob(observation, self.psi_of(k, psi), role=role, action_values=action_values)
            for k, component in enumerate(self.components)
        ]
        return jnp.maximum(jnp.stack(rows), ABSENT)

    def psi_of(self, k: int, psi: Parameters) -> dict[str, Scalar | AnyArray]:
        """The parameters of the k-th component, by its own names."""
        return {name: psi[f"{name}_{k}"] for name in self.components[k].parameters}

    @staticmethod
    def _named[Value](by_component: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
        """Values of all components under the names that parameters have here."""
        return {f"{name}_{k}": x for k, values in enumerate(by_component) for name, x in values.items()}
