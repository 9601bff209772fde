"""Games that are solved before they are played: everybody's choice in every situation, as one table."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.environments.base import OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.policies.exact import ExactPolicy

_BATCH = 64  # solved side by side


def has_table(policy: Policy) -> bool:
    """Whether all there is to know of the policy, at given costs, is one table: once solved, choices are looked up."""
    env = policy.environment
    return isinstance(env, OneShot) or (isinstance(policy, ExactPolicy) and isinstance(env, FiniteGame))


def choice_tables(
    policy: Policy,
    cost: Float[Array, "people ..."],
    phi: Any,
    psi: Any,
    params: dict[str, Any],
    own: dict[str, Any] | None = None,
) -> Float[np.ndarray, "people roles situations actions"]:
    """Log-probabilities at each of many costs.

    Args:
        own: parameters of the game, one for each cost; phi and psi are then one for each cost too (None: all share
            them).

    Raises:
        InputError: a game that could not be solved at one of them.
    """
    n = len(cost)
    full = 2 ** (n - 1).bit_length()  # few sizes, so that few are compiled
    # One-shot games of one population are solved once, whatever the own costs in it.
    once = own is None and phi is not None and isinstance(policy.environment, OneShot)
    batch = full if once else min(full, _BATCH)
    parts = []
    for at in range(0, n, batch):
        rows = np.minimum(np.arange(at, at + batch), n - 1)
        of_each = (cost,) if own is None else (cost, phi, psi, own)
        some = jax.tree.map(lambda x, rows=rows: x[rows], of_each)
        parts.append(np.asarray(_tables(policy, *some, *((phi, psi, None) if own is None else ()), params)))
    tables = np.concatenate(parts)[:n]
    failed = np.isnan(tables).any(axis=(1, 2, 3))
    if failed.any():
        raise InputError(
            f"{policy.environment.name} could not be solved at cost {np.asarray(cost)[failed][0].tolist()}: choose a "
            "larger cost, or solve in double precision (jax.config.update('jax_enable_x64', True))."
        )
    return tables


@eqx.filter_jit
def _tables(policy: Policy, cost: Any, phi: Any, psi: Any, own: Any, params: Any) -> Any:
    def one(cost: Any, phi: Any, psi: Any, own: Any) -> Float[Array, "roles situations actions"]:
        game = params | (own or {})
        if isinstance(policy.environment, OneShot):
            return policy.log_prob_all(cost, phi, psi, game)[:, None, :]
        assert isinstance(policy, ExactPolicy)
        return policy.log_prob_table(cost, phi, psi, game)

    axis = None if own is None else 0
    return jax.vmap(one, in_axes=(0, axis, axis, axis))(cost, phi, psi, own)


def situation(policy: Policy, seen: Any) -> Int[Array, "..."]:
    """Which row of the table an observation stands for."""
    env = policy.environment
    return env.situation_of(seen) if isinstance(env, FiniteGame) else jnp.zeros((), jnp.int32)
