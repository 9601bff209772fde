"""Several roots of one system: Newton's method from many starts, with the roots that are known taken out."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float

Points = Float[np.ndarray, "n d"]
Linearised = Callable[[Points], tuple[Points, Float[np.ndarray, "n d d"]]]

_LONGEST = 2.0  # of a step, in any coordinate
_STEPS, _LAST = 40, 8  # with deflation, and without at the end
_SAME = 1e-5  # roots that are nearer than that are one
_NEAR, _TINY = 1e-6, 1e-11  # steps, relative to the point


def every_root(
    linearise: Linearised, starts: Points, known: Sequence[Float[np.ndarray, " d"]] = ()
) -> list[np.ndarray]:
    """The roots F(v) = 0 that are known, and those found from these starts; there may be others.

    All starts are tried again until no new root is found. The roots already found repel by deflation (Farrell,
    Birkisson & Funke 2015): the method is applied to F(v) times the product of 1 + 1 / |v - root|², whose Newton step
    is the old one times a number.

    Args:
        linearise: (F, its derivative) at each of some points.
    """
    found = list(known)
    while True:
        before = len(found)
        for root in _look(linearise, starts, found):
            if all(np.max(np.abs(root - other)) >= _SAME for other in found):
                found.append(root)
        if len(found) == before:
            return found


def _look(linearise: Linearised, starts: Points, known: list[np.ndarray]) -> Float[np.ndarray, "m d"]:
    """The roots at which the starts arrive."""
    v = np.array(starts, float)
    moving = np.ones(len(v), bool)
    for _ in range(_STEPS):
        step = _newton_steps(linearise, v[moving])
        near = _size(step) <= _NEAR * (1 + _size(v[moving]))
        step = step * _stretch(v[moving], step, known)[:, None]
        step = step * np.minimum(1.0, _LONGEST / np.maximum(_size(step), _TINY))[:, None]
        at = np.flatnonzero(moving)
        v[at[~near]] += step[~near]
        moving[at[near]] = False
        if not moving.any():
            break
    v = v[~moving]
    step = np.zeros_like(v)
    for _ in range(_LAST):
        step = _newton_steps(linearise, v)
        v = v + step
    return v[_size(step) <= _TINY * (1 + _size(v))]


def _stretch(v: Points, step: Points, known: list[np.ndarray]) -> Float[np.ndarray, " n"]:
    """By how much deflation stretches a step (a negative number turns it round)."""
    slope = np.zeros(len(v))  # of the logarithm of the product, along the step
    for root in known:
        away = v - root
        square = np.maximum(np.sum(away**2, axis=1), 1e-12)
        slope -= 2 * np.sum(away * step, axis=1) / (square * (1 + square))
    return 1 / np.where(np.abs(1 - slope) > 1e-3, 1 - slope, 1e-3)


def _newton_steps(linearise: Linearised, v: Points) -> Points:
    """Where the derivative is singular, a step to somewhere else."""
    f, slope = linearise(v)
    good = _regular(f, slope)
    slope = np.where(good[:, None, None], slope, np.eye(v.shape[1]))
    return np.where(good[:, None], -np.linalg.solve(slope, f[..., None])[..., 0], 1.0)


def _regular(f: Points, slope: Float[np.ndarray, "n d d"]) -> Bool[np.ndarray, " n"]:
    finite = np.isfinite(f).all(axis=1) & np.isfinite(slope).all(axis=(1, 2))
    safe = np.where(finite[:, None, None], slope, np.eye(f.shape[1]))
    return finite & (np.linalg.det(safe) != 0)


def _size(x: Points) -> Float[np.ndarray, " n"]:
    return np.max(np.abs(x), axis=1, initial=0.0)
