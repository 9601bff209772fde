"""Equilibria of finite games over time: Markov games and games in extensive form.

In situation o (a state, or an information set) a player of cost lambda chooses

    pi(a | o) = q_psi(a | o) · exp(Q(o, a) / lambda) / Z,

where Q is the payoff of the action now and later, given the strategies of the others. Two concepts differ in the
value V of later situations:

- **"trajectory"** (the concept of bayescal): net of one's own future cost of information, V = lambda log sum q exp(Q /
  lambda). In a decision problem of one person this is dynamic logit (Rust 1987).
- **"agent"**: gross, V = sum pi Q. This is agent quantal response equilibrium (McKelvey & Palfrey 1998), for
  comparison with other programs.

With private costs a player's cost is one of the population's quadrature nodes, the same in the whole game. In
extensive form others learn about it from what they see (Bayes' rule). In a Markov game players remember only the
state and do not learn: in every state everybody expects the average of the population.

Values may be large relative to the cost, and only their differences matter. In a Markov game Q is therefore computed
from V(s') - V(s), never from V(s').
"""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bayescal._types import Parameters
from bayescal.environments.extensive import CHANCE, END, ExtensiveForm
from bayescal.environments.finite import FiniteGame
from bayescal.environments.markov import Markov
from bayescal.errors import InputError
from bayescal.policies.base import ABSENT, hide_absent
from bayescal.solvers.branch import principal_branch
from bayescal.solvers.path import CONVERGED, MESSAGES
from bayescal.solvers.policy_iteration import soft_values

Concept = Literal["trajectory", "agent"]
ByAction = Float[Array, "players types situations actions"]
BySituation = Float[Array, "players types situations"]


class SequentialSolution(eqx.Module):
    """An equilibrium of a finite game over time. Situations are the states of a Markov game, or each player's
    information sets. `by_type` has one entry per cost that a player may have (a single one when costs are known).
    Q is in money, up to a constant of each player, type and situation.
    """

    log_strategies: Float[Array, "players situations actions"]
    log_by_type: Float[Array, "players types situations actions"]
    q: Float[Array, "players types situations actions"]
    values: Float[Array, "players types situations"]
    residual: Float[Array, ""]
    status: Int[Array, ""]
    steps: Int[Array, ""]

    @property
    def strategies(self) -> Float[Array, "... players situations actions"]:
        return jnp.exp(self.log_strategies)

    @property
    def converged(self) -> Bool[Array, "..."]:
        return self.status == CONVERGED

    @property
    def message(self) -> str:
        """The outcome in words (of one solution, not a batch)."""
        return MESSAGES[int(self.status)]


@eqx.filter_jit
def solve_sequential(
    env: FiniteGame,
    log_q: Float[Array, "players situations actions"],
    costs: Float[Array, "players types"],
    weights: Float[Array, " types"],
    params: Parameters,
    concept: Concept,
) -> SequentialSolution:
    """The equilibrium on the principal branch at these costs. Types of weight zero do not enter beliefs."""
    if isinstance(env, Markov) and env.players == 1 and concept == "trajectory":
        return _decision_problem(env, log_q, costs, weights, params)
    if not isinstance(env, Markov | ExtensiveForm):
        raise InputError(f"{env.name} is neither a Markov game nor one in extensive form, so it cannot be solved.")
    dtype = log_q.dtype
    scale = jax.lax.stop_gradient(env.payoff_scale(params)).astype(dtype)
    least = jax.lax.stop_gradient(jnp.min(costs))
    possible = np.broadcast_to(
        env.possible[:, None],
        (env.players, costs.shape[1], *log_q.shape[1:]),
    )
    cells = np.nonzero(possible)

    def returns(v, s, theta):
        log_q, costs, weights, params = theta
        play = _Play(log_q, least / costs, weights, concept)
        x = jnp.zeros(possible.shape, dtype).at[cells].set(v)
        of_kind = _tree_returns if isinstance(env, ExtensiveForm) else _markov_returns
        return x, *of_kind(env, x, s / scale, play, params)  # ty: ignore[invalid-argument-type]

    def update(v, s, theta):
        return returns(v, s, theta)[1][cells]

    theta = (log_q, costs, weights, params)
    end = scale / least
    first = (cells[0] == 0) & (cells[1] == 0) & (cells[2] == 0)
    tie_break = jnp.where(first, jnp.exp(log_q)[cells[0], cells[2], cells[3]], 0.0)
    v, path = principal_branch(update, len(cells[0]), end, theta, tie_break)

    x, after, value = returns(v, end, theta)
    log_by_type = _choices(x, log_q, least / costs)
    change = jnp.max(jnp.abs(jnp.exp(log_by_type) - jnp.exp(_choices(after, log_q, least / costs))))
    return _finish(log_by_type, weights, least * x, least * value, change, path.status, path.iterations)


def _finish(
    log_by_type: ByAction,
    weights: Float[Array, " types"],
    q: ByAction,
    values: BySituation,
    change: Float[Array, ""],
    status: Int[Array, ""],
    steps: Int[Array, ""],
) -> SequentialSolution:
    ok = status == CONVERGED
    honest = lambda x: jnp.where(ok, x, jnp.nan)
    present = jnp.maximum(log_by_type, ABSENT)
    average = jax.nn.logsumexp(present, axis=1, b=weights[None, :, None, None])
    return SequentialSolution(
        honest(hide_absent(average)), honest(hide_absent(log_by_type)), honest(q), honest(values), change, status, steps
    )


class _Play(NamedTuple):
    """How people choose: the habit, precisions relative to the largest one, the shares of the types."""

    log_q: Float[Array, "players situations actions"]
    precision: Float[Array, "players types"]
    weights: Float[Array, " types"]
    concept: Concept


def _choices(
    v: ByAction, log_q: Float[Array, "players situations actions"], precision: Float[Array, "players types"]
) -> ByAction:
    """Log-probabilities by type; ABSENT where there is no action."""
    absent = log_q[:, None] <= ABSENT / 2
    best = jax.lax.stop_gradient(jnp.max(jnp.where(absent, -jnp.inf, v), axis=-1, keepdims=True))
    logits = log_q[:, None] + precision[:, :, None, None] * (v - jnp.where(jnp.isfinite(best), best, 0.0))
    return jnp.where(absent, ABSENT, jax.nn.log_softmax(logits, axis=-1))


def _inclusive(v: ByAction, log_choices: ByAction, play: _Play) -> BySituation:
    """The value of a situation in units of v: the expectation, for "trajectory" minus the cost of information."""
    p = jnp.exp(log_choices)
    expected = jnp.sum(p * v, axis=-1)
    if play.concept == "agent":
        return expected
    r = play.precision[:, :, None]
    log_z = jax.nn.logsumexp(play.log_q[:, None] + r[..., None] * v, axis=-1)
    return expected - (r * expected - log_z) / r


def _decision_problem(
    env: Markov,
    log_q: Float[Array, "players situations actions"],
    costs: Float[Array, "players types"],
    weights: Float[Array, " types"],
    params: Parameters,
) -> SequentialSolution:
    payoffs, transitions = env.payoff_table(params)[:, 0].astype(log_q.dtype), env.transition_table(params)
    solve = lambda cost: soft_values(payoffs, transitions.astype(log_q.dtype), log_q[0], cost, env.discount)
    solved = jax.vmap(solve)(costs[0])
    log_by_type = _choices(solved.q[None], log_q, 1 / costs)
    zero = jnp.zeros((), log_q.dtype)
    status = jnp.max(solved.status)
    return _finish(log_by_type, weights, solved.q[None], solved.v[None], zero, status, jnp.max(solved.steps))


def _markov_returns(
    env: Markov, v: ByAction, s: Float[Array, ""], play: _Play, params: Parameters
) -> tuple[ByAction, BySituation]:
    """(s · (Q of every action - discount · V of its state), s · V of every state), if choices follow from v.

    In equilibrium v equals the first of these. The value of v is V - discount · V, so V is that over 1 - discount.
    """
    players = env.players
    log_choices = _choices(v, play.log_q, play.precision)
    value = _inclusive(v, log_choices, play) / (1 - env.discount)
    average = jnp.einsum("k,iksa->isa", play.weights, jnp.exp(log_choices))
    payoffs, transitions = env.payoff_table(params), env.transition_table(params)
    out = []
    for i in range(players):
        u, p = payoffs[:, i], transitions
        for j in reversed([j for j in range(players) if j != i]):
            size = u.shape[1 + j]
            other = average[j, :, :size]
            u, p = (
                jnp.sum(x * other.reshape(other.shape[0], *[1] * j, size, *[1] * (x.ndim - 2 - j)), axis=1 + j)
                for x in (u, p)
            )
        later = jnp.einsum("sat,kst->ksa", p, value[i][:, None, :] - value[i][:, :, None])
        row = s * u[None] + env.discount * later
        out.append(jnp.pad(row, ((0, 0), (0, 0), (0, v.shape[3] - row.shape[2]))))
    return jnp.stack(out), value


def _tree_returns(
    env: ExtensiveForm, v: ByAction, s: Float[Array, ""], play: _Play, params: Parameters
) -> tuple[ByAction, BySituation]:
    """(s · Q of every action, s · V of every situation) in a tree: a forward pass for the probabilities of the nodes, a
    backward pass for their values."""
    tree, players, types = env.tree, env.players, v.shape[1]
    log_q, precision, weights, concept = play
    log_choices = _choices(v, log_q, precision)
    nodes, levels = len(tree.mover), [np.flatnonzero(tree.depth == d) for d in range(tree.depth.max() + 1)]
    parent, branch = np.zeros(nodes, int), np.zeros(nodes, int)
    for h, b in np.argwhere(tree.children >= 0):
        parent[tree.children[h, b]], branch[tree.children[h, b]] = h, b
    # Log-probabilities of the moves of nature, and of each player and type, on the path to each node.
    nature = jnp.zeros(nodes, v.dtype)
    own = jnp.zeros((players, types, nodes), v.dtype)
    for level in levels[1:]:
        up, b = parent[level], branch[level]
        chance = np.where(tree.mover[up] == CHANCE, tree.chances[up, b], 1.0)
        nature = nature.at[level].set(nature[up] + np.log(chance))
        for i in range(players):
            moved = jnp.where(tree.mover[up] == i, log_choices[i][:, tree.situation[up], b], 0.0)
            own = own.at[i, :, level].set((own[i][:, up] + moved).T)
    reach = jax.nn.logsumexp(own, axis=1, b=weights[None, :, None])
    payoffs = s * jnp.asarray(params["payoffs"], v.dtype)
    worth = jnp.zeros((players, types, nodes), v.dtype)
    at_end = np.flatnonzero(tree.mover == END)
    worth = worth.at[:, :, at_end].set(jnp.swapaxes(payoffs[tree.end[at_end]], 0, 1)[:, None, :])
    q = jnp.zeros(v.shape, v.dtype)
    for level in reversed(levels[:-1]):
        inner = level[tree.mover[level] != END]
        if not len(inner):
            continue
        kids = np.maximum(tree.children[inner], 0)
        there = tree.children[inner] >= 0
        mover = tree.mover[inner]
        for i in range(players):
            # Probabilities of the next node if player i does not move: nature's, or the mover's given the path so far.
            odds = jnp.asarray(tree.chances[inner], v.dtype)
            for j in range(players):
                if j != i:
                    theirs = jnp.exp(reach[j][kids] - reach[j][inner][:, None])
                    odds = jnp.where((mover == j)[:, None], theirs, odds)
            odds = jnp.where(there, odds, 0.0)
            worth = worth.at[i, :, inner].set(jnp.einsum("hb,khb->hk", odds, worth[i][:, kids]))
            mine = inner[mover == i]
            if len(mine):
                # Beliefs over the nodes of a situation, from the moves of nature and of the others.
                others = nature + sum(reach[j] for j in range(players) if j != i)
                count, where = env.situation_count, tree.situation[mine]
                most = jnp.full(count, -jnp.inf, v.dtype).at[where].max(others[mine])
                odds = jnp.exp(others[mine] - most[where])
                odds = odds / jnp.zeros(count, v.dtype).at[where].add(odds)[where]
                kids_of = np.maximum(tree.children[mine], 0)
                brought = jnp.where(tree.children[mine] >= 0, odds[:, None] * worth[i][:, kids_of], 0.0)
                brought = jnp.pad(brought, ((0, 0), (0, 0), (0, max(0, v.shape[3] - brought.shape[2]))))
                q = q.at[i, :, where].add(jnp.swapaxes(brought[:, :, : v.shape[3]], 0, 1))
                log_p = log_choices[i][:, where][:, :, : kids_of.shape[1]]
                log_p = jnp.pad(log_p, ((0, 0), (0, 0), (0, kids_of.shape[1] - log_p.shape[2])), constant_values=ABSENT)
                p = jnp.exp(log_p)
                stay = jnp.sum(jnp.where(tree.children[mine] >= 0, p * worth[i][:, kids_of], 0.0), axis=-1)
                if concept == "trajectory":
                    paid = jnp.exp(log_choices[i]) * (log_choices[i] - jnp.maximum(log_q[i], ABSENT)[None])
                    paid = jnp.sum(jnp.where(log_q[i][None] <= ABSENT / 2, 0.0, paid), axis=-1) / precision[i][:, None]
                    stay = stay - paid[:, where]
                worth = worth.at[i, :, mine].set(stay.T)
    return q, _inclusive(v, log_choices, play)
