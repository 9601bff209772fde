"""One-shot games as tables of payoffs in NumPy: nothing is compiled, and JAX is not imported."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

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
    def of_payoffs(cls, payoffs: Float[np.ndarray, "players ..."]) -> "TensorGame":
        """A game in which every player is a role, from payoffs[player][a1][a2]…"""
        everyone = range(len(payoffs))
        tables = tuple(np.moveaxis(np.asarray(u, float), i, 0) for i, u in enumerate(payoffs))
        return cls(tables, tuple(tuple(j for j in everyone if j != i) for i in everyone))

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
