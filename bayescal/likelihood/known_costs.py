"""The likelihood of one-shot games at costs that everybody knows (or of people of whom nothing is known)."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.environments.base import Environment, shape_key
from bayescal.likelihood.choices import lapsed, observe_counts, refuse_impossible
from bayescal.likelihood.plays import play_in
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.table.decisions import Decisions


def stacked(
    environments: Sequence[Environment], games: Int[np.ndarray, " pairs"]
) -> list[tuple[Environment, Any, Int[np.ndarray, " members"]]]:
    """(one of them, the parameters of all, which pairs they are) of the games of each shape."""
    keys = [shape_key(e) for e in environments]
    shapes: dict[Any, list[int]] = {}
    for pair, game in enumerate(games):
        shapes.setdefault(keys[game], []).append(pair)
    out = []
    for members in shapes.values():
        own = [environments[games[m]] for m in members]
        out.append((own[0], jax.tree.map(lambda *x: np.stack(x), *[e.params for e in own]), np.array(members)))
    return out


class Games:
    """The games of the decisions, stacked by shape so that each shape is solved by one vmapped call.

    A common cost belongs to a level (game, group, or the single level "everybody"), so what is solved are the
    distinct pairs of game and level; `of_cell` says which pair each cell of the data looks up.
    """

    def __init__(
        self,
        policy: Policy,
        population: Population | None,
        decisions: Decisions,
        level: Int[np.ndarray, " cells"],
    ):
        self.decisions = decisions
        game = decisions.cells["game_index"].to_numpy()
        self.role = decisions.cells["role_index"].to_numpy()
        level = level if len(level) else np.zeros_like(game)
        pairs, self.of_cell = np.unique(np.stack([game, level], axis=1), axis=0, return_inverse=True)
        self.of_cell = self.of_cell.reshape(-1)
        self.width = decisions.counts.shape[1]
        self.stacks: list[tuple[Any, Any, np.ndarray, np.ndarray]] = [
            (play_in(policy, first, population), params, members, pairs[members, 1])
            for first, params, members in stacked(list(decisions.environments.values()), pairs[:, 0])
        ]

    @property
    def size(self) -> int:
        """Probabilities that are worked out for one draw."""
        return self.decisions.counts.size

    @property
    def _keys(self) -> list[str]:
        return [k for k in ("game", "group", "participant", "role") if k in self.decisions.cells]

    @property
    def coords(self) -> dict[str, Any]:
        labels = self.decisions.cells[self._keys].astype(str).agg(" · ".join, axis=1).to_numpy()
        return {"cell": labels, "action": np.arange(self.width)}

    @property
    def constant(self) -> dict[str, tuple[tuple[str, ...], Any]]:
        """What an analysis needs beside the draws."""
        cells = self.decisions.cells
        out: dict[str, Any] = {
            "total": (("cell",), self.decisions.counts.sum(axis=1)),
            "available": (("cell", "action"), self.decisions.mask),
        }
        return out | {f"cell_{k}": (("cell",), cells[k].astype(str).to_numpy(dtype=str)) for k in self._keys}

    def sample(self, cost: Any, phi: Any, psi: Any, params: Mapping[str, Any], lapse: Any = None) -> None:
        own = None if cost is None else jnp.atleast_1d(cost)
        log_probs = self._log_probs(own, phi, psi)[self.of_cell, self.role]
        log_probs = lapsed(log_probs, lapse, self.decisions.mask.sum(axis=1, keepdims=True))
        observe_counts(log_probs, self.decisions.counts)

    def _log_probs(self, cost: Any, phi: Any, psi: Any) -> Float[Array, "pairs roles actions"]:
        roles = max(p.environment.roles for p, *_ in self.stacks)
        out = jnp.full((self.of_cell.max() + 1, roles, self.width), -jnp.inf)
        for policy, params, members, level in self.stacks:
            own = None if cost is None else cost[level]
            solve = lambda c, p, policy=policy: policy.log_prob_all(c, phi, psi, p)
            log_p = jax.vmap(solve, in_axes=(None if own is None else 0, 0))(own, params)
            out = out.at[members, : log_p.shape[1], : log_p.shape[2]].set(log_p)
        return out

    def check_support(self) -> None:
        """See `refuse_impossible`."""
        offenders = []
        for policy, _, members, _ in self.stacks:
            if not hasattr(policy, "log_prior"):
                continue
            possible = np.asarray(policy.log_prior() > -1e29)
            for cell in np.flatnonzero(np.isin(self.of_cell, members)):
                env, role = policy.environment, self.role[cell]
                counts = self.decisions.counts[cell, : possible.shape[1]]
                for a in np.flatnonzero((counts > 0) & ~possible[role]):
                    game = self.decisions.cells["game"].iloc[cell]
                    offenders.append(
                        f"{game}, role {env.role_names[role]}, action {env.action_labels[role][a]} "
                        f"(chosen {counts[a]} times)"
                    )
        refuse_impossible(self.decisions.source, offenders)
