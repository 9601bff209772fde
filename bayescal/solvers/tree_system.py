"""The equations of an equilibrium of a game tree in NumPy; this file imports no JAX.

Values of actions are sums over the ends of the game, as in `policies.audit`, which has them in words. Their derivatives
are complex steps: the imaginary part of f(v + ih) over h, for a tiny h, is exact to the last digit.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from bayescal.environments.game_tree import CHANCE, END, Tree

_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class TreeSystem:
    """v = t · payoffs / cost - later costs of information, of each action in each information set of each player.

    Attributes:
        costs: by player.
        concept: whether own later costs of information count.
    """

    tree: Tree
    costs: Float[np.ndarray, " players"]
    concept: Literal["trajectory", "agent"]

    @cached_property
    def first(self) -> list[np.ndarray]:
        """By player, the index of the first action of each information set among the unknowns."""
        sizes = [np.array([len(a) for a in rows], int) for rows in self.tree.actions]
        begins = np.cumsum([0, *[int(n.sum()) for n in sizes]])
        return [begin + np.cumsum([0, *n])[: len(n)] for begin, n in zip(begins, sizes, strict=False)]

    @cached_property
    def sets(self) -> list[np.ndarray]:
        """The unknowns of each information set."""
        rows = zip(self.first, self.tree.actions, strict=True)
        return [at + np.arange(len(a)) for first, actions in rows for at, a in zip(first, actions, strict=True)]

    @property
    def unknowns(self) -> int:
        return sum(map(len, self.sets))

    def log_choices(self, v: np.ndarray) -> np.ndarray:
        """log pi, from a uniform habit."""
        out = np.zeros_like(v)
        for own in self.sets:
            x = v[:, own] - np.max(v[:, own].real, axis=1, keepdims=True)
            out[:, own] = x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))
        return out

    @cached_property
    def _nodes(self) -> list[tuple[list[int], list[list[int]], float]]:
        """Of each node: (nodes on the way where players move, by player their unknowns, log-probability of nature)."""
        tree, players = self.tree, len(self.costs)
        out: list[Any] = [None] * len(tree.mover)
        out[0] = ([], [[] for _ in range(players)], 0.0)
        for h, mover in enumerate(tree.mover):
            way, moves, nature = out[h]
            for b, c in enumerate(tree.children[h]):
                if c < 0:
                    continue
                new = [list(x) for x in moves]
                if mover >= 0:
                    new[mover].append(int(self.first[mover][tree.situation[h]] + b))
                chance = np.log(tree.chances[h, b]) if mover == CHANCE else 0.0
                out[c] = (way + [h] * int(mover >= 0), new, nature + chance)
        return out

    def reply(self, v: np.ndarray, t: np.ndarray) -> np.ndarray:
        """v of the replies to each of some points, at the t of each."""
        tree, players = self.tree, len(self.costs)
        log_p = self.log_choices(v)
        log_q = np.concatenate([np.full(len(own), -np.log(len(own))) for own in self.sets])
        total = lambda table, at: np.sum(table[:, at], axis=1)
        own = [[total(log_p, moves[i]) for _, moves, _ in self._nodes] for i in range(players)]
        paid = [[total(log_p - log_q, moves[i]) for _, moves, _ in self._nodes] for i in range(players)]
        others = [
            [self._nodes[h][2] + sum(own[j][h] for j in range(players) if j != i) for h in range(len(tree.mover))]
            for i in range(players)
        ]
        reach = {}
        for i, h in [(int(i), h) for h, i in enumerate(tree.mover) if i >= 0]:
            key = (i, int(tree.situation[h]))
            reach[key] = reach.get(key, 0.0) + np.exp(others[i][h])
        out = np.zeros_like(v)
        for z in np.flatnonzero(tree.mover == END):
            for h in self._nodes[z][0]:
                i = int(tree.mover[h])
                place = len(self._nodes[h][1][i])
                cell = self._nodes[z][1][i][place]
                # Own moves after this one: all on the way to the end but those up to it.
                later = own[i][z] - own[i][h] - log_p[:, cell]
                net = t * tree.payoffs[tree.end[z], i] / self.costs[i]
                if self.concept == "trajectory":
                    net = net - (paid[i][z] - paid[i][h] - log_p[:, cell] + log_q[cell])
                chance = np.exp(others[i][z] + later) / reach[i, int(tree.situation[h])]
                out[:, cell] += chance * net
        return out

    def along(self, v: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(F, F_v, F_t) of F(v, t) = v - reply(v, t), for `follow`."""
        d = len(v)
        points = np.broadcast_to(v, (d + 1, d)) + 1j * _TINY * np.eye(d + 1, d)
        times = np.full(d + 1, t) + 1j * _TINY * (np.arange(d + 1) == d)
        moved = self.reply(points, times)
        slopes = moved.imag / _TINY
        return v - moved[0].real, np.eye(d) - slopes[:d].T, -slopes[d]
