"""How costs are spread over people: lambda ~ F_phi."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.domain import POSITIVE, Interval
from bayescal.errors import InputError

Phi = dict[str, Float[Array, ""]]


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

    @property
    def support(self) -> Interval:
        """Where costs can be."""
        return POSITIVE

    @abstractmethod
    def log_density(self, cost: Float[Array, "..."], phi: Phi) -> Float[Array, "..."]: ...

    @abstractmethod
    def sample(self, key: PRNGKeyArray, phi: Phi, shape: tuple[int, ...] = ()) -> Float[Array, "..."]: ...

    @abstractmethod
    def quadrature(self, phi: Phi) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
        """(costs, weights) with weights summing to one: E f(cost) = sum_k w_k f(cost_k). Smooth in phi."""

    def shifted(self, phi: Phi, by: Float[Array, ""], spread: Float[Array, ""] | float = 0.0) -> Phi:
        """phi of the same people after their log costs have moved by `by`, give or take `spread` (an sd)."""
        raise InputError(
            f"Costs of a {type(self).__name__} population cannot be moved by groups, covariates or learning: use "
            "LogNormal, or a Mixture of them."
        )
