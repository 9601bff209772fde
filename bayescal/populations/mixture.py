"""A population of populations: latent classes of people."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal._types import AnyArray, Costs, Key, Scalar
from bayescal.domain import REAL, Interval
from bayescal.errors import InputError
from bayescal.populations.base import Nodes, Phi, Population
from bayescal.populations.log_normal import LogNormal


class Mixture(Population):
    """Component k with probability softmax(0, weight_1, weight_2, …)[k]; its own parameters are `NAME_k`.

    Example:
        >>> import bayescal as bc
        >>> classes = bc.populations.Mixture((bc.populations.LogNormal(), bc.populations.LogNormal()))
        >>> list(classes.parameters)
        ['weight_1', 'log_mean_0', 'log_sd_0', 'log_mean_1', 'log_sd_1']
    """

    components: tuple[Population, ...]

    def __check_init__(self) -> None:
        if len(self.components) < 2:
            raise InputError(f"A mixture needs at least two components; found {len(self.components)}.")

    @property
    def parameters(self) -> dict[str, Interval]:
        weights = {f"weight_{k}": REAL for k in range(1, len(self.components))}
        own = {f"{n}_{k}": i for k, c in enumerate(self.components) for n, i in c.parameters.items()}
        return weights | own

    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        out: dict[str, dist.Distribution] = {
            f"weight_{k}": dist.Normal(0.0, 1.5) for k in range(1, len(self.components))
        }
        for k, component in enumerate(self.components):
            out |= {f"{n}_{k}": d for n, d in component.default_hyperpriors(payoff_scale).items()}
        return out

    @property
    def words(self) -> str:
        count = len(self.components)
        return f"{ {2: 'two', 3: 'three', 4: 'four'}.get(count, count) }-class"

    @classmethod
    def example(cls) -> "Mixture":
        """Two classes, each log-normal."""
        return cls((LogNormal(), LogNormal()))

    def _log_weights(self, phi: Phi) -> Float[Array, " components"]:
        free = [jnp.asarray(phi[f"weight_{k}"], jnp.result_type(float)) for k in range(1, len(self.components))]
        return jax.nn.log_softmax(jnp.stack([jnp.zeros_like(free[0]), *free]))

    def _own(self, phi: Phi, k: int) -> Phi:
        return {name: phi[f"{name}_{k}"] for name in self.components[k].parameters}

    def log_density(self, cost: Costs, phi: Phi) -> Float[AnyArray, "..."]:
        parts = [c.log_density(cost, self._own(phi, k)) for k, c in enumerate(self.components)]
        return jax.nn.logsumexp(jnp.stack(parts, axis=-1) + self._log_weights(phi), axis=-1)

    def sample(self, key: Key, phi: Phi, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        which, *keys = jax.random.split(key, 1 + len(self.components))
        draws = jnp.stack(
            [c.sample(k, self._own(phi, i), shape) for i, (c, k) in enumerate(zip(self.components, keys, strict=True))]
        )
        label = jax.random.categorical(which, self._log_weights(phi), shape=shape)
        return jnp.take_along_axis(draws, label[None], axis=0)[0]

    def quadrature(self, phi: Phi) -> tuple[Nodes, Nodes]:
        rules = [c.quadrature(self._own(phi, k)) for k, c in enumerate(self.components)]
        shares = jnp.exp(self._log_weights(phi))
        costs = jnp.concatenate([costs for costs, _ in rules])
        return costs, jnp.concatenate([share * w for share, (_, w) in zip(shares, rules, strict=True)])

    def parts(self, phi: Phi) -> list[tuple[Float[Array, ""], Population, Phi]]:
        """(log share, population, its parameters) of each class."""
        shares = self._log_weights(phi)
        return [(shares[k], c, self._own(phi, k)) for k, c in enumerate(self.components)]

    def shifted(self, phi: Phi, by: Scalar, spread: Scalar = 0.0) -> dict[str, Any]:
        moved = dict(phi)
        for k, c in enumerate(self.components):
            moved |= {f"{n}_{k}": x for n, x in c.shifted(self._own(phi, k), by, spread).items()}
        return moved
