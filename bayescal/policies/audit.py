"""Is it an equilibrium? The reply to reported play, from the rules of the game alone.

A solver that reports how well its own equations hold cannot notice that they are the wrong ones. Here everybody plays
what was reported. Each player's values of actions follow from that by other formulas than the solvers', and the reply

    q(a) · exp(Q(a) / lambda) / Z

is compared with the reported play. In a tree Q sums over the ends of the game (the solver passes values from node to
node); in a Markov game the reported strategies are valued by a linear system (the solver searches for all at once).
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from bayescal._types import Parameters
from bayescal.environments.base import OneShot
from bayescal.environments.extensive import CHANCE, END, ExtensiveForm, Tree
from bayescal.environments.finite import FiniteGame
from bayescal.environments.markov import Markov
from bayescal.priors.base import ABSENT

Concept = Literal["trajectory", "agent"]
ByAction = Float[Array, "players types situations actions"]

# In float64, in float32: how far play may be from the reply, in probability or as a share of the spread of payoffs.
_FINE, _COARSE = (1e-6, 1e-8), (0.05, 1e-3)


class Audit(NamedTuple):
    """How far reported play is from the reply to it, and whether that is small.

    `residual` is the largest difference in probability. At a tiny cost replies magnify the rounding of payoffs, and no
    play that can be written down is its own reply. Then it is enough if payoffs would have to be different by a tiny
    share of their spread for the play to be exactly the reply, and the residual is that share.
    """

    residual: Float[Array, ""]
    passed: Bool[Array, ""]


def audit(
    env: OneShot | FiniteGame,
    log_by_type: ByAction,
    log_q: Float[Array, "players situations actions"],
    costs: Float[Array, "players types"],
    weights: Float[Array, " types"],
    params: Parameters,
    concept: Concept,
) -> Audit:
    """Compare the reported play of every type with the reply to it. Nothing is differentiated."""
    log_by_type, log_q, costs, weights, params = jax.lax.stop_gradient((log_by_type, log_q, costs, weights, params))
    dtype = log_q.dtype
    possible = log_q[:, None] > ABSENT / 2
    play = jnp.where(possible, jnp.maximum(log_by_type, ABSENT), 0.0)
    habit = jnp.where(possible[:, 0], log_q, 0.0)
    if isinstance(env, OneShot):
        q = _values_at_once(env, play, possible, weights, params)
    elif isinstance(env, ExtensiveForm):
        q = _values_in_tree(env.tree, play, habit, costs, weights, params, concept)
    else:
        assert isinstance(env, Markov)
        q = _values_in_states(env, jnp.where(possible, jnp.exp(play), 0.0), habit, costs, weights, params, concept)
    best = jnp.max(jnp.where(possible, q, -jnp.inf), axis=-1, keepdims=True, initial=jnp.finfo(dtype).min)
    weight = jnp.where(possible, jnp.exp(habit[:, None] + (q - best) / costs[:, :, None, None]), 0.0)
    reply = weight / jnp.maximum(jnp.sum(weight, axis=-1, keepdims=True), jnp.finfo(dtype).tiny)
    off = jnp.max(jnp.abs(jnp.where(possible, reply - jnp.exp(play), 0.0)), axis=-1)
    # What each action would have to be worth, over its value; the same for all actions of exact replies.
    chosen = possible & (play > ABSENT / 2)
    over = jnp.where(chosen, costs[:, :, None, None] * (play - habit[:, None]) - q, 0.0)
    most = jnp.argmax(jnp.where(chosen, play, -jnp.inf), axis=-1, keepdims=True)
    at_most = lambda x: jnp.take_along_axis(x, most, axis=-1)
    short = jnp.where(possible & ~chosen, jnp.maximum(q - at_most(q), 0.0), 0.0)  # of actions that are never chosen
    wrong = jnp.max(jnp.where(chosen, jnp.abs(over - at_most(over)), short), axis=-1) / env.payoff_scale(params)
    in_probability, in_money = _FINE if dtype == jnp.float64 else _COARSE
    passed = jnp.all((off <= in_probability) | (wrong <= in_money))  # NaN does not pass
    return Audit(jnp.max(jnp.where(wrong <= in_money, jnp.minimum(off, wrong), off)), passed)


def _values_at_once(
    env: OneShot, play: ByAction, possible: Bool[Array, "..."], weights: Float[Array, " types"], params: Parameters
) -> ByAction:
    mixtures = jnp.einsum("k,ikso->io", weights, jnp.where(possible, jnp.exp(play), 0.0))
    return jnp.broadcast_to(env.expected_payoffs(mixtures, params)[:, None, None, :], play.shape)


class _Paths(NamedTuple):
    """What happened before each node, and which ends each action of a player can lead to."""

    moves: np.ndarray  # (players, nodes, depth): the player's own moves on the way, situation · width + action, or -1
    nature: np.ndarray  # (nodes,): log-probability of nature's moves
    triples: list[np.ndarray]  # by player: (node, following node, end) for each own action and end that it can lead to


def _paths(tree: Tree, width: int) -> _Paths:
    players, nodes = len(tree.situations), len(tree.mover)
    before: list[list[list[int]]] = [[[] for _ in range(nodes)] for _ in range(players)]
    steps: list[list[tuple[int, int]]] = [[] for _ in range(nodes)]
    nature = np.zeros(nodes)
    triples: list[list[tuple[int, int, int]]] = [[] for _ in range(players)]
    for h in range(nodes):  # parents come before their children
        mover = tree.mover[h]
        if mover == END:
            for own, after in steps[h]:
                triples[tree.mover[own]].append((own, after, h))
        for b, c in enumerate(tree.children[h]):
            if c < 0:
                continue
            steps[c] = steps[h] + ([(h, int(c))] if mover >= 0 else [])
            nature[c] = nature[h] + (np.log(tree.chances[h, b]) if mover == CHANCE else 0.0)
            for i in range(players):
                before[i][c] = before[i][h] + ([int(tree.situation[h]) * width + b] if mover == i else [])
    longest = max((len(x) for rows in before for x in rows), default=0)
    moves = np.full((players, nodes, longest), -1)
    for i, rows in enumerate(before):
        for h, x in enumerate(rows):
            moves[i, h, : len(x)] = x
    return _Paths(moves, nature, [np.array(t, int).reshape(-1, 3) for t in triples])


def _values_in_tree(
    tree: Tree,
    play: ByAction,
    habit: Float[Array, "players situations actions"],
    costs: Float[Array, "players types"],
    weights: Float[Array, " types"],
    params: Parameters,
    concept: Concept,
) -> ByAction:
    """For every information set I and action a: the sum over the nodes h of I and the ends z after (h, a) of

        P(h | I) · P(z | h, a) · (payoff at z - lambda · sum of log(pi / q) over one's own later moves on the way to z).

    P(h | I) is Bayes' rule over all nodes of I, whatever their depth.
    """
    players, types, situations, width = play.shape
    paths = _paths(tree, width)
    nature = jnp.asarray(paths.nature, play.dtype)
    payoffs = jnp.asarray(params["payoffs"], play.dtype)
    payoffs = payoffs - jnp.min(payoffs, axis=0)  # a constant changes nothing, but is rounded

    def along(i, by_move):
        """Sums of a player's (types, situations, actions) over their own moves on the way to each node."""
        table = jnp.pad(by_move.reshape(types, -1), ((0, 0), (0, 1)))  # index -1 is the zero at the end
        return jnp.sum(table[:, paths.moves[i]], axis=-1)

    own = jnp.stack([along(i, play[i]) for i in range(players)])
    information = jnp.stack([along(i, play[i] - habit[i]) for i in range(players)])
    reach = jax.nn.logsumexp(own, axis=1, b=weights[None, :, None])
    values = []
    for i, triples in enumerate(paths.triples):
        h, after, z = triples.T
        others = nature + jnp.sum(reach.at[i].set(0.0), axis=0)
        nodes = np.flatnonzero(tree.mover == i)
        inside = tree.situation[nodes][None, :] == np.arange(situations)[:, None]
        of_set = jax.nn.logsumexp(jnp.where(inside, others[nodes], -jnp.inf), axis=1) if len(nodes) else jnp.zeros(1)
        chance = others[z] - of_set[tree.situation[h]] + own[i][:, z] - own[i][:, after]
        net = jnp.broadcast_to(payoffs[tree.end[z], i], chance.shape)
        if concept == "trajectory":
            net = net - costs[i][:, None] * (information[i][:, z] - information[i][:, after])
        branch = np.argmax(tree.children[h] == after[:, None], axis=1) if len(h) else h
        cell = tree.situation[h] * width + branch
        total = jnp.zeros((types, situations * width), play.dtype).at[:, cell].add(jnp.exp(chance) * net)
        values.append(total.reshape(types, situations, width))
    return jnp.stack(values)


def _values_in_states(
    env: Markov,
    play: ByAction,
    habit: Float[Array, "players situations actions"],
    costs: Float[Array, "players types"],
    weights: Float[Array, " types"],
    params: Parameters,
    concept: Concept,
) -> ByAction:
    """u + discount · P V, where V = r + discount · P V values the reported strategies, relative to the first state."""
    payoffs, transitions = env.payoff_table(params), env.transition_table(params)
    average = jnp.einsum("k,iksa->isa", weights, play)
    players, _, states, width = play.shape
    sizes = payoffs.shape[2:]
    values = []
    for i in range(players):
        likely = jnp.ones((states, *sizes), play.dtype)
        for j in [j for j in range(players) if j != i]:
            shape = [states] + [sizes[j] if a == j else 1 for a in range(players)]
            likely = likely * average[j, :, : sizes[j]].reshape(shape)
        rest = tuple(1 + j for j in range(players) if j != i)
        u = jnp.sum(payoffs[:, i] * likely, axis=rest)
        u = u - jnp.mean(u)
        p = jnp.sum(transitions * likely[..., None], axis=rest)
        mine, rows = play[i, :, :, : sizes[i]], []
        for k in range(play.shape[1]):
            income = jnp.sum(mine[k] * u, axis=1)
            if concept == "trajectory":
                information = jnp.log(jnp.where(mine[k] > 0, mine[k], 1.0)) - habit[i, :, : sizes[i]]
                income = income - costs[i, k] * jnp.sum(mine[k] * information, axis=1)
            system = jnp.eye(states, dtype=play.dtype) - env.discount * jnp.einsum("sa,sat->st", mine[k], p)
            v = jnp.linalg.solve(system.at[:, 0].set(1.0), income).at[0].set(0.0)  # column 0 is V of the first state
            rows.append(u + env.discount * p @ v)
        values.append(jnp.pad(jnp.stack(rows), ((0, 0), (0, 0), (0, width - sizes[i]))))
    return jnp.stack(values)
