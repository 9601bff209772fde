"""Repeated games solved backwards: whom one meets in each round, and what states are worth before it.

In a state s of one round, with what it is worth afterwards known,

    Q(s, a; cost) = E[ u(a, b) + worth(a, b; cost) ],   b from what the others play, P(mirrored s)
    P(s)          = sum_k w_k q(s) exp(Q(s; cost_k) / cost_k) / Z,

a fixed point in P, the population's average play. Its value, cost · log E_q exp(Q / cost), is the worth before the
round. The level of worth moves no choice and is taken off each round, or it would drown the differences.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayescal._types import Parameters
from bayescal.environments.repeated import Repeated
from bayescal.policies.rounds.stage import (
    Chain,
    Continuation,
    LogPrior,
    Stage,
    action_values,
    chances,
    habit_at,
    node_chain,
)

MOST = 200  # iterations of one round
POLISH = 4  # differentiable iterations after it


class Types(NamedTuple):
    """Possible costs of the others, and their probabilities."""

    costs: Float[Array, " types"]
    weights: Float[Array, " types"]


class Met(NamedTuple):
    """The population's play in each state of a chain, and by how much the last iteration moved it (total of |change|
    over actions, largest over states)."""

    play: Float[Array, "states actions"]
    residual: Float[Array, ""]


class Rounds(NamedTuple):
    """A repeated game, solved.

    Attributes:
        worth: what a state is worth after round 0, 1, … (at nodes, without its level): zero after the last.
        play: the population's play at the nodes (and their mirrored states) before rounds 1, 2, …
        residual: the largest of all rounds.
    """

    worth: Float[Array, "rounds costs own seen"]
    play: Float[Array, "later states actions"]
    residual: Float[Array, ""]


def meet(
    environment: Repeated,
    total: Continuation,
    types: Types,
    log_q: Float[Array, "states actions"],
    mirror: Int[Any, " states"],
    start: Float[Array, "states actions"],
    *,
    tolerance: float | None = None,
    polish: int = POLISH,
) -> Met:
    """The fixed point of one round, from `start`.

    It is found by damped iteration, whose step is shortened whenever it overshoots. Derivatives come from the last
    `polish` iterations.

    Args:
        tolerance: of the residual; None for one near the precision of numbers.
    """
    close = tolerance or (1e-11 if start.dtype == jnp.float64 else 2e-6)

    def reply(play: Array, total: Continuation, types: Types, log_q: Array) -> Array:
        q = action_values(total, chances(environment, play[mirror]))
        by_type = jax.nn.softmax(log_q + q / types.costs[:, None, None], axis=-1)
        return jnp.einsum("k,ksa->sa", types.weights, by_type)

    fixed = jax.lax.stop_gradient((total, types, log_q))

    def again(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        play, last, step, count = carry
        new = reply(play, *fixed)
        residual = jnp.max(jnp.sum(jnp.abs(new - play), axis=1))
        step = jnp.where(residual > last, 0.7 * step, step)
        return play + step * (new - play), residual, step, count + 1

    dtype = start.dtype
    infinite, count = jnp.asarray(jnp.inf, dtype), jnp.zeros((), jnp.int32)
    first = (jax.lax.stop_gradient(start), infinite, jnp.asarray(_step(environment), dtype), count)
    going = lambda carry: (carry[1] > close) & (carry[3] < MOST)
    play, residual, step, _ = jax.lax.while_loop(going, again, first)
    for _ in range(polish):
        play = play + step * (reply(play, total, types, log_q) - play)
    return Met(play, residual)


def _step(environment: Repeated) -> float:
    # Best replies to the others' mean that fall with a slope of -(n - 1) / 2 are the steepest of common games.
    return 2 / (environment.players + 1)


def soft_value(
    log_q: Float[Array, "states actions"], q: Float[Array, "costs states actions"], costs: Float[Array, " costs"]
) -> Float[Array, "costs states"]:
    """cost · log E_q exp(Q / cost)."""
    return costs[:, None] * jax.nn.logsumexp(log_q + q / costs[:, None, None], axis=-1)


def solve_rounds(
    environment: Repeated,
    stage: Stage,
    log_prior: LogPrior,
    types: Types,
    own: Float[Array, " costs"],
    params: Parameters,
    *,
    tolerance: float | None = None,
    polish: int = POLISH,
) -> Rounds:
    """Backward induction over all rounds, for the types and for other own costs (in this order in `worth`)."""
    chain = node_chain(environment, stage)
    shape = (len(stage.own.at), len(stage.seen.at))
    nodes, area = shape[0] * shape[1], jnp.asarray(stage.area)
    costs = jnp.concatenate([types.costs, own])
    known = len(types.costs)

    def back(carry: tuple[Array, Array], played: Array) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
        worth, play = carry
        log_q = habit_at(environment, log_prior, chain, played, params)
        total = Continuation(stage, worth[:known])
        play, residual = meet(environment, total, types, log_q, chain.mirror, play, tolerance=tolerance, polish=polish)
        met = chances(environment, play[chain.mirror[:nodes]])
        before = soft_value(log_q[:nodes], action_values(Continuation(stage, worth), met), costs).reshape(-1, *shape)
        before = environment.discount * (before - jnp.sum(before * area, axis=(1, 2), keepdims=True))
        return (before, play), (before, play, residual)

    nothing = jnp.zeros((len(costs), *shape), costs.dtype)
    flat = jnp.exp(habit_at(environment, log_prior, chain, environment.horizon - 1, params)).astype(costs.dtype)
    later = jnp.arange(environment.horizon - 1, 0, -1)
    if not len(later):
        return Rounds(nothing[None], flat[None][:0], jnp.zeros((), costs.dtype))
    _, (worth, play, residual) = jax.lax.scan(back, (nothing, flat), later)
    # Worth before round t is worth after round t - 1.
    return Rounds(jnp.concatenate([worth[::-1], nothing[None]]), play[::-1], jnp.max(residual))


def play_at(
    environment: Repeated,
    total: Continuation,
    types: Types,
    log_prior: LogPrior,
    chain: Chain,
    played: Int[Array, ""] | int,
    params: Parameters,
    *,
    tolerance: float | None = None,
    polish: int = POLISH,
) -> tuple[Met, Float[Array, "states actions"]]:
    """(the population's play in the states of a chain after `played` rounds, the habit there)."""
    log_q = habit_at(environment, log_prior, chain, played, params)
    start = jnp.exp(log_q).astype(total.worth.dtype)
    return meet(environment, total, types, log_q, chain.mirror, start, tolerance=tolerance, polish=polish), log_q
