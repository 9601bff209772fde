"""Repeated games solved backwards: whom one meets in each round, and what states are worth before it.

In a state s of one round, with what it is worth afterwards known,

    Q(s, a; cost) = E[ u(a, b) + worth(a, b; cost) ],   b from what the others play, P(mirrored s)
    P(s)          = sum_k w_k q(s) exp(Q(s; cost_k) / cost_k) / Z,

a fixed point in P, the population's average play. Its value, cost · log E_q exp(Q / cost), is the worth before the
round. The level of worth moves no choice and is taken off each round, or it would drown the differences.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

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
from bayescal.precision import FULL

MOST = 1500  # iterations of one round
PATIENCE = ((0, 1.0), (60, 0.1), (400, 0.02))  # from which iteration on steps are no longer than that
SHORTEST = 0.02  # step
TURNS = 100  # iterations for derivatives, at most


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
        residual: the largest of all rounds.
    """

    worth: Float[Array, "rounds costs own seen"]
    residual: Float[Array, ""]


def meet(
    environment: Repeated,
    total: Continuation,
    types: Types,
    log_q: Float[Array, "states actions"],
    mirror: Int[np.ndarray, " states"],
    start: Float[Array, "states actions"],
    *,
    tolerance: float | None = None,
) -> Met:
    """The fixed point of one round, from `start`, with derivatives by the implicit function theorem.

    Args:
        tolerance: of the residual; None for one near the precision of numbers.
    """
    close = tolerance or (1e-11 if start.dtype == jnp.float64 else 2e-6)

    def change(play: Array, total: Continuation, types: Types, log_q: Array) -> Array:
        q = action_values(total, chances(environment, play[mirror]))
        by_type = jax.nn.softmax(log_q + q / types.costs[:, None, None], axis=-1)
        return jnp.einsum("k,ksa->sa", types.weights, by_type, precision=FULL) - play

    # Best replies to the others' mean that fall with a slope of -(n - 1) / 2 are the steepest of common games.
    found = settle(Iteration(change, mirror, 2 / (environment.players + 1), close), start, (total, types, log_q))
    return Met(found, size(change(found, total, types, log_q)))


@dataclass(frozen=True, eq=False)
class Iteration:
    """What is iterated, and how.

    Attributes:
        change: from play in all states to how replies to it differ from it.
        mirror: of each state.
        first: the first step.
        close: the largest change at the end.
    """

    change: Callable[..., Array]
    mirror: Int[np.ndarray, " states"]
    first: float
    close: float


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def settle(rule: Iteration, start: Float[Array, "states actions"], given: PyTree) -> Float[Array, "states actions"]:
    """Iterate with steps from the last two changes (Irons & Tuck 1969), one for each state and its mirror.

    A state whose mirror does not lead back to it takes whole steps. Where replies are so steep that this circles, steps
    become short.
    """
    mirror, here = rule.mirror, np.arange(len(rule.mirror))
    damped = mirror[mirror] == here
    both = lambda x: x + jnp.where(mirror == here, 0.0, x[mirror])
    since, limits = np.array(PATIENCE).T
    longest = lambda count: jnp.asarray(limits, start.dtype)[jnp.sum(count >= since) - 1]

    def again(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        play, last, step, count = carry
        new = rule.change(play, *given)
        turn = new - last
        along, length = both(jnp.sum(turn * last, axis=1)), both(jnp.sum(turn**2, axis=1))
        # A change that grows leaves a solution that is not stable under replies: whole steps, or it creeps.
        better = jnp.where(along > 0, 1.0, jnp.clip(-step * along / jnp.maximum(length, 1e-30), SHORTEST, 1.0))
        # Close to the end rounding makes steps meaningless.
        clear = length > (1e3 * jnp.finfo(play.dtype).eps) ** 2
        step = jnp.where(damped & (count > 0) & clear, better, step)
        step = jnp.where(damped, jnp.minimum(step, longest(count)), step)
        return play + step[:, None] * new, new, step, count + 1

    step = jnp.asarray(np.where(damped, rule.first, 1.0), start.dtype)
    begin = (start, jnp.ones_like(start), step, jnp.zeros((), jnp.int32))
    going = lambda carry: (size(carry[1]) > rule.close) & (carry[3] < MOST)
    return jax.lax.while_loop(going, again, begin)[0]


@settle.defjvp
def _derivative(rule: Iteration, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    """By the implicit function theorem: a linear system, solved without its matrix."""
    _, given = primals
    found = settle(rule, *primals)
    _, force = jax.jvp(lambda given: rule.change(found, *given), (given,), (tangents[1],))
    _, slope = jax.linearize(lambda play: rule.change(play, *given), found)
    return found, jax.lax.custom_linear_solve(lambda moved: -slope(moved), force, solve_linear, solve_linear)


def solve_linear(times: Callable[[Array], Array], right: Array) -> Array:
    """x with times(x) = right, by BiCGSTAB (van der Vorst 1992).

    (That of `jax.scipy.sparse.linalg` cannot be transposed under `vmap`: it moves its start and its right side to the
    device together, so that the start becomes linear too.)
    """
    fine = (1e-10 if right.dtype == jnp.float64 else 1e-5) * jnp.linalg.norm(right)
    dot = lambda a, b: jnp.sum(a * b)
    over = lambda a, b: jnp.where(b == 0, 0.0, a / jnp.where(b == 0, 1.0, b))

    def again(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        x, left, along, rho, count = carry
        image = times(along)
        alpha = over(rho, dot(right, image))
        half = left - alpha * image
        turned = times(half)
        omega = over(dot(turned, half), dot(turned, turned))
        left = half - omega * turned
        new = dot(right, left)
        beta = over(new, rho) * over(alpha, omega)
        return x + alpha * along + omega * half, left, left + beta * (along - omega * image), new, count + 1

    start = (jnp.zeros_like(right), right, right, dot(right, right), jnp.zeros((), jnp.int32))
    going = lambda carry: (jnp.linalg.norm(carry[1]) > fine) & (carry[4] < TURNS)
    return jax.lax.while_loop(going, again, start)[0]


def size(change: Float[Array, "states actions"]) -> Float[Array, ""]:
    """The total of |change| over actions, largest over states."""
    return jnp.max(jnp.sum(jnp.abs(change), axis=1))


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
) -> Rounds:
    """Backward induction over all rounds, for the types and for other own costs (in this order in `worth`)."""
    chain = node_chain(environment, stage)
    shape = (len(stage.own.at), len(stage.seen.at))
    nodes, area = shape[0] * shape[1], jnp.asarray(stage.area)
    costs = jnp.concatenate([types.costs, own])
    known = len(types.costs)

    def back(carry: tuple[Array, Array], played: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        worth, play = carry
        log_q = habit_at(environment, log_prior, chain, played, params)
        total = Continuation(stage, worth[:known])
        play, residual = meet(environment, total, types, log_q, chain.mirror, play, tolerance=tolerance)
        met = chances(environment, play[chain.mirror[:nodes]])
        before = soft_value(log_q[:nodes], action_values(Continuation(stage, worth), met), costs).reshape(-1, *shape)
        before = environment.discount * (before - jnp.sum(before * area, axis=(1, 2), keepdims=True))
        return (before, play), (before, residual)

    nothing = jnp.zeros((len(costs), *shape), costs.dtype)
    flat = jnp.exp(habit_at(environment, log_prior, chain, environment.horizon - 1, params)).astype(costs.dtype)
    later = jnp.arange(environment.horizon - 1, 0, -1)
    if not len(later):
        return Rounds(nothing[None], jnp.zeros((), costs.dtype))
    _, (worth, residual) = jax.lax.scan(back, (nothing, flat), later)
    # Worth before round t is worth after round t - 1.
    return Rounds(jnp.concatenate([worth[::-1], nothing[None]]), jnp.max(residual))


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
) -> tuple[Met, Float[Array, "states actions"]]:
    """(the population's play in the states of a chain after `played` rounds, the habit there)."""
    log_q = habit_at(environment, log_prior, chain, played, params)
    start = jnp.exp(log_q).astype(total.worth.dtype)
    return meet(environment, total, types, log_q, chain.mirror, start, tolerance=tolerance), log_q
