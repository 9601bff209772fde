"""Levels of reasoning of people whose costs of information differ as well.

A player of level k replies, at a cost of their own, to the average play of lower levels: over levels, and over the
population of costs. A type is a level together with a node of cost; level 0, which replies to nothing, is one type.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal.domain import POSITIVE, REAL, Interval
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.policies.base import PolicyKind, hide_absent
from bayescal.policies.by_role import ByType
from bayescal.policies.level_k import Kind, LevelKPolicy
from bayescal.policies.normal_nodes import normal_nodes
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform


class LevelCostsPolicy(ByType):
    """Players of levels 0 to `highest` whose log costs are normal.

    Args:
        environment, kind, prior: as in `LevelKPolicy`; the kind is one with Poisson levels.
        highest: level.
        information: the most that one person's decisions say about a standard normal cost (see `normal_nodes`).

    phi is {"tau": …, "log_mean": …, "log_sd": …}.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.policies.level_costs import LevelCostsPolicy
        >>> policy = LevelCostsPolicy(bc.VolunteersDilemma(4), highest=2, information=3.0)
        >>> policy.levels + 1  # level 0, and two levels at 31 costs each
        63
    """

    policy_kind = PolicyKind.LEVELS
    environment: Environment
    kind: Kind = eqx.field(static=True, default="cognitive hierarchy")
    prior: Prior = Uniform()
    highest: int = eqx.field(static=True, default=10)
    information: float = eqx.field(static=True, default=1.0)
    type_name: str = eqx.field(static=True, default="kind")

    def __check_init__(self) -> None:
        if "tau" not in self._levels.parameters:
            raise InputError(f"LevelCostsPolicy: {self.kind} has no Poisson levels: choose the cognitive hierarchy.")

    @property
    def _levels(self) -> LevelKPolicy:
        return LevelKPolicy(self.environment, self.kind, self.prior, self.highest)

    @property
    def levels(self) -> int:
        """The number of types, less one."""
        return self.highest * len(normal_nodes(self.information)[0])

    @property
    def parameters(self) -> dict[str, Interval]:
        """phi: of the distribution of levels, and of the population of costs."""
        return {"tau": POSITIVE, "log_mean": REAL, "log_sd": POSITIVE}

    def log_prior(self, psi: Any = None) -> Float[Array, "roles actions"]:
        """log q of every role over the padded grid; -1e30 for absent actions."""
        return self._levels.log_prior(psi)

    def log_shares(self, phi: Any) -> Float[Array, " types"]:
        """Log-probabilities of the types."""
        by_level = self._levels.log_shares(phi)
        higher = by_level[1:, None] + jnp.asarray(normal_nodes(self.information)[1])
        return jnp.concatenate([by_level[:1], higher.reshape(-1)])

    def log_prob_by_level(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "types roles actions"]:
        """Log-probabilities of a player of each type; everybody's cost is their own, so `cost` does not matter."""
        params = self.all_params(params)
        z, log_w = map(jnp.asarray, normal_nodes(self.information))
        costs, share = jnp.exp(phi["log_mean"] + phi["log_sd"] * z), jnp.exp(log_w)
        log_q = self.log_prior(psi)
        first = hide_absent(log_q)
        replies = lambda others: jax.vmap(lambda cost: self._levels.reply(log_q, cost, params)(others))(costs)
        higher = self._levels.climb(first, phi, replies, share)
        return jnp.concatenate([first[None], higher.reshape(-1, *first.shape)])
