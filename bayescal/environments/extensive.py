"""Finite games in extensive form, given as a tree of moves with their information sets."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import AnyArray, Number
from bayescal.environments.base import Params, Seen, rules
from bayescal.environments.finite import FiniteGame
from bayescal.environments.markov import states_of
from bayescal.environments.recall import forgotten
from bayescal.environments.replay import Fault, Replay
from bayescal.errors import InputError
from bayescal.plain import joined

CHANCE, END = -1, -2  # movers that are not players


@dataclass(frozen=True)
class End:
    """The end of the game, with the payoff of each player."""

    payoffs: tuple[Number, ...]


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


class ExtensiveForm(FiniteGame):
    """A finite game in extensive form with perfect recall, from its tree of `Move`, `Chance` and `End`.

    A player observes `{"situation": index, "moving": 0 or 1}`; the action of a player who does not move has no effect.
    `params = {"payoffs": (ends, players)}`, with ends in order of depth. The nodes of a situation may lie at different
    depths, but a player's own earlier moves must be the same at all of them; a tree in which they differ is refused.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.environments.extensive import End, Move
        >>> reply = Move(1, "was trusted", {"share": End((2, 2)), "keep": End((0, 4))})
        >>> trust = Move(0, "begin", {"trust": reply, "keep": End((1, 1))})
        >>> game = bc.ExtensiveForm(trust, name="trust", role_names=["sender", "receiver"])
        >>> game.players, game.roles
        (2, 2)
    """

    default_payoffs: Float[AnyArray, "ends players"] = eqx.field(converter=lambda p: np.asarray(p, float))
    tree: Tree = eqx.field(static=True)

    def __init__(self, root: Node, *, name: str = "extensive-form", role_names: Sequence[str]):
        tree = build_tree(root, len(role_names), name)
        self.tree, self.default_payoffs = tree, tree.payoffs
        most = [max((len(a) for a in rows), default=1) for rows in tree.actions]
        # The labels may differ by situation: the grid has those of the longest list.
        labels = [max(rows, key=len, default=("none",)) for rows in tree.actions]
        fields = rules(
            name, dict.fromkeys(role_names, 1), [range(n) for n in most], ordered=False, labels=labels,
            horizon=int(tree.depth.max()),
        )  # fmt: skip
        vars(self).update(fields)

    @property
    def params(self) -> Params:
        return {"payoffs": self.default_payoffs}

    @property
    def situation_count(self) -> int:
        return max(map(len, self.tree.situations))

    def situations_of(self, player: int) -> list[tuple[str, tuple[str, ...]]]:
        return list(zip(self.tree.situations[player], self.tree.actions[player], strict=True))

    def named_situations(self, role: int) -> list[tuple[str, tuple[str, ...]]]:
        return self.situations_of(role)

    @property
    def possible(self) -> Bool[np.ndarray, "players situations actions"]:
        """Which actions exist in which situation of which player."""
        out = np.zeros((self.players, self.situation_count, self.mask.shape[1]), bool)
        for i, rows in enumerate(self.tree.actions):
            for s, labels in enumerate(rows):
                out[i, s, : len(labels)] = True
        return out

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        u = jnp.asarray(params["payoffs"])
        spread = jnp.max(jnp.max(u, axis=0) - jnp.min(u, axis=0))
        return jnp.where(spread > 0, spread, 1.0)

    def reset(self, key: PRNGKeyArray, params: Params) -> Int[Array, ""]:
        return self._nature(key, jnp.zeros((), jnp.int32))

    def step(
        self, key: PRNGKeyArray, state: Int[Array, ""], joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[Int[Array, ""], Float[Array, " players"], Bool[Array, ""]]:
        tree = self.tree
        mover = jnp.asarray(tree.mover)[state]
        action = joint_action[jnp.maximum(mover, 0)]
        # An action that the situation does not have counts as its last one.
        count = jnp.sum(jnp.asarray(tree.children)[state] >= 0)
        child = jnp.asarray(tree.children)[state, jnp.clip(action, 0, count - 1)]
        after = self._nature(key, jnp.where(mover >= 0, child, state).astype(state.dtype))
        over = jnp.asarray(tree.mover)[after] == END
        payoffs = jnp.asarray(params["payoffs"])[jnp.maximum(jnp.asarray(tree.end)[after], 0)]
        return after, jnp.where(over, payoffs, 0.0), over

    def _nature(self, key: PRNGKeyArray, node: Int[Array, ""]) -> Int[Array, ""]:
        """Draw moves of nature until a player moves or the game ends."""
        tree = self.tree

        def go(carry):
            node, key = carry
            now, later = jax.random.split(key)
            branch = jax.random.categorical(now, jnp.log(jnp.asarray(tree.chances))[node])
            return jnp.asarray(tree.children, jnp.int32)[node, branch], later

        chance = lambda carry: jnp.asarray(tree.mover)[carry[0]] == CHANCE
        return jax.lax.while_loop(chance, go, (node, key))[0]

    def observe(self, state: Int[AnyArray, ""], player: int) -> dict[str, Array]:
        moving = jnp.asarray(self.tree.mover)[state] == player
        situation = jnp.where(moving, jnp.asarray(self.tree.situation)[state], 0)
        return {"situation": situation.astype(jnp.int32), "moving": moving.astype(jnp.result_type(float))}

    def see(self, observation: Seen, params: Params) -> Float[Array, " numbers"]:
        here = jax.nn.one_hot(observation["situation"], self.situation_count)
        return jnp.append(here * observation["moving"], observation["moving"])

    @property
    def columns(self) -> Mapping[str, str]:
        pairs = zip(self.role_names, self.tree.situations, strict=True)
        named = "; ".join(f"{role}: {', '.join(names)}" for role, names in pairs if names)
        return {"situation": f"the situation that the player moved in ({named}); empty in rows of others"}

    def record(
        self,
        before: Int[Array, ""],
        joint_action: Int[AnyArray, " players"],
        after: Int[Array, ""],
        params: Params,
    ) -> dict[str, Float[Array, " players"]]:
        seen = [self.observe(before, i) for i in range(self.players)]
        return {"situation": jnp.stack([jnp.where(o["moving"] > 0, o["situation"], jnp.nan) for o in seen])}

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """Situations are recorded; a row without one is of a player who did not move."""
        recorded = table["situation"].to_numpy(float)
        count = np.array([len(s) for s in self.tree.situations])[table["role_index"].to_numpy()]
        situation, wrong = states_of(recorded, int(count.max(initial=1)))
        wrong = wrong | (np.isfinite(recorded) & (situation >= count))
        faults = [Fault(int(i), "situation", float(recorded[i]), float(situation[i])) for i in np.flatnonzero(wrong)]
        moving = np.isfinite(recorded)
        return Replay({"situation": situation, "moving": moving.astype(float)}, moving & ~wrong, faults)


def kuhn_poker() -> ExtensiveForm:
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
    return ExtensiveForm(
        Chance(tuple((1 / 6, after(d, "")) for d in deals)), name="kuhn-poker", role_names=("first", "second")
    )


def centipede(large: Number = 0.4, small: Number = 0.1, moves: int = 4, factor: Number = 2.0) -> ExtensiveForm:
    """The centipede game (McKelvey & Palfrey 1992, Econometrica 60:803-836): a player takes the larger pile, or passes
    and both piles double. Four moves, from piles of 0.40 and 0.10 dollars."""

    def move(n: int) -> Node:
        big, little = large * factor**n, small * factor**n
        taken = (big, little) if n % 2 == 0 else (little, big)
        if n == moves:  # everybody passed: the piles double once more and go to the player whose turn it would be
            return End(taken)
        return Move(n % 2, f"m{n + 1}", {"take": End(taken), "pass": move(n + 1)})

    return ExtensiveForm(move(0), name=f"centipede-{moves}", role_names=("first", "second"))
