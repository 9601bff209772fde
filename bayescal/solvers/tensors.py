"""One-shot games as tables of payoffs in NumPy, for what is done once and in Python: no program is compiled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bayescal.environments.base import OneShot, role_of_player
from bayescal.environments.normal_form import NormalForm

Mixtures = Sequence[Float[np.ndarray, "n _"]]  # by role: of each of some points


@dataclass(frozen=True, eq=False)
class TensorGame:
    """Payoffs of each role: an axis for the own action, then one for each other player.

    Attributes:
        tensors: by role.
        others: by role, the role of each other player.
    """

    tensors: tuple[np.ndarray, ...]
    others: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, env: OneShot, params: dict[str, Any] | None = None) -> "TensorGame":
        """By enumeration: a game of which that would be too large is refused."""
        given = {**env.params, **(params or {})}
        roles = role_of_player(env.role_counts)
        if isinstance(env, NormalForm):
            tables = [np.moveaxis(np.asarray(u, float), i, 0) for i, u in enumerate(given["payoffs"])]
            return cls(tuple(tables), tuple(tuple(j for j in roles if j != i) for i in roles))
        tensors, others = [], []
        for r in range(env.roles):
            rest = list(roles)
            rest.remove(r)
            shape = [len(env.action_values[k]) for k in (r, *rest)]
            # Of the base class: a game may have a table of its own, with columns that are not joint actions.
            tensors.append(np.asarray(OneShot.joint_table(env, r, given), float).reshape(shape))
            others.append(tuple(rest))
        return cls(tuple(tensors), tuple(others))

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(t) for t in self.tensors)

    @property
    def scale(self) -> float:
        """The spread of all payoffs."""
        spread = max(t.max() for t in self.tensors) - min(t.min() for t in self.tensors)
        return float(spread) if spread > 0 else 1.0

    def values(self, p: Mixtures) -> list[Float[np.ndarray, "n _"]]:
        """By role, the expected payoff of each own action."""
        return [_against(t, [p[k] for k in rest], len(p[0])) for t, rest in zip(self.tensors, self.others, strict=True)]

    def slopes(self, p: Mixtures) -> list[list[Float[np.ndarray, "n _ _"]]]:
        """By role and other role, the derivative of the values in that role's mixture."""
        blocks = [[np.zeros((len(p[0]), n, m)) for m in self.sizes] for n in self.sizes]
        for r, (tensor, rest) in enumerate(zip(self.tensors, self.others, strict=True)):
            for at, k in enumerate(rest):
                kept = np.moveaxis(tensor, at + 1, 1)
                blocks[r][k] = blocks[r][k] + _against(kept, [p[j] for j in rest[:at] + rest[at + 1 :]], len(p[0]))
        return blocks


def _against(tensor: np.ndarray, mixtures: Mixtures, count: int) -> np.ndarray:
    """The tensor averaged over its last axes, by each of `count` mixtures of each of these."""
    out = np.broadcast_to(tensor, (count, *tensor.shape))
    for p in reversed(mixtures):
        out = np.einsum("n...a,na->n...", out, p)
    return out
