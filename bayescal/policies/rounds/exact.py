"""The exact play of a repeated game, at states that were observed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayescal._types import Parameters, Seen
from bayescal.environments.repeated import Repeated
from bayescal.policies.rounds.solve import Rounds, Types, play_at, solve_rounds
from bayescal.policies.rounds.stage import (
    Continuation,
    LogPrior,
    Stage,
    action_values,
    chain_of,
    chances,
    stage_of,
)

UNSOLVED = 1e-3  # a larger change of play in the last iteration of any round means that there is no solution


class Solved(NamedTuple):
    """A solved game with what is needed to play it.

    Attributes:
        types: the others' possible costs; `rounds.worth` has them first, then the own costs.
        own: other own costs.
    """

    stage: Stage
    types: Types
    own: Float[Array, " costs"]
    rounds: Rounds
    params: Parameters


def solve(
    environment: Repeated,
    log_prior: LogPrior,
    types: Types,
    own: Float[Array, " costs"],
    params: Parameters,
    nodes: int,
) -> Solved:
    """All rounds of a game; `nodes` in each direction of its states."""
    stage = stage_of(environment, params, nodes)
    return Solved(stage, types, own, solve_rounds(environment, stage, log_prior, types, own, params), params)


def values_at(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen
) -> tuple[Float[Array, "costs cells actions"], Float[Array, "cells actions"]]:
    """(Q of every action for each own cost, log q) after each of these observations."""
    known = len(solved.types.costs)

    def one(own: Array, others: Array, played: Int[Array, ""]) -> tuple[Array, Array]:
        worth = solved.rounds.worth[jnp.clip(played, 0, environment.horizon - 1)]
        chain = chain_of(environment, own[None], others[None])
        total = Continuation(solved.stage, worth[:known])
        met, log_q = play_at(environment, total, solved.types, log_prior, chain, played, solved.params)
        seen_now = chances(environment, met.play[chain.mirror[:1]])
        q = action_values(Continuation(solved.stage, worth[known:]), seen_now)
        return q[:, 0], log_q[0]

    dtype = solved.rounds.worth.dtype
    cells = (jnp.asarray(seen["own"], dtype), jnp.asarray(seen["seen"], dtype), jnp.asarray(seen["round"]))
    q, log_q = jax.vmap(one)(*cells)
    return jnp.moveaxis(q, 1, 0), log_q


def log_probs(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen
) -> Float[Array, "costs cells actions"]:
    """Log-probabilities for each own cost after each observation; NaN if the game was not solved."""
    q, log_q = values_at(environment, solved, log_prior, seen)
    log_p = jax.nn.log_softmax(log_q + q / solved.own[:, None, None], axis=-1)
    return jnp.where(solved.rounds.residual < UNSOLVED, log_p, jnp.nan)


def log_probs_by_person(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen
) -> Float[Array, "costs cells actions"]:
    """Log-probabilities for each own cost after observations of its own: entries of `seen` have a row for each."""
    each = lambda i, cells: log_probs(
        environment, solved._replace(own=solved.own[i][None], rounds=_only(solved, i)), log_prior, cells
    )[0]
    return jax.vmap(each)(jnp.arange(len(solved.own)), {n: jnp.asarray(x) for n, x in seen.items()})


def average_play(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen
) -> Float[Array, "cells actions"]:
    """The probabilities of somebody of unknown cost after each observation."""
    own = solved._replace(own=solved.types.costs, rounds=_twice(solved))
    log_p = log_probs(environment, own, log_prior, seen)
    return jnp.einsum("k,kca->ca", solved.types.weights, jnp.exp(log_p))


def _only(solved: Solved, i: Int[Array, ""] | int) -> Rounds:
    """The rounds with one of the own costs."""
    known = len(solved.types.costs)
    worth = solved.rounds.worth
    own = jax.lax.dynamic_slice_in_dim(worth, known + i, 1, axis=1)
    return solved.rounds._replace(worth=jnp.concatenate([worth[:, :known], own], axis=1))


def _twice(solved: Solved) -> Rounds:
    """The rounds with the types as own costs too."""
    worth = solved.rounds.worth[:, : len(solved.types.costs)]
    return solved.rounds._replace(worth=jnp.concatenate([worth, worth], axis=1))
