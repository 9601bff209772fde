"""The exact play of a repeated game of two people who meet the same rival all game long (`others="persistent"`).

What was seen then says something about the rival's cost. Play depends on what is observed: the round, one's own last
action i and the rival's j. With D(c, k, i, j) the probability of seeing that in a round if one's own cost is c and the
rival's c_k, and everybody plays the equilibrium π,

    belief(k | c, i, j)  ∝ w_k D(c, k, i, j)
    Q(c, i, j, a)        = sum_k belief(k) sum_b π(b | j, i; c_k) [ u(a, b) + discount · V'(c, a, b) ]
    π(a | i, j; c)       = q exp(Q / c) / Z,     V = c log sum_a q exp(Q / c).

Beliefs come from the play of earlier rounds and values from that of later ones, so all rounds are one fixed point.
In the first two rounds an observation is the whole history; in later ones it is the last round of it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal._types import AnyArray, Parameters, Seen
from bayescal.environments.repeated import Repeated
from bayescal.errors import InputError
from bayescal.policies.rounds.exact import UNSOLVED
from bayescal.policies.rounds.solve import Iteration, Types, settle, size
from bayescal.policies.rounds.stage import Chain, LogPrior, habit_at, stage_of

MOST = 12  # actions: a state is a pair of them, and its values are held for each pair of costs


class Given(NamedTuple):
    """What a fixed point depends on: payoffs, habits in every state of every round, costs (types first), weights."""

    pays: Float[Array, "actions actions"]
    log_q: Float[Array, "rounds own seen actions"]
    costs: Float[Array, " costs"]
    weights: Float[Array, " types"]


class Solved(NamedTuple):
    """A solved game.

    Attributes:
        play: probabilities by round, cost (types first, then own costs), own last action and the rival's.
        met: how probable each observation is between two types, by round.
        types: the others' possible costs.
        residual: by how much one more iteration would move play.
    """

    play: Float[Array, "rounds costs own seen actions"]
    met: Float[Array, "rounds types types own seen"]
    types: Types
    residual: Float[Array, ""]


def check(environment: Repeated) -> None:
    """Refuse games that are too large, or in which the others' mean does not reveal what each of them did."""
    actions = len(environment.action_values[0])
    if environment.players != 2 or actions > MOST:
        raise InputError(
            f'ExactPolicy: others="persistent" is solved for two players and at most {MOST} actions; '
            f'{environment.name} has {environment.players} players and {actions} actions: use others="average".'
        )


def solve(
    environment: Repeated,
    log_prior: LogPrior,
    types: Types,
    own: Float[Array, " costs"],
    params: Parameters,
    nodes: int,
    tolerance: float | None = None,
) -> Solved:
    """All rounds of a game, for the types and for other own costs, which nobody expects."""
    values, dtype = np.asarray(environment.action_values[0]), jnp.result_type(float)
    grid = [x.ravel() for x in np.meshgrid(values, values, indexing="ij")]
    chain = Chain(grid[0], grid[1], np.arange(len(grid[0])))
    habit = lambda played: habit_at(environment, log_prior, chain, played, params)
    log_q = jax.vmap(habit)(jnp.arange(environment.horizon)).reshape(environment.horizon, *[len(values)] * 3)
    pays = stage_of(environment, params, len(values)).pays
    given = Given(pays, log_q.astype(dtype), jnp.concatenate([types.costs, own]), types.weights)
    shape = (environment.horizon, len(given.costs), *[len(values)] * 3)
    start = jnp.broadcast_to(jnp.exp(given.log_q)[:, None], shape).reshape(-1, len(values))

    def change(play: Array, given: Given) -> Array:
        return replies(play.reshape(shape), given, environment.discount).reshape(play.shape) - play

    close = tolerance or (1e-11 if dtype == jnp.float64 else 2e-6)
    found = settle(Iteration(change, np.arange(len(start)), 2 / 3, close), start, (given,))
    play = found.reshape(shape)
    met = seen_by(play, len(types.costs))[:, : len(types.costs)]
    return Solved(play, met, types, size(change(found, given)))


def seen_by(
    play: Float[Array, "rounds costs own seen actions"], known: int
) -> Float[Array, "rounds costs types own seen"]:
    """How probable each observation is in each round, by the own cost and the rival's."""
    _, costs, count, *_ = play.shape
    others = jnp.swapaxes(play[:, :known], 2, 3)  # by what the other's rival sees
    start = jnp.full((costs, known, count, count), 1 / count**2, play.dtype)  # nothing was seen

    def on(now: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        return jnp.einsum("ckij,cija,kijb->ckab", now, *x), now

    return jax.lax.scan(on, start, (play, others))[1]


def replies(
    play: Float[Array, "rounds costs own seen actions"], given: Given, discount: float
) -> Float[Array, "rounds costs own seen actions"]:
    """What everybody chooses if all play `play` and beliefs follow from it."""
    known = len(given.weights)
    others = jnp.swapaxes(play[:, :known], 2, 3)
    belief = seen_by(play, known) * given.weights[:, None, None]
    belief = belief / jnp.maximum(jnp.sum(belief, axis=2, keepdims=True), jnp.finfo(play.dtype).tiny)
    met = jnp.einsum("tckij,tkijb->tcijb", belief, others)
    cost = given.costs[:, None, None]

    def back(later: Array, x: tuple[Array, Array]) -> tuple[Array, Array]:
        log_q, met = x
        q = jnp.einsum("cijb,cab->cija", met, given.pays + discount * later)
        logits = log_q + q / cost[..., None]
        return cost * jax.nn.logsumexp(logits, axis=-1), jax.nn.softmax(logits, axis=-1)

    return jax.lax.scan(back, jnp.zeros(play.shape[1:4], play.dtype), (given.log_q, met), reverse=True)[1]


def log_probs(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen
) -> Float[Array, "costs cells actions"]:
    """Log-probabilities for each own cost after each observation; NaN if the game was not solved."""
    at = _places(environment, seen)
    return _log(solved, jnp.moveaxis(solved.play[at[0], :, at[1], at[2]], 1, 0)[len(solved.types.costs) :])


def log_probs_by_person(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen, who: Int[AnyArray, " cells"]
) -> Float[Array, "cells actions"]:
    """Log-probabilities after each observation, for the own cost (its index) of the person who made it."""
    at = _places(environment, seen)
    return _log(solved, solved.play[at[0], len(solved.types.costs) + jnp.asarray(who), at[1], at[2]])


def average_play(
    environment: Repeated, solved: Solved, log_prior: LogPrior, seen: Seen
) -> Float[Array, "cells actions"]:
    """The probabilities of somebody of unknown cost after each observation, which says something about that cost."""
    at, known = _places(environment, seen), len(solved.types.costs)
    share = jnp.einsum("k,l,tklij->tijk", solved.types.weights, solved.types.weights, solved.met)[at]
    by_type = jnp.exp(_log(solved, solved.play[at[0], :known, at[1], at[2]]))
    return jnp.einsum("ck,cka->ca", share / jnp.sum(share, axis=1, keepdims=True), by_type)


def _places(environment: Repeated, seen: Seen) -> tuple[Int[Array, " cells"], ...]:
    """(round, index of the own last action, index of the rival's) of each observation."""
    values = jnp.asarray(environment.action_values[0])
    nearest = lambda x: jnp.argmin(jnp.abs(values - jnp.asarray(x)[:, None]), axis=1)
    played = jnp.clip(jnp.asarray(seen["round"]), 0, environment.horizon - 1)
    return played, nearest(seen["own"]), nearest(seen["seen"])


def _log(solved: Solved, play: Float[Array, "*rows actions"]) -> Float[Array, "*rows actions"]:
    return jnp.where(solved.residual < UNSOLVED, jnp.log(play), jnp.nan)
