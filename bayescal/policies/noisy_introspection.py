"""Noisy introspection (Goeree & Holt 2004): beliefs about beliefs, the noisier the further they are from one's own."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from bayescal._types import Costs, Parameters, RoleActions
from bayescal.domain import POSITIVE, Interval
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.policies.base import PolicyKind, PriorPolicy, tilt
from bayescal.policies.by_role import ByRole
from bayescal.policies.stationary import one_shot_of_several
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform


class NoisyIntrospectionPolicy(ByRole, PriorPolicy):
    """One's own play is a noisy reply at cost c to what one believes that others do; this is a noisy reply at cost c t
    to what they are believed to believe; this at cost c t² …:

        p = R_c(R_{ct}(R_{ct²}(…))),  R_c(p)(a) = q(a) exp(U(a, p) / c) / Z.

    Args:
        environment: a one-shot game of at least two players.
        prior: the habit q.
        depth: how many beliefs are nested. The innermost is the reply to the habit.

    phi is {"growth": t - 1}, by how much the cost grows from belief to belief. As it goes to infinity people reply
    noisily to the habit; at 0 the beliefs are those of replies iterated `depth` times at one cost, which may approach a
    quantal response equilibrium.

    Example:
        >>> import bayescal as bc
        >>> claims = []
        >>> for reward in (5, 80):  # cents
        ...     policy = bc.NoisyIntrospectionPolicy(bc.travelers_dilemma(reward=reward))
        ...     log_p = policy.log_prob_all(0.1, {"growth": 1.0}, None, None)[0]
        ...     claims.append(policy.environment.action_values[0][int(log_p.argmax())])
        >>> claims  # the most frequent ones; the only equilibrium without noise is 180, whatever the reward
        [290.0, 180.0]
    """

    policy_kind = PolicyKind.LEVELS
    environment: Environment
    prior: Prior = Uniform()
    depth: int = eqx.field(static=True, default=20)

    def __check_init__(self) -> None:
        one_shot_of_several("NoisyIntrospectionPolicy", self.environment)
        if self.depth < 1:
            raise InputError(f"NoisyIntrospectionPolicy: {self.depth} beliefs are nested; it takes at least 1.")

    @property
    def parameters(self) -> dict[str, Interval]:
        """phi: by how much the cost grows from belief to belief."""
        return {"growth": POSITIVE}

    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        env: Any = self.environment
        if cost is None or phi is None:
            raise InputError('NoisyIntrospectionPolicy: give a cost, and phi as {"growth": …}.')
        log_q, given = self.log_prior(psi), self.all_params(params)
        cost, growth = (jnp.asarray(x, log_q.dtype) for x in (cost, phi["growth"]))

        def reply(log_p, depth):
            at = cost * (1 + growth) ** depth
            payoffs = env.expected_payoffs(jnp.exp(log_p), given)
            return jax.vmap(lambda q, u: tilt(q, u, at))(log_q, payoffs), None

        levels = jnp.arange(self.depth - 1, -1, -1.0, dtype=log_q.dtype)
        return jax.lax.scan(reply, log_q, levels)[0]
