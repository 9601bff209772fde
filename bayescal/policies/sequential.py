"""Equilibria of finite games over time: Markov games and games in extensive form.

In situation o (a state, or an information set) a player of cost lambda chooses

    pi(a | o) = q_psi(a | o) · exp(Q(o, a) / lambda) / Z,

where Q is the payoff of the action now and later, given the strategies of the others. Two concepts differ in the
value V of later situations:

- **"trajectory"** (the concept of bayescal): net of one's own future cost of information, V = lambda log sum q exp(Q /
  lambda). In a decision problem of one person this is dynamic logit (Rust 1987).
- **"agent"**: gross, V = sum pi Q. This is agent quantal response equilibrium (McKelvey & Palfrey 1998), for
  comparison with other programs.

The value of an action in an information set is the belief-weighted mean, over the nodes of the set, of what follows the
action there. Beliefs are Bayes' rule over all nodes of the set, at whatever depth: the chances of nature's and the
others' moves on the way to each node, over their sum. One's own moves on the way are the same at all nodes (perfect
recall), so they cancel. With the concept "trajectory" what follows at a node is net of one's own cost of information
in the sets that are reached from there.

With private costs a player's cost is one of the population's quadrature nodes, the same in the whole game. In
extensive form others learn about it from what they see (Bayes' rule). In a Markov game players remember only the
state and do not learn: in every state everybody expects the average of the population.

Values may be large relative to the cost, and only their differences matter. In a Markov game Q is therefore computed
from V(s') - V(s), never from V(s').
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bayescal._types import AnyArray, Parameters
from bayescal.environments.extensive import CHANCE, END, ExtensiveForm
from bayescal.environments.finite import FiniteGame
from bayescal.environments.markov import Markov
from bayescal.errors import InputError
from bayescal.policies.audit import Audit, Concept, audit
from bayescal.policies.base import ABSENT, hide_absent
from bayescal.policies.choices import ByAction, BySituation, Play, choices, inclusive, tie_break
from bayescal.policies.two_player_markov import solve_two_players
from bayescal.solvers.branch import principal_branch
from bayescal.solvers.path import CONVERGED, MESSAGES, UNCONFIRMED, PathResult
from bayescal.solvers.places import in_places
from bayescal.solvers.policy_iteration import soft_values

_MANY = 100  # unknowns of a Markov game of two players, from which on it is solved state by state


class SequentialSolution(eqx.Module):
    """An equilibrium of a finite game over time. Situations are the states of a Markov game, or each player's
    information sets. `by_type` has one entry per cost that a player may have (a single one when costs are known).
    Q is in money, up to a constant of each player, type and situation. `residual`, `unstable` and `forked` are as in
    the `Solution` of a one-shot game.
    """

    log_strategies: Float[Array, "players situations actions"]
    log_by_type: Float[Array, "players types situations actions"]
    q: Float[Array, "players types situations actions"]
    values: Float[Array, "players types situations"]
    residual: Float[Array, ""]
    status: Int[Array, ""]
    steps: Int[Array, ""]
    unstable: Int[Array, ""]
    forked: Bool[Array, ""]

    @property
    def strategies(self) -> Float[Array, "... players situations actions"]:
        return jnp.exp(self.log_strategies)

    @property
    def converged(self) -> Bool[Array, "..."]:
        return self.status == CONVERGED

    @property
    def stable(self) -> Bool[Array, "..."]:
        return self.converged & (self.unstable == 0)

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
    sense: Float[AnyArray, ""],
) -> SequentialSolution:
    """The equilibrium on the principal branch at these costs. Types of weight zero do not enter beliefs."""
    if isinstance(env, Markov) and env.players == 1 and concept == "trajectory":
        return _decision_problem(env, log_q, costs, weights, params)
    if not isinstance(env, Markov | ExtensiveForm):
        raise InputError(f"{env.name} is neither a Markov game nor one in extensive form, so it cannot be solved.")
    if isinstance(env, Markov) and env.players == 2 and np.sum(env.possible) * costs.shape[1] > _MANY:
        x, value, path = solve_two_players(env, log_q, costs, weights, params, concept, sense)
        least = jax.lax.stop_gradient(jnp.min(costs))
        log_by_type = choices(x, log_q, least / costs)
        checked = audit(env, log_by_type, log_q, costs, weights, params, concept)
        return _finish(log_by_type, weights, least * x, least * value, checked, path)
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
        play = Play(log_q, least / costs, weights, concept)
        x = in_places(v, cells, possible.shape)
        of_kind = _tree_returns if isinstance(env, ExtensiveForm) else _markov_returns
        return x, *of_kind(env, x, s / scale, play, params)  # ty: ignore[invalid-argument-type]

    def update(v, s, theta):
        return returns(v, s, theta)[1][cells]

    theta = (log_q, costs, weights, params)
    end = scale / least
    v, path = principal_branch(update, len(cells[0]), end, theta, tie_break(log_q, cells, sense))

    x, _, value = returns(v, end, theta)
    log_by_type = choices(x, log_q, least / costs)
    checked = audit(env, log_by_type, log_q, costs, weights, params, concept)
    return _finish(log_by_type, weights, least * x, least * value, checked, path)


def _finish(
    log_by_type: ByAction,
    weights: Float[Array, " types"],
    q: ByAction,
    values: BySituation,
    checked: Audit,
    path: PathResult,
) -> SequentialSolution:
    status = jnp.where((path.status == CONVERGED) & ~checked.passed, UNCONFIRMED, path.status)
    ok = status == CONVERGED
    honest = lambda x: jnp.where(ok, x, jnp.nan)
    present = jnp.maximum(log_by_type, ABSENT)
    average = jax.nn.logsumexp(present, axis=1, b=weights[None, :, None, None])
    return SequentialSolution(
        log_strategies=honest(hide_absent(average)),
        log_by_type=honest(hide_absent(log_by_type)),
        q=honest(q),
        values=honest(values),
        residual=checked.residual,
        status=status,
        steps=path.iterations,
        unstable=path.unstable,
        forked=path.forked,
    )


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
    log_by_type = choices(solved.q[None], log_q, 1 / costs)
    checked = audit(env, log_by_type, log_q, costs, weights, params, "trajectory")
    # The soft Bellman equation is a contraction: its one solution is stable.
    path = PathResult(
        jnp.ravel(solved.v), jnp.max(solved.status), jnp.max(solved.steps), jnp.zeros((), jnp.int32), jnp.asarray(False)
    )
    return _finish(log_by_type, weights, solved.q[None], solved.v[None], checked, path)


def _markov_returns(
    env: Markov, v: ByAction, s: Float[Array, ""], play: Play, params: Parameters
) -> tuple[ByAction, BySituation]:
    """(s · (Q of every action - discount · V of its state), s · V of every state), if choices follow from v.

    In equilibrium v equals the first of these. The value of v is V - discount · V, so V is that over 1 - discount.
    """
    players = env.players
    log_choices = choices(v, play.log_q, play.precision)
    value = inclusive(v, log_choices, play) / (1 - env.discount)
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
    env: ExtensiveForm, v: ByAction, s: Float[Array, ""], play: Play, params: Parameters
) -> tuple[ByAction, BySituation]:
    """(s · Q of every action, s · V of every situation) in a tree: a forward pass for the probabilities of the nodes,
    beliefs, a backward pass for the values of nodes, and their means over the nodes of a situation."""
    tree, players, types, width = env.tree, env.players, v.shape[1], v.shape[3]
    log_q, precision, weights, concept = play
    log_choices = choices(v, log_q, precision)
    nodes, levels = len(tree.mover), [np.flatnonzero(tree.depth == d) for d in range(tree.depth.max() + 1)]
    there = tree.children >= 0
    parent, branch = np.zeros(nodes, int), np.zeros(nodes, int)
    h, b = np.nonzero(there)
    parent[tree.children[h, b]], branch[tree.children[h, b]] = h, b
    # Log-probabilities of the moves of nature, and of each player and type, on the path to each node.
    nature = np.zeros(nodes)
    own = jnp.zeros((players, types, nodes), v.dtype)
    for level in levels[1:]:
        up, b = parent[level], branch[level]
        nature[level] = nature[up] + np.log(np.where(tree.mover[up] == CHANCE, tree.chances[up, b], 1.0))
        moved = log_choices[:, :, tree.situation[up], np.minimum(b, width - 1)]
        mine = tree.mover[up] == np.arange(players)[:, None]
        own = own.at[:, :, level].set(own[:, :, up] + jnp.where(mine[:, None], moved, 0.0))
    reach = jax.nn.logsumexp(own, axis=1, b=weights[None, :, None])
    others = [jnp.asarray(nature) + jnp.sum(reach.at[i].set(0.0), axis=0) for i in range(players)]
    belief = [_beliefs(env, i, others[i]) for i in range(players)]
    paid = jnp.zeros(v.shape[:3], v.dtype)
    if concept == "trajectory":
        cost = jnp.exp(log_choices) * (log_choices - jnp.maximum(log_q, ABSENT)[:, None])
        cost = jnp.sum(jnp.where(log_q[:, None] <= ABSENT / 2, 0.0, cost), axis=-1)
        paid = cost / precision[:, :, None]

    payoffs = s * jnp.asarray(params["payoffs"], v.dtype)
    worth = jnp.zeros((players, types, nodes), v.dtype)
    at_end = np.flatnonzero(tree.mover == END)
    worth = worth.at[:, :, at_end].set(jnp.swapaxes(payoffs[tree.end[at_end]], 0, 1)[:, None, :])
    for level in reversed(levels[:-1]):
        inner = level[tree.mover[level] != END]
        if not len(inner):
            continue
        kids, mover, where = np.maximum(tree.children[inner], 0), tree.mover[inner], tree.situation[inner]
        # Probabilities of what follows for each player and type: their own choices, the others' given the path so far.
        mean = jnp.exp(reach[:, kids] - reach[:, inner][..., None])
        odds = jnp.asarray(tree.chances[inner], v.dtype)
        for j in range(players):
            odds = jnp.where((mover == j)[:, None], mean[j], odds)
        chosen = jnp.exp(log_choices[:, :, where, : kids.shape[1]])
        chosen = jnp.pad(chosen, ((0, 0), (0, 0), (0, 0), (0, kids.shape[1] - chosen.shape[3])))
        mine = (mover == np.arange(players)[:, None])[:, None]
        odds = jnp.where(there[inner], jnp.where(mine[..., None], chosen, odds), 0.0)
        value = jnp.sum(odds * worth[:, :, kids], axis=-1) - jnp.where(mine, paid[:, :, where], 0.0)
        worth = worth.at[:, :, inner].set(value)

    q = jnp.zeros(v.shape, v.dtype)
    for i in range(players):
        mine = np.flatnonzero(tree.mover == i)
        kids = np.maximum(tree.children[mine], 0)[:, :width]
        brought = jnp.where(there[mine][:, :width], belief[i][:, None] * worth[i][:, kids], 0.0)
        brought = jnp.pad(brought, ((0, 0), (0, 0), (0, width - brought.shape[2])))
        q = q.at[i, :, tree.situation[mine]].add(jnp.swapaxes(brought, 0, 1))
    return q, inclusive(v, log_choices, play)


def _beliefs(env: ExtensiveForm, player: int, others: Float[Array, " nodes"]) -> Float[Array, " own_nodes"]:
    """The probability of each node of the player's given its information set, from the log-probabilities of the moves
    of nature and of the others on the way to it."""
    mine = np.flatnonzero(env.tree.mover == player)
    where, logs = env.tree.situation[mine], others[mine]
    most = jax.ops.segment_max(jax.lax.stop_gradient(logs), where, env.situation_count)
    odds = jnp.exp(logs - most[where])
    return odds / jax.ops.segment_sum(odds, where, env.situation_count)[where]
