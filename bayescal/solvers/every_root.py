"""Several roots of one system: Newton's method from many starts, with the roots that are known taken out."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float

Point = Float[np.ndarray, " d"]
Linearised = Callable[[Point], tuple[Point, Float[np.ndarray, "d d"]]]

_LONGEST = 2.0  # of a step, in any coordinate
_STEPS = 40
_SAME = 1e-5  # roots that are nearer than that are one
_TINY = 1e-11


def every_root(linearise: Linearised, starts: Iterable[Point], known: Sequence[Point] = ()) -> list[Point]:
    """The roots F(v) = 0 that are known, and those found from these starts; there may be others.

    From each start roots are looked for until one is not found. Those already found repel by deflation (Farrell,
    Birkisson & Funke 2015): the method is applied to F(v) times the product of 1 + 1 / |v - root|², whose Newton step
    is the old one times a number.

    Args:
        linearise: (F, its derivative) at a point.
    """
    found = list(known)
    for start in starts:
        while (root := _look(linearise, start, found)) is not None:
            found.append(root)
    return found


def _look(linearise: Linearised, start: Point, known: list[Point]) -> Point | None:
    """A new root, or None."""
    v = np.array(start, float)
    for _ in range(_STEPS):
        step = _newton_step(linearise, v)
        if step is None:
            return None
        size = np.max(np.abs(step), initial=0.0)
        if size <= 1e-6 * (1 + np.max(np.abs(v), initial=0.0)):
            root = _polish(linearise, v)
            return None if root is None or any(np.max(np.abs(root - k)) < _SAME for k in known) else root
        step = step * _stretch(v, step, known)
        size = np.max(np.abs(step), initial=0.0)
        v = v + step * min(1.0, _LONGEST / size)
    return None


def _stretch(v: Point, step: Point, known: list[Point]) -> float:
    """By how much deflation stretches a step (a negative number turns it round)."""
    slope = 0.0  # of the logarithm of the product, along the step
    for root in known:
        away = v - root
        square = max(float(away @ away), 1e-12)
        slope -= 2 * float(away @ step) / (square * (1 + square))
    return 1 / (1 - slope) if abs(1 - slope) > 1e-3 else 1e3 * np.sign(1 - slope or 1.0)


def _newton_step(linearise: Linearised, v: Point) -> Point | None:
    f, slope = linearise(v)
    try:
        step = -np.linalg.solve(slope, f)
    except np.linalg.LinAlgError:
        return None
    return step if np.all(np.isfinite(step)) else None


def _polish(linearise: Linearised, v: Point) -> Point | None:
    """Newton steps without deflation, until they are as small as rounding."""
    for _ in range(20):
        step = _newton_step(linearise, v)
        if step is None:
            return None
        v = v + step
        if np.max(np.abs(step), initial=0.0) <= _TINY * (1 + np.max(np.abs(v), initial=0.0)):
            return v
    return None
