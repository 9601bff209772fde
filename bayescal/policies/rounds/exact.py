"""The exact play of a repeated game, at states that were observed."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Parameters, Seen
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
        tolerance: how closely each round is solved, see `meet`.
    """

    stage: Stage
    types: Types
    own: Float[Array, " costs"]
    rounds: Rounds
    params: Parameters
    tolerance: float | None = None


def solve(
    environment: Repeated,
    log_prior: LogPrior,
    types: Types,
    own: Float[Array, " costs"],
    params: Parameters,
    nodes: int,
    tolerance: float | None = None,
) -> Solved:
    """All rounds of a game; `nodes` in each direction of its states."""
    stage = stage_of(environment, params, nodes)
    rounds = solve_rounds(environment, stage, log_prior, types, own, params, tolerance=tolerance)
    return Solved(stage, types, own, rounds, params, tolerance)


def values_at(
    environment: Repeated,
    solved: Solved,
    log_prior: LogPrior,
    seen: Seen,
    who: Int[AnyArray, " cells"] | None = None,
) -> tuple[Float[Array, "costs cells actions"], Float[Array, "cells actions"]]:
    """(Q of every action, log q) after each of these observations, for each own cost; or, with `who`, for the one own
    cost (its index) that made this observation."""
    known, dtype = len(solved.types.costs), solved.rounds.worth.dtype

    def one(own: Array, others: Array, played: Int[Array, ""], mine: Int[Array, " costs"]) -> tuple[Array, Array]:
        worth = solved.rounds.worth[jnp.clip(played, 0, environment.horizon - 1)]
        chain = chain_of(environment, own[None], others[None])
        total = Continuation(solved.stage, worth[:known])
        met, log_q = play_at(
            environment, total, solved.types, log_prior, chain, played, solved.params, tolerance=solved.tolerance
        )
        seen_now = chances(environment, met.play[chain.mirror[:1]])
        q = action_values(Continuation(solved.stage, worth[known + mine]), seen_now)
        return q[:, 0], log_q[0]

    cells = (jnp.asarray(seen["own"], dtype), jnp.asarray(seen["seen"], dtype), jnp.asarray(seen["round"]))
    if who is None:
        q, log_q = jax.vmap(one, in_axes=(0, 0, 0, None))(*cells, jnp.arange(len(solved.own)))
    else:
        q, log_q = jax.vmap(one)(*cells, jnp.asarray(who)[:, None])
    return jnp.moveaxis(q, 1, 0), log_q


def log_probs(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen
) -> Float[Array, "costs cells actions"]:
    """Log-probabilities for each own cost after each observation; NaN if the game was not solved."""
    q, log_q = values_at(environment, solved, log_prior, seen)
    return _log_choice(solved, log_q + q / solved.own[:, None, None])


def log_probs_by_person(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen, who: Int[AnyArray, " cells"]
) -> Float[Array, "cells actions"]:
    """Log-probabilities after each observation, for the own cost (its index) of the person who made it."""
    q, log_q = values_at(environment, solved, log_prior, seen, who)
    return _log_choice(solved, log_q + q[0] / solved.own[jnp.asarray(who)][:, None])


def _log_choice(solved: Solved, logits: Float[Array, "*rows actions"]) -> Float[Array, "*rows actions"]:
    return jnp.where(solved.rounds.residual < UNSOLVED, jax.nn.log_softmax(logits, axis=-1), jnp.nan)


def average_play(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen
) -> Float[Array, "cells actions"]:
    """The probabilities of somebody of unknown cost after each observation."""
    own = solved._replace(own=solved.types.costs, rounds=_twice(solved))
    log_p = log_probs(environment, own, log_prior, seen)
    return jnp.einsum("k,kca->ca", solved.types.weights, jnp.exp(log_p))


def _twice(solved: Solved) -> Rounds:
    """The rounds with the types as own costs too."""
    worth = solved.rounds.worth[:, : len(solved.types.costs)]
    return solved.rounds._replace(worth=jnp.concatenate([worth, worth], axis=1))
