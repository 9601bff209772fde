"""Impulse balance equilibrium (Selten & Chmura 2008)."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from bayescal._types import Actions, AnyArray, Costs, Parameters, RoleActions
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.policies.eager import in_double_precision
from bayescal.policies.stationary import StationaryPolicy, log_mixtures, one_shot_of_several, stationary_mixtures

_DRIFT = 1e-14  # impulses for no reason, as a share of the spread of payoffs: actions that pay alike are played alike
_LARGEST = 1_000_000  # payoff differences of one role


class ImpulseBalancePolicy(StationaryPolicy):
    """After each round people feel an impulse towards every action that would have paid more, as strong as what they
    missed. In equilibrium the impulses towards each action balance those away from it:

        sum_b p(b) r(b, a) = p(a) sum_b r(a, b),  r(b, a) = E max(u(a, others) - u(b, others), 0).

    Losses count more: of what u is above the role's security level (its pure maximin payoff) only a share
    1 / `aversion` counts. With two actions this is the concept of Selten & Chmura, in which losses count double; with
    more actions it is one of the generalisations in use.

    Args:
        environment: a one-shot game of at least two players.
        aversion: how much more losses count than gains: 2 in Selten & Chmura, 1 for not at all.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.ImpulseBalancePolicy(bc.get_game("selten-chmura-01"))
        >>> [f"{p:.3f}" for p in policy.probabilities()[:, 0]]  # Up, Left
        ['0.068', '0.580']
    """

    environment: Environment
    aversion: float = eqx.field(static=True, default=2.0)

    def __check_init__(self) -> None:
        if not self.aversion >= 1:
            raise InputError(f"ImpulseBalancePolicy: the aversion to losses is {self.aversion}; it is at least 1.")
        env = one_shot_of_several("ImpulseBalancePolicy", self.environment)
        entries = max(env.joint_size(r) * len(v) for r, v in enumerate(env.action_values))
        if entries > _LARGEST:
            raise InputError(
                f"ImpulseBalancePolicy: {env.name} has {entries:,} differences between payoffs of one role, more than "
                f"{_LARGEST:,}."
            )

    @in_double_precision
    @eqx.filter_jit
    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        env: Any = self.environment
        given = self.all_params(params)
        tables = [env.joint_table(role, given) for role in range(env.roles)]

        def reply(p, tables):
            rows = [self._balance(table, env.joint_chances(role, p)) for role, table in enumerate(tables)]
            return jnp.stack([jnp.pad(row, (0, p.shape[1] - len(row))) for row in rows])

        return log_mixtures(env, stationary_mixtures(env, reply, tables))

    def _balance(self, table: Float[Array, "actions outcomes"], chances: Float[AnyArray, " outcomes"]) -> Actions:
        """The mixture at which the impulses balance: the stationary distribution of a jump process."""
        security = jnp.max(jnp.min(table, axis=1))
        felt = jnp.minimum(table, security) + jnp.maximum(table - security, 0.0) / self.aversion
        rates = jnp.maximum(felt[None] - felt[:, None], 0.0) @ chances  # from the first action to the second
        rates = rates + _DRIFT * (jnp.max(felt) - jnp.min(felt) + jnp.finfo(felt.dtype).tiny)
        return _stationary(rates)


def _stationary(rates: Float[Array, "actions actions"]) -> Actions:
    """The stationary distribution of a jump process, by Grassmann, Taksar & Heyman (1985): without subtraction, so that
    rates of very different size do no harm.

    Args:
        rates: from the first action to the second; what is on the diagonal does not matter.
    """
    size, away = len(rates), []
    for k in range(size - 1, 0, -1):  # what passes through action k is attributed to the actions before it
        away.append(rates[k, :k].sum())
        rates = rates.at[:k, :k].add(jnp.outer(rates[:k, k], rates[k, :k]) / away[-1])
    p = jnp.ones(1, rates.dtype)
    for k, out in enumerate(reversed(away), 1):
        p = jnp.append(p, p @ rates[:k, k] / out)
    return p / p.sum()
