"""Game trees: moves with their information sets, and the same as arrays. This file imports no JAX."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bayescal.environments.recall import forgotten
from bayescal.errors import InputError
from bayescal.plain import joined

CHANCE, END = -1, -2  # movers that are not players


@dataclass(frozen=True)
class End:
    """The end of the game, with the payoff of each player."""

    payoffs: tuple[float, ...]


@dataclass(frozen=True)
class Chance:
    """A move of nature: (probability, next node) for each branch. One of probability zero is dropped."""

    branches: "tuple[tuple[float, Node], ...]"


@dataclass(frozen=True)
class Move:
    """A player's move. The player knows the situation only: it is an information set, which several nodes may share."""

    player: int
    situation: str
    actions: "Mapping[str, Node]"


Node = End | Chance | Move


@dataclass(frozen=True, eq=False)
class Tree:
    """A game tree as arrays. Nodes are in order of depth: parents come before their children."""

    mover: np.ndarray  # by node: a player, CHANCE or END
    situation: np.ndarray  # by node: index among the mover's situations
    children: np.ndarray  # (nodes, branches); -1 where there is none
    chances: np.ndarray  # (nodes, branches): probabilities where nature moves
    end: np.ndarray  # by node: row of the payoffs
    depth: np.ndarray
    payoffs: np.ndarray  # (ends, players)
    situations: tuple[tuple[str, ...], ...]  # names, by player
    actions: tuple[tuple[tuple[str, ...], ...], ...]  # labels, by player and situation

    @cached_property
    def key(self) -> Hashable:
        """Everything except the payoffs."""
        return (
            tuple(self.mover), tuple(self.situation), tuple(map(tuple, self.children)),
            tuple(map(tuple, self.chances)), self.situations, self.actions,
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self.key == other.key


@dataclass
class _Builder:
    rows: list[dict[str, Any]] = field(default_factory=list)
    situations: dict[tuple[int, str], tuple[str, ...]] = field(default_factory=dict)
    payoffs: list[tuple[float, ...]] = field(default_factory=list)


def build_tree(root: Node, players: int, name: str) -> Tree:
    """Number the nodes by depth.

    Raises:
        InputError: with every inconsistency of the tree.
    """
    built, problems = _Builder(), []
    waiting: list[tuple[Node, int, int, int]] = [(root, -1, 0, 0)]
    for node, parent, branch, depth in waiting:  # breadth first: the list grows in the loop
        here = len(built.rows)
        row: dict[str, Any] = {"mover": END, "situation": "", "kids": {}, "chances": (), "end": -1, "depth": depth}
        if parent >= 0:
            built.rows[parent]["kids"][branch] = here
        built.rows.append(row)
        following: Sequence[Node] = ()
        if isinstance(node, End):
            if len(node.payoffs) != players:
                problems.append(f"an end has {len(node.payoffs)} payoffs for {players} players")
            row["end"] = len(built.payoffs)
            built.payoffs.append(tuple(map(float, node.payoffs)))
        elif isinstance(node, Chance):
            branches = [(float(p), n) for p, n in node.branches if p != 0]
            row["mover"], row["chances"] = CHANCE, tuple(p for p, _ in branches)
            if min(row["chances"], default=0) <= 0 or abs(sum(row["chances"]) - 1) > 1e-9:
                problems.append(f"nature's probabilities {row['chances']} are negative or do not sum to 1")
            following = [n for _, n in branches]
        else:
            labels = tuple(node.actions)
            if not labels:
                problems.append(f"situation {node.situation!r} has no actions")
            if not 0 <= node.player < players:
                problems.append(f"player {node.player} moves in a game of {players} players (numbered from 0)")
            known = built.situations.setdefault((node.player, node.situation), labels)
            if known != labels:
                problems.append(f"situation {node.situation!r} has the actions {known} and {labels}")
            row["mover"], row["situation"] = node.player, node.situation
            following = list(node.actions.values())
        waiting.extend((n, here, b, depth + 1) for b, n in enumerate(following))
    if not problems and max(map(len, built.situations.values()), default=0) < 2:
        problems.append("nobody has a choice; give a player two actions")
    if problems:
        raise InputError(f"{name}: {joined([*dict.fromkeys(problems)])}.")
    names = [tuple(s for p, s in built.situations if p == i) for i in range(players)]
    number = [{s: n for n, s in enumerate(row)} for row in names]
    width = max(2, *(len(r["kids"]) for r in built.rows))
    children, chances = np.full((len(built.rows), width), -1), np.zeros((len(built.rows), width))
    for h, row in enumerate(built.rows):
        children[h, list(row["kids"])] = list(row["kids"].values())
        chances[h, : len(row["chances"])] = row["chances"]
    tree = Tree(
        mover=np.array([r["mover"] for r in built.rows]),
        situation=np.array([number[r["mover"]][r["situation"]] if r["mover"] >= 0 else 0 for r in built.rows]),
        children=children,
        chances=chances,
        end=np.array([r["end"] for r in built.rows]),
        depth=np.array([r["depth"] for r in built.rows]),
        payoffs=np.array(built.payoffs),
        situations=tuple(names),
        actions=tuple(tuple(built.situations[i, s] for s in names[i]) for i in range(players)),
    )
    if problems := forgotten(tree.mover, tree.situation, tree.children, tree.situations, tree.actions):
        raise InputError(f"{name}: {'; '.join(problems)}.")
    return tree


def kuhn_root() -> Node:
    """Kuhn's poker (Kuhn 1950, Contributions to the Theory of Games I): three cards, an ante of 1, one bet of 1.

    Situations are named by one's own card (0, 1, 2) and the moves so far (p: pass, b: bet).
    """

    def pot(cards: tuple[int, int], stake: int) -> End:
        won = stake if cards[0] > cards[1] else -stake
        return End((won, -won))

    def after(cards: tuple[int, int], history: str) -> Node:
        match history:
            case "pp":
                return pot(cards, 1)
            case "bp":
                return End((1, -1))
            case "pbp":
                return End((-1, 1))
            case "bb" | "pbb":
                return pot(cards, 2)
        mover = len(history) % 2
        return Move(
            mover, f"{cards[mover]}{history}", {"pass": after(cards, history + "p"), "bet": after(cards, history + "b")}
        )

    deals = [(i, j) for i in range(3) for j in range(3) if i != j]
    return Chance(tuple((1 / 6, after(d, "")) for d in deals))


def centipede_root(large: float = 0.4, small: float = 0.1, moves: int = 4, factor: float = 2.0) -> Node:
    """The centipede game (McKelvey & Palfrey 1992, Econometrica 60:803-836): a player takes the larger pile, or passes
    and both piles double. Four moves, from piles of 0.40 and 0.10 dollars."""

    def move(n: int) -> Node:
        big, little = large * factor**n, small * factor**n
        taken = (big, little) if n % 2 == 0 else (little, big)
        if n == moves:  # everybody passed: the piles double once more and go to the player whose turn it would be
            return End(taken)
        return Move(n % 2, f"m{n + 1}", {"take": End(taken), "pass": move(n + 1)})

    return move(0)
