"""Policies of one-shot games that work out everybody's play at once: of every role, and of every type of person."""

from abc import abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal._types import Actions, Costs, Observation, Parameters, RoleActions
from bayescal.policies.base import ABSENT, Policy, hide_absent


class ByRole(Policy):
    """A policy whose `log_prob` is a row of its `log_prob_all`."""

    def log_prob(
        self,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        return self.log_prob_all(cost, phi, psi, params)[observation]

    @abstractmethod
    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """`log_prob` of every role."""


class ByType(ByRole):
    """People are of one of a few types; of a person whose type is not known, the types are summed out."""

    @abstractmethod
    def log_shares(self, phi: Any) -> Float[Array, " types"]:
        """Log-probabilities of the types."""

    @abstractmethod
    def log_prob_by_level(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "types roles actions"]:
        """Log-probabilities of a person of each type; -inf where there is no action."""

    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        by_type = jnp.maximum(self.log_prob_by_level(cost, phi, psi, params), ABSENT)
        return hide_absent(jax.nn.logsumexp(by_type + self.log_shares(phi)[:, None, None], axis=0))
