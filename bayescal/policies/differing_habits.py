"""People of habit who differ: one parameter of the habit is normal over people, on the real line."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal._types import Costs, Parameters
from bayescal.domain import POSITIVE, Interval
from bayescal.environments.base import Environment
from bayescal.policies.base import PolicyKind, PriorPolicy, hide_absent
from bayescal.policies.by_role import ByType
from bayescal.policies.normal_nodes import normal_nodes
from bayescal.priors.base import Prior
from bayescal.priors.log_linear import LogLinear


class DifferingHabits(ByType, PriorPolicy):
    """Plays a habit whose first parameter is each person's own; a type is a node of it.

    Args:
        information: the most that one person's decisions say about it (see `normal_nodes`).

    phi is {"spread": …}, the standard deviation over people; psi are the parameters of the middle person.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.policies.differing_habits import DifferingHabits
        >>> policy = DifferingHabits(bc.VolunteersDilemma(3), information=3.0)
        >>> policy.differs, policy.levels + 1
        ('tilt', 31)
    """

    policy_kind = PolicyKind.HABIT
    environment: Environment
    prior: Prior = LogLinear()
    information: float = eqx.field(static=True, default=1.0)
    type_name: str = eqx.field(static=True, default="kind")

    @property
    def differs(self) -> str:
        """The parameter in which people differ."""
        return next(iter(self.prior.parameters))

    @property
    def levels(self) -> int:
        """The number of types, less one."""
        return len(normal_nodes(self.information)[0]) - 1

    @property
    def parameters(self) -> dict[str, Interval]:
        return {"spread": POSITIVE}

    def log_shares(self, phi: Parameters) -> Float[Array, " types"]:
        """Log-probabilities of the types."""
        return jnp.asarray(normal_nodes(self.information)[1])

    def log_prob_by_level(
        self, cost: Costs | None, phi: Parameters, psi: Parameters | None, params: Parameters | None
    ) -> Float[Array, "types roles actions"]:
        """Log-probabilities of a person of each type."""
        interval, middle = self.prior.parameters[self.differs], dict(psi or self.prior.defaults)
        z = jnp.asarray(normal_nodes(self.information)[0])
        own = interval.from_real(interval.to_real(jnp.asarray(middle[self.differs])) + phi["spread"] * z)
        return hide_absent(jax.vmap(lambda x: self.log_prior(middle | {self.differs: x}))(own))
