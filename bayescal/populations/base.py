"""How costs are spread over people: lambda ~ F_phi."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro import distributions as dist

from bayescal._types import AnyArray, Costs, Key, Parameters, Scalar
from bayescal.domain import POSITIVE, Interval
from bayescal.errors import InputError

Phi = Parameters  # by name
Nodes = Float[Array, " nodes"]


def default_log_cost(payoff_scale: float) -> dist.Normal:
    """log cost ~ Normal(log(spread of payoffs / 10), 1.5²): from nearly rational to nearly random play."""
    return dist.Normal(np.log(payoff_scale / 10), 1.5)


def default_cost(payoff_scale: float) -> dist.LogNormal:
    """The same of the cost itself."""
    return dist.LogNormal(np.log(payoff_scale / 10), 1.5)


class Population(eqx.Module):
    """A distribution of costs with parameters phi (a dict of scalars). Costs are positive.

    Example:
        >>> import bayescal as bc
        >>> people = bc.populations.LogNormal()
        >>> isinstance(people, bc.populations.Population), list(people.parameters)
        (True, ['log_mean', 'log_sd'])
    """

    @property
    @abstractmethod
    def parameters(self) -> dict[str, Interval]:
        """Names of the parameters phi and the interval each lives in."""

    @abstractmethod
    def default_hyperpriors(self, payoff_scale: float) -> dict[str, dist.Distribution]:
        """The hyperprior of each parameter, used when none is given.

        Args:
            payoff_scale: the spread of payoffs. Costs are in money, so what is believed of them scales with it.
        """

    @property
    def words(self) -> str:
        """The kind in a few words, for descriptions of a model."""
        return type(self).__name__

    @classmethod
    def example(cls) -> "Population":
        """An instance without options: what a study means by the name, and what the laws are tested on."""
        return cls()

    @property
    def support(self) -> Interval:
        """Where costs can be."""
        return POSITIVE

    @abstractmethod
    def log_density(self, cost: Costs, phi: Phi) -> Float[AnyArray, "..."]:
        """The logarithm of the density at each of these costs; -inf outside the support."""

    @abstractmethod
    def sample(self, key: Key, phi: Phi, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        """Independent costs."""

    @abstractmethod
    def quadrature(self, phi: Phi) -> tuple[Nodes, Nodes]:
        """(costs, weights) with weights summing to one: E f(cost) = sum_k w_k f(cost_k). Smooth in phi."""

    def shifted(self, phi: Phi, by: Scalar, spread: Scalar = 0.0) -> dict[str, Any]:
        """phi of the same people after their log costs have moved by `by` on average, with standard deviation
        `spread`."""
        raise InputError(
            f"Costs of a {type(self).__name__} population cannot be moved by groups, covariates or learning: use "
            "LogNormal, or a Mixture of them."
        )


def moments(population: Population, phi: Phi) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The mean and the standard deviation of log cost."""
    costs, weights = population.quadrature(phi)
    x = jnp.log(costs)
    mean = weights @ x
    return mean, jnp.sqrt(jnp.maximum(weights @ (x - mean) ** 2, 1e-20))
