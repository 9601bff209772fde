"""Markov games of two players and many states, solved state by state.

The equations, their unknowns and the branch that is followed are those of `sequential`. What differs is how a step of
the path is computed: play in a state depends on other states through their values alone, so that the linear system
is solved in each state by itself, and then for the values (`solvers.state_by_state`).

On the way a pair of eigenvalues that pass zero together is not noticed, as it is in small games. How many directions
lead away from the solution is counted at its end.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import AnyArray, Parameters
from bayescal.environments.markov import Markov
from bayescal.policies.audit import Concept
from bayescal.policies.choices import ByAction, BySituation, Play, choices, inclusive, tie_break
from bayescal.solvers.path import PathResult, follow_path
from bayescal.solvers.places import in_places
from bayescal.solvers.state_by_state import StateByState
from bayescal.solvers.unstable import negative_of_inverse

Unknowns = Float[Array, " d"]


class _Theta(NamedTuple):
    """What a solution depends on, and may be differentiated in."""

    log_q: Float[Array, "2 states actions"]
    costs: Float[Array, "2 types"]
    weights: Float[Array, " types"]
    params: Parameters


class _Game(NamedTuple):
    """The equations v = G(v, s) of a game. `scale` is the unit of payoffs, `least` the smallest cost."""

    env: Markov
    concept: Concept
    scale: Float[Array, ""]
    least: Float[Array, ""]
    cells: tuple[np.ndarray, ...]

    def linearise(self, v: Unknowns, s: Float[Array, ""], theta: _Theta) -> tuple[Unknowns, StateByState, Unknowns]:
        """(v - G(v, s), its derivative in v, its derivative in s)."""
        env, cells = self.env, self.cells
        log_q, costs, weights, params = theta
        play = Play(log_q, self.least / costs, weights, self.concept)
        x = self.spread_out(v, theta)
        log_choices = choices(x, log_q, play.precision)
        p = jnp.exp(log_choices)
        value = inclusive(x, log_choices, play)
        average = jnp.einsum("k,iksa->isa", weights, p)
        moved = p * play.precision[:, :, None, None]
        spread = moved[..., None] * (jnp.eye(p.shape[-1], dtype=p.dtype) - p[..., None, :])
        weigh = p if self.concept == "trajectory" else p + moved * (x - jnp.sum(p * x, axis=-1, keepdims=True))

        payoffs, transitions = env.payoff_table(params), env.transition_table(params)
        sizes = payoffs.shape[2:]
        ahead = env.discount / (1 - env.discount)
        # From differences between values, never from values: these may be large beside what matters.
        later = value[..., None, :] - value[..., :, None]
        follows = ahead * jnp.einsum("sabt,ikst->iksab", transitions, later)
        u = jnp.moveaxis(payoffs, 1, 0) / self.scale
        mine = lambda x: _padded([x[0], jnp.swapaxes(x[1], -1, -2)], p.shape[-1])
        now = mine(u)
        moves = s * now[:, None] + mine(follows)
        rise = jnp.einsum("isab,isb->isa", now, average[::-1])
        reply = jnp.einsum("iksab,isb->iksa", moves, average[::-1])
        other = [average[1, :, : sizes[1]], average[0, :, : sizes[0]]]
        goes = [jnp.einsum("sabt,sb->sat", transitions, other[0]), jnp.einsum("sabt,sa->sbt", transitions, other[1])]
        stays = jnp.eye(env.states, dtype=p.dtype)[:, None, :]
        drift = jnp.stack([jnp.pad(ahead * (g - stays), _short(g, p.shape[-1])) for g in goes])
        shares = weights[:, None, None, None] * spread
        derivative = StateByState(moves, shares, weigh, drift, cells)
        return v - reply[cells], derivative, -jnp.broadcast_to(rise[:, None], x.shape)[cells]

    def spread_out(self, v: Unknowns, theta: _Theta) -> ByAction:
        """The unknowns in their places."""
        players, states, actions = theta.log_q.shape
        return in_places(v, self.cells, (players, theta.costs.shape[1], states, actions))


def solve_two_players(
    env: Markov,
    log_q: Float[Array, "2 states actions"],
    costs: Float[Array, "2 types"],
    weights: Float[Array, " types"],
    params: Parameters,
    concept: Concept,
    sense: Float[AnyArray, ""],
) -> tuple[ByAction, BySituation, PathResult]:
    """(the values v of actions at the end of the principal branch, those of situations, the path). v is in units of
    the smallest cost, as in `sequential`."""
    theta = _Theta(log_q, costs, weights, params)
    fixed = jax.lax.stop_gradient(theta)
    types = costs.shape[1]
    cells = np.nonzero(np.broadcast_to(env.possible[:, None], (2, types, *log_q.shape[1:])))
    scale = jax.lax.stop_gradient(env.payoff_scale(params)).astype(log_q.dtype)
    least = jax.lax.stop_gradient(jnp.min(costs))
    game, end = _Game(env, concept, scale, least, cells), scale / least

    lean = tie_break(fixed.log_q, cells, sense)
    begin = jnp.zeros(len(cells[0]), log_q.dtype)
    path = follow_path(lambda v, s: game.linearise(v, s, fixed), begin, end, tie_break=lean, rank=0)
    solver, _ = game.linearise(path.point, end, fixed)[1].factor()
    away = jnp.sin(1.0 + jnp.arange(begin.size, dtype=begin.dtype) ** 2)  # a direction without the symmetries of games
    unstable = negative_of_inverse(lambda x: solver(x[:, None])[:, 0], away)

    def newton(v, _):
        f, derivative, _ = game.linearise(v, end, theta)
        return v - derivative.solve(f[:, None])[0][:, 0], None

    # The derivative of a Newton step in v is zero at the solution: two steps give first and second derivatives exactly.
    v, _ = jax.lax.scan(newton, path.point, length=2)
    x = game.spread_out(v, theta)
    play = Play(log_q, least / costs, weights, concept)
    value = inclusive(x, choices(x, log_q, play.precision), play) / (1 - env.discount)
    ended = PathResult(v, path.status, path.iterations, unstable, path.forked)
    return x, value, ended


def _short(x: Array, width: int) -> list[tuple[int, int]]:
    """By how much the second axis is padded."""
    return [(0, width - n if k == 1 else 0) for k, n in enumerate(x.shape)]


def _padded(tables: list[Array], width: int) -> Array:
    """Tables whose last two axes are actions, with these as wide as those of the player with the most."""
    widen = lambda x: jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, width - n) for n in x.shape[-2:]])
    return jnp.stack([widen(x) for x in tables])
