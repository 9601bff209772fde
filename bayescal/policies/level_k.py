"""Limited reasoning: a player of level k replies to players of lower levels; level 0 plays the habit.

The kinds differ in whom a player of level k expects to meet, and in how the player replies:

- "level-k" (Nagel 1995; Costa-Gomes & Crawford 2006): the best reply to level k-1, ties shared as in the habit;
- "quantal level-k" (Stahl & Wilson 1994, 1995): q exp(U / cost) / Z, with U the expected payoff against level k-1;
- "cognitive hierarchy" (Camerer, Ho & Chong 2004), quantal: the same against opponents whose levels are drawn from the
  Poisson distribution over 0 … k-1, each independently;
- "GR2-L" (Wen, Yang, Luo & Wang 2019): the player draws the others' joint action b from level k-1 and replies to that
  action: pi_k(a) = sum_b rho_{k-1}(b) · q(a) exp(u(a, b) / cost) / Z(b). The average of replies to single actions is
  more extreme than the reply to the average;
- "GR2-M": the same, with b drawn from the Poisson mixture of all lower levels.

People's levels are Poisson too or, in the first two kinds, softmax(0, weight_1, weight_2, …).
"""

from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from bayescal.domain import POSITIVE, REAL, Interval
from bayescal.environments.base import Environment, OneShot
from bayescal.errors import InputError
from bayescal.policies.base import PolicyKind, hide_absent, padded_log_prior, tilt
from bayescal.policies.by_role import ByType
from bayescal.policies.rational import best_reply
from bayescal.precision import double_precision
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

Kind = Literal["level-k", "quantal level-k", "cognitive hierarchy", "GR2-L", "GR2-M"]

LARGEST = 1_000_000  # payoffs in the joint table of one role
_MIXED = ("cognitive hierarchy", "GR2-M")  # opponents are drawn from all lower levels


class LevelKPolicy(ByType):
    """Players of levels 0 to `levels`.

    Args:
        environment: a one-shot game of at least two players; for the GR2 kinds its joint table must have at most a
            million payoffs.
        prior: the habit: the play of level 0, and q in the replies of higher levels.
        levels: the highest level.

    phi, the distribution of people's levels, is {"tau": …}, or {"weight_1": …, …} of the level-k kinds.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.policies.level_k import LevelKPolicy
        >>> guess = LevelKPolicy(bc.BeautyContest(12), "level-k", levels=3)
        >>> guess.log_prob_by_level(None, {}, None, None)[:, 0].argmax(axis=1).tolist()  # level 0 is uniform
        [0, 32, 21, 14]
    """

    policy_kind = PolicyKind.LEVELS
    environment: Environment
    kind: Kind = eqx.field(static=True, default="cognitive hierarchy")
    prior: Prior = Uniform()
    levels: int = eqx.field(static=True, default=10)

    def __check_init__(self) -> None:
        env = self.environment
        if self.kind not in get_args(Kind):
            raise InputError(f"LevelKPolicy: the kind is {self.kind!r}; choose one of {', '.join(get_args(Kind))}.")
        if not isinstance(env, OneShot):
            raise InputError(f"LevelKPolicy: {env.name} is a game over time; levels are of one-shot games.")
        if env.players < 2:
            raise InputError(f"LevelKPolicy: {env.name} has no others to reason about.")
        if self.levels < 1:
            raise InputError(f"LevelKPolicy: the highest level is {self.levels}; it is at least 1.")
        if self.imagines:
            _check_size(env)

    @property
    def imagines(self) -> bool:
        """Whether players reply to single joint actions of the others instead of their mixture."""
        return self.kind.startswith("GR2")

    @property
    def types_are_fixed(self) -> bool:
        """Whether phi changes the shares of the levels, and nobody's play."""
        return self.kind in ("level-k", "quantal level-k")

    @property
    def parameters(self) -> dict[str, Interval]:
        """phi: the parameters of the distribution of levels."""
        if self.kind in ("level-k", "quantal level-k"):
            return {f"weight_{k}": REAL for k in range(1, self.levels + 1)}
        return {"tau": POSITIVE}

    def log_prior(self, psi: Any = None) -> Float[Array, "roles actions"]:
        """log q of every role over the padded grid; -1e30 for absent actions."""
        env, psi = self.environment, psi or self.prior.defaults
        return jnp.stack([padded_log_prior(env, self.prior, r, psi, r) for r in range(env.roles)])

    def log_shares(self, phi: Any) -> Float[Array, " levels"]:
        """Log-probabilities of the levels."""
        if "tau" in self.parameters:
            return jax.nn.log_softmax(self._log_poisson(phi["tau"]))
        free = [jnp.asarray(phi[name], jnp.result_type(float)) for name in self.parameters]
        return jax.nn.log_softmax(jnp.stack([jnp.zeros_like(free[0]), *free]))

    def log_prob_by_level(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "levels roles actions"]:
        """Log-probabilities of a player of each level."""
        log_q = self.log_prior(psi)
        reply = self.reply(log_q, cost, self.all_params(params))
        first = hide_absent(log_q)
        one = jnp.ones((), log_q.dtype)
        higher = self.climb(first, phi, lambda others: reply(others)[None], one[None])[:, 0]
        return jnp.concatenate([first[None], higher])

    def climb(
        self, first: Float[Array, "roles actions"], phi: Any, replies: Any, shares: Float[Array, " kinds"]
    ) -> Float[Array, "levels kinds roles actions"]:
        """Log-probabilities of each kind of player of levels 1, 2, …

        Args:
            first: of level 0.
            replies: those of each kind of player to the others' mixtures, as a function of these.
            shares: of the kinds.
        """
        weights = jnp.exp(self._log_poisson(phi["tau"])) if self.kind in _MIXED else None

        def step(below, weight):
            """`below`: the sum of the mixtures that the next level expects, and their total weight."""
            total, mass = below
            log_p = replies(total / mass)
            mean = jnp.tensordot(shares, jnp.exp(log_p), axes=1)
            if weight is None:
                return (mean, mass), log_p
            return (total + weight * mean, mass + weight), log_p

        start = (jnp.exp(first), jnp.ones((), first.dtype))
        return jax.lax.scan(step, start, None if weights is None else weights[1:], length=self.levels)[1]

    def _log_poisson(self, tau: Any) -> Float[Array, " levels"]:
        """Up to a constant: 0 for level 0."""
        k = jnp.arange(self.levels + 1.0)
        return k * jnp.log(tau) - gammaln(k + 1)

    def reply(self, log_q: Float[Array, "roles actions"], cost: Any, params: Any) -> Any:
        """The reply to the others' mixtures, as a function of them."""
        env: Any = self.environment
        if self.kind == "level-k":
            return lambda others: jax.vmap(best_reply)(log_q, env.expected_payoffs(others, params))
        if not self.imagines:
            return lambda others: jax.vmap(lambda q, u: tilt(q, u, cost))(log_q, env.expected_payoffs(others, params))
        params = jax.lax.optimization_barrier(params)  # otherwise XLA takes seconds to fold a table of known payoffs
        tables = [env.joint_table(role, params) for role in range(env.roles)]
        rows = []
        for role, table in enumerate(tables):
            log_k = jax.vmap(lambda u, role=role: tilt(log_q[role, : len(u)], u, cost), in_axes=1, out_axes=1)(table)
            # Each row relative to its largest entry, so that tiny costs do not underflow.
            rows.append((jax.lax.stop_gradient(jnp.max(log_k, axis=1)), log_k))
        tiny = jnp.finfo(log_q.dtype).tiny

        def reply(others):
            out = jnp.full(log_q.shape, -jnp.inf)
            for role, (most, log_k) in enumerate(rows):
                absent = most == -jnp.inf
                scaled = jnp.exp(jnp.where(absent[:, None], 0.0, log_k - jnp.where(absent, 0.0, most)[:, None]))
                mean = jnp.maximum(scaled @ env.joint_chances(role, others), tiny)
                log_p = jnp.where(absent, -jnp.inf, jnp.log(mean) + jnp.where(absent, 0.0, most))
                out = out.at[role, : log_p.shape[0]].set(log_p)
            return out

        return reply


def dominant(environment: OneShot) -> bool:
    """Whether the best reply is the same for all actions of the others, because these move all payoffs equally."""
    with double_precision():
        params = jax.tree.map(jnp.asarray, environment.params)
        at = np.asarray(environment.mask, float)
        at = jnp.asarray(at / at.sum(axis=1, keepdims=True))
        slopes = np.asarray(environment.payoff_slopes(at, params))
        moved = np.where(environment.mask[:, :, None, None], slopes - slopes[:, :1], 0.0)
        return bool(np.abs(moved).max() <= 1e-9 * max(np.abs(slopes).max(), 1e-300))


def _check_size(environment: OneShot) -> None:
    """Raises InputError if the joint table of the game is too large."""
    entries = max(environment.joint_size(role) for role in range(environment.roles))
    if entries > LARGEST:
        raise InputError(
            f"GR2 replies to each joint action of the others: {environment.name} with {environment.players} players "
            f"has {entries:,} payoffs of own against others' actions, more than {LARGEST:,}."
        )
