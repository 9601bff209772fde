"""The equations of a quantal response equilibrium in NumPy, at many points at once; this file imports no JAX."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayescal.solvers.tensors import TensorGame

Points = Float[np.ndarray, "n d"]
Mixtures = Float[np.ndarray, "n _"]


@dataclass(frozen=True, eq=False)
class LogitSystem:
    """v = payoffs / cost, where v is log(p / q): both over those of a role's first action."""

    game: TensorGame
    log_q: list[np.ndarray]
    costs: np.ndarray

    @property
    def unknowns(self) -> int:
        return sum(n - 1 for n in self.game.sizes)

    def mixtures(self, v: Points) -> list[Mixtures]:
        return [_softmax(q + x) for q, x in zip(self.log_q, split(v, self.game.sizes), strict=True)]

    def reply(self, p: list[Mixtures]) -> Points:
        """v of the replies to p."""
        values = zip(self.game.values(p), self.costs, strict=True)
        return np.concatenate([(u[:, 1:] - u[:, :1]) / c for u, c in values], axis=1)

    def linearise(self, v: Points) -> tuple[Points, Float[np.ndarray, "n d d"]]:
        p = self.mixtures(v)
        spread = [x[:, :, None] * (np.eye(x.shape[1])[:, 1:] - x[:, None, 1:]) for x in p]
        blocks = [
            [(slope[:, 1:] - slope[:, :1]) @ spread[k] / self.costs[r] for k, slope in enumerate(row)]
            for r, row in enumerate(self.game.slopes(p))
        ]
        jac = np.concatenate([np.concatenate(row, axis=2) for row in blocks], axis=1)
        return v - self.reply(p), np.eye(v.shape[1]) - jac

    def along(self, v: Float[np.ndarray, " d"], t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(F, F_v, F_t) of F(v, t) = v - t · (v of the replies), for `follow`."""
        f, slope = self.linearise(v[None])
        reply, one = v - f[0], np.eye(len(v))
        return v - t * reply, one - t * (one - slope[0]), -reply

    def at(self, p: list[Mixtures]) -> Points:
        """v of mixtures; of actions that are hardly played, of the reply."""
        over = []
        for x, q, u in zip(p, self.log_q, split(self.reply(p), self.game.sizes), strict=True):
            most = np.argmax(x, axis=1)[:, None]
            played, of_most = x > 1e-9, lambda y, most=most: np.take_along_axis(y, most, axis=1)
            v = np.where(played, np.log(np.maximum(x, 1e-9)) - q, 0.0)
            v = np.where(played, v, of_most(v) + np.minimum(u - of_most(u), 0.0))
            over.append(v[:, 1:] - v[:, :1])
        return np.concatenate(over, axis=1)


def split(v: Points, sizes: tuple[int, ...]) -> list[Mixtures]:
    """v by role, with the zero of the first action."""
    cuts = np.cumsum([n - 1 for n in sizes])[:-1]
    return [np.pad(part, ((0, 0), (1, 0))) for part in np.split(v, cuts, axis=1)]


def _softmax(x: Mixtures) -> Mixtures:
    weights = np.exp(x - x.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)
