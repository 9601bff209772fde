"""Finite games in extensive form, given as a tree of moves with their information sets."""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import AnyArray, Number
from bayescal.environments.base import Params, Seen, rules
from bayescal.environments.finite import FiniteGame
from bayescal.environments.game_tree import (  # noqa: F401 - with the nouns that a game is built from
    CHANCE,
    END,
    Chance,
    End,
    Move,
    Node,
    Tree,
    build_tree,
    centipede_root,
    kuhn_root,
)
from bayescal.environments.markov import states_of
from bayescal.environments.replay import Fault, Replay


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
    """Kuhn's poker (Kuhn 1950, Contributions to the Theory of Games I): three cards, an ante of 1, one bet of 1."""
    return ExtensiveForm(kuhn_root(), name="kuhn-poker", role_names=("first", "second"))


def centipede(large: Number = 0.4, small: Number = 0.1, moves: int = 4, factor: Number = 2.0) -> ExtensiveForm:
    """The centipede game (McKelvey & Palfrey 1992, Econometrica 60:803-836): see `centipede_root`."""
    root = centipede_root(float(large), float(small), moves, float(factor))
    return ExtensiveForm(root, name=f"centipede-{moves}", role_names=("first", "second"))
