"""The principal branch of one small game in NumPy, for a single solve that is not worth a compiled program.

The curve, its orientation and the rules for a step are those of `solvers.path`, which says where they come from. This
follower gives up where that one has more to do: at forks, and where the end has two unstable directions or more.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

Point = Float[np.ndarray, " d"]

_FIRST, _SHORTEST, _MOST = 0.5, 1e-5, 400  # steps
_FAR, _SHRINKS, _CORRECTIONS = 0.7, 0.5, 6  # of corrections, as in `solvers.path`
_ON_THE_WAY, _AT_THE_END = 1e-2, 1e-12


@runtime_checkable
class System(Protocol):
    """Equations F(v, t) = 0 with F(0, 0) = 0; t = 1 is where the solution is wanted."""

    @property
    def unknowns(self) -> int: ...

    def along(self, v: Point, t: float) -> tuple[Point, Float[np.ndarray, "d d"], Point]:
        """(F, its derivative in v, its derivative in t)."""
        ...


class _Spot(NamedTuple):
    """A point of the curve, its direction there, the sign of det F_v, and the length of the first correction."""

    v: Point
    s: float
    tangent: Float[np.ndarray, " d+1"]
    sign: float
    first: float


def follow(system: System, end: float) -> tuple[Point, int] | None:
    """(the end of the branch, the number of its unstable directions), or None: another solver is to do it.

    Args:
        end: the length of the way: a step of s = end · t moves v by about as much.
    """
    d = system.unknowns
    here, h, bend = _correct(system, end, np.zeros(d), 0.0, np.append(np.zeros(d), 1.0)), _FIRST, np.zeros(d + 1)
    for _ in range(_MOST):
        if here is None or h < _SHORTEST:
            return None
        guess = np.append(here.v, here.s) + h * (here.tangent + 0.5 * h * bend)
        if guess[d] >= end:
            share = (end - here.s) / (guess[d] - here.s)
            guess = np.append(here.v, here.s) + share * h * (here.tangent + 0.5 * share * h * bend)
            landed = _correct(system, end, guess[:d], end, here.tangent, landing=True)
            if landed is not None and landed.sign * landed.tangent[d] > 0:
                slope = system.along(landed.v, 1.0)[1]
                unstable = int(np.sum(np.linalg.eigvals(slope).real < 0))
                return None if unstable > 1 else (landed.v, unstable)
            h *= 0.35
            continue
        there = _correct(system, end, guess[:d], guess[d], here.tangent)
        if there is None or there.sign * there.tangent[d] < 0 or there.tangent @ here.tangent < 0.6 or there.s > end:
            h *= 0.35
            continue
        bend = (there.tangent - here.tangent) / h
        h *= float(np.clip(np.cbrt(0.3 / max(there.first, 1e-6)), 0.5, 4.0))
        here = there
    return None


def _correct(
    system: System,
    end: float,
    v: Point,
    s: float,
    tangent: Float[np.ndarray, " d+1"],
    landing: bool = False,
) -> _Spot | None:
    """Newton's method from a trial point across the tangent, or at s if it is landing; None if it does not contract."""
    d, first, last = len(v), 0.0, np.inf
    close = _AT_THE_END if landing else _ON_THE_WAY
    for k in range(_CORRECTIONS):
        f, f_v, f_t = system.along(v, s / end)
        try:
            to_root, along = np.linalg.solve(f_v, np.stack([f, f_t / end], axis=1)).T
        except np.linalg.LinAlgError:
            return None
        ds = 0.0 if landing else tangent[:d] @ to_root / (tangent[d] - tangent[:d] @ along)
        dv = -to_root - along * ds
        size = max(float(np.max(np.abs(dv))), abs(ds) / (1 + abs(s)))
        if not size <= (_FAR if k == 0 else _SHRINKS * last) and not size <= 1e-8 * (1 + np.max(np.abs(v))):
            return None
        first, last, v, s = (size if k == 0 else first), size, v + dv, s + ds
        if size <= close * (1 + (np.max(np.abs(v)) if landing else 0.0)):
            new = np.append(-along, 1.0)
            new = new / np.linalg.norm(new)
            new = new if new @ tangent >= 0 else -new
            return _Spot(v, s, new, float(np.sign(np.linalg.det(f_v))), first)
    return None
