"""Games that are solved before they are played: everybody's choice in every situation, in one table."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from bayescal._types import AnyArray, Parameters
from bayescal.environments.base import OneShot
from bayescal.environments.finite import FiniteGame
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.policies.exact import ExactPolicy

_BATCH = 64  # solved side by side


def has_table(policy: Policy) -> bool:
    """Whether one table describes the policy completely at given costs."""
    env = policy.environment
    return isinstance(env, OneShot) or (isinstance(policy, ExactPolicy) and isinstance(env, FiniteGame))


def choice_tables(
    policy: Policy,
    cost: Float[AnyArray, "people ..."],
    phi: Parameters | None,
    psi: Parameters,
    params: Parameters,
    own: Parameters | None = None,
) -> Float[np.ndarray, "people roles situations actions"]:
    """Log-probabilities at each of many costs.

    Args:
        own: parameters of the game by cost; phi and psi then have one value a cost too. None: all share everything.

    Raises:
        InputError: a game that could not be solved at one of them.
    """
    n = len(cost)
    full = 2 ** (n - 1).bit_length()  # few batch sizes, so that little is compiled
    # A one-shot game with one population is solved once for all own costs.
    once = own is None and phi is not None and isinstance(policy.environment, OneShot)
    batch = full if once else min(full, _BATCH)
    parts = []
    for at in range(0, n, batch):
        rows = np.minimum(np.arange(at, at + batch), n - 1)
        part = lambda tree, rows=rows: jax.tree.map(lambda x: x[rows], tree)
        if own is None:
            parts.append(_tables(policy, part(cost), phi, psi, None, params))
        else:
            parts.append(_tables(policy, *part((cost, phi, psi, own)), params))
    tables = np.concatenate([np.asarray(x) for x in parts])[:n]
    failed = np.isnan(tables).any(axis=(1, 2, 3))
    if failed.any():
        raise InputError(
            f"{policy.environment.name} could not be solved at cost {np.asarray(cost)[failed][0].tolist()}: choose a "
            "larger cost, or solve in double precision (jax.config.update('jax_enable_x64', True))."
        )
    return tables


@eqx.filter_jit
def _tables(
    policy: Policy,
    cost: Float[AnyArray, "people ..."],
    phi: Parameters | None,
    psi: Parameters,
    own: Parameters | None,
    params: Parameters,
) -> Float[Array, "people roles situations actions"]:
    def one(
        cost: Float[AnyArray, "..."], phi: Parameters | None, psi: Parameters, own: Parameters | None
    ) -> Float[Array, "roles situations actions"]:
        game = {**params, **(own or {})}
        if isinstance(policy.environment, OneShot):
            return policy.log_prob_all(cost, phi, psi, game)[:, None, :]
        assert isinstance(policy, ExactPolicy)
        return policy.log_prob_table(cost, phi, psi, game)

    axis = None if own is None else 0
    return jax.vmap(one, in_axes=(0, axis, axis, axis))(cost, phi, psi, own)


def situation(policy: Policy, seen: PyTree) -> Int[Array, "..."]:
    """The row of the table that belongs to an observation."""
    env = policy.environment
    return env.situation_of(seen) if isinstance(env, FiniteGame) else jnp.zeros((), jnp.int32)
