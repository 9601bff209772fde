"""`bayescal solve` for a small game tree at known costs: in NumPy, like `solve_small`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bayescal.cli.show_strategies import Strategies
from bayescal.cli.solve_small import SmallSolution, texts
from bayescal.environments.game_tree import CHANCE, END, Node, Tree, build_tree, centipede_root, kuhn_root
from bayescal.environments.named import GAMES
from bayescal.environments.written_tree import root_of
from bayescal.errors import InputError
from bayescal.reading import read_json
from bayescal.solvers.follow import follow
from bayescal.solvers.tree_system import TreeSystem

_NODES, _UNKNOWNS = 200, 60
_CLOSE = 1e-9  # between play and the reply to it
_NAMED: dict[str, Callable[[], Node]] = {"kuhn-poker": kuhn_root, "centipede-4": centipede_root}
_ROLES = ("first", "second")  # of these


@dataclass(frozen=True, eq=False)
class SmallTree:
    """A game tree with its names."""

    name: str
    tree: Tree
    role_names: tuple[str, ...]


def small_tree(game: str) -> SmallTree | None:
    """A named tree, or one in a JSON file; None for all else, and for what is not plainly in order."""
    if game in GAMES:
        if game not in _NAMED:
            return None
        return _built(game, _NAMED[game](), _ROLES)
    path = Path(game)
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        content = read_json(path, "give a game")
        if not isinstance(content, dict) or not {"tree", "roles"} <= set(content) <= {"tree", "roles", "name"}:
            return None
        name, roles = content.get("name", path.stem), content["roles"]
        if not texts([name], 1) or not isinstance(roles, list) or not roles or not texts(roles, len(roles)):
            return None
        return _built(name, root_of(content["tree"], roles, game), tuple(roles))
    except InputError:
        return None


def _built(name: str, root: Node, roles: tuple[str, ...]) -> SmallTree | None:
    tree = build_tree(root, len(roles), name)
    cells = sum(len(labels) for rows in tree.actions for labels in rows)
    return SmallTree(name, tree, roles) if len(tree.mover) <= _NODES and cells <= _UNKNOWNS else None


def solve_small_tree(
    game: SmallTree, costs: list[float], concept: Literal["trajectory", "agent"]
) -> tuple[SmallSolution, Strategies] | None:
    """The equilibrium on the principal branch; None if the ordinary solver is to find it."""
    tree, by_player = game.tree, np.array(costs * (len(game.role_names) // len(costs)))
    system = TreeSystem(tree, by_player, concept)
    spread = float(np.max(np.ptp(tree.payoffs, axis=0)))
    found = follow(system, (spread if spread > 0 else 1.0) / by_player.min())
    if found is None:
        return None
    v, unstable = found
    play = np.exp(system.log_choices(v[None])[0])
    by_set = {
        (i, s): play[first : first + len(labels)]
        for i, rows in enumerate(tree.actions)
        for s, (first, labels) in enumerate(zip(system.first[i], rows, strict=True))
    }
    residual = residual_of(tree, by_set, by_player, concept)
    if not residual <= _CLOSE:
        return None
    strategies: Strategies = {
        role: {
            name: dict(zip(labels, map(float, by_set[i, s]), strict=True))
            for s, (name, labels) in enumerate(zip(tree.situations[i], tree.actions[i], strict=True))
        }
        for i, role in enumerate(game.role_names)
        if tree.situations[i]
    }
    return SmallSolution(play, play, residual, np.zeros(0), unstable == 0), strategies


def residual_of(
    tree: Tree, by_set: dict[tuple[int, int], np.ndarray], costs: np.ndarray, concept: Literal["trajectory", "agent"]
) -> float:
    """The largest difference between play and the reply to it, node by node: not as the solver computes it."""

    def chances(h: int) -> np.ndarray:
        mover = int(tree.mover[h])
        return tree.chances[h] if mover == CHANCE else by_set[mover, int(tree.situation[h])]

    def worth(h: int, i: int) -> float:
        if tree.mover[h] == END:
            return float(tree.payoffs[tree.end[h], i])
        p = chances(h)
        value = sum(p[b] * worth(int(c), i) for b, c in enumerate(tree.children[h]) if c >= 0)
        if tree.mover[h] == i and concept == "trajectory":
            value -= costs[i] * float(np.sum(p * np.log(np.maximum(p, 1e-300) * len(p))))
        return value

    values = {key: np.zeros(len(p)) for key, p in by_set.items()}
    total = dict.fromkeys(by_set, 0.0)

    def walk(h: int, reach: np.ndarray) -> None:
        """Down the tree, with the probability of the others' moves so far, by player."""
        mover = int(tree.mover[h])
        if mover == END:
            return
        kids = [int(c) for c in tree.children[h] if c >= 0]
        if mover >= 0:
            key = (mover, int(tree.situation[h]))
            total[key] += reach[mover]
            values[key] += reach[mover] * np.array([worth(c, mover) for c in kids])
        for b, c in enumerate(kids):
            share = np.full(len(costs), chances(h)[b])
            if mover >= 0:
                share[mover] = 1.0
            walk(c, reach * share)

    walk(0, np.ones(len(costs)))
    off = 0.0
    for key, p in by_set.items():
        u = values[key] / total[key]
        reply = np.exp((u - u.max()) / costs[key[0]])
        off = max(off, float(np.max(np.abs(reply / reply.sum() - p))))
    return off
