"""Nash equilibria of two players by support enumeration."""

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Int

from bayescal.errors import InputError

MOST = 3_000_000  # pairs of supports
_AT_ONCE = 20_000  # pairs of supports in one array
_CLOSE = 1e-9  # payoffs relative to their spread


def nash_by_supports(
    row: Float[np.ndarray, "m n"], column: Float[np.ndarray, "m n"]
) -> list[tuple[Float[np.ndarray, " m"], Float[np.ndarray, " n"], bool]]:
    """(the row player's mixture, the column player's, whether the game is degenerate there) of each equilibrium.

    In an equilibrium of a game that is not degenerate both players mix over equally many actions. For each pair of
    such supports the mixtures follow from linear equations: the other's payoffs are equal within the support.

    Args:
        row, column: payoffs of the row player's actions against the column player's, of either.
    """
    m, n = row.shape
    pairs = sum(comb(m, k) * comb(n, k) for k in range(1, min(m, n) + 1))
    if pairs > MOST:
        raise InputError(
            f"A game of {m} x {n} actions has {pairs:,} pairs of supports, more than {MOST:,}: its Nash equilibria are "
            "not enumerated. Use a game with fewer actions."
        )
    unit = lambda u: (u - u.mean()) / (np.ptp(u) or 1.0)
    row, column = unit(row), unit(column)
    found = []
    for k in range(1, min(m, n) + 1):
        for ours, theirs in _pairs(m, n, k):
            y = _indifferent(row[ours[:, :, None], theirs[:, None, :]])
            x = _indifferent(np.swapaxes(column[ours[:, :, None], theirs[:, None, :]], 1, 2))
            good = np.all(x > _CLOSE, axis=1) & np.all(y > _CLOSE, axis=1)  # NaN is not
            for i in np.flatnonzero(good):
                p, q = np.zeros(m), np.zeros(n)
                p[ours[i]], q[theirs[i]] = x[i], y[i]
                best, reply = _best(row @ q), _best(p @ column)
                if best[ours[i]].all() and reply[theirs[i]].all():
                    found.append((p, q, bool(best.sum() > k or reply.sum() > k)))
    return found


def _pairs(m: int, n: int, k: int) -> Iterator[tuple[Int[np.ndarray, "pairs k"], Int[np.ndarray, "pairs k"]]]:
    """All pairs of supports of k actions, some at a time."""
    ours, theirs = (np.array(list(combinations(range(size), k))) for size in (m, n))
    total = len(ours) * len(theirs)
    for begin in range(0, total, _AT_ONCE):
        at = np.arange(begin, min(begin + _AT_ONCE, total))
        yield ours[at // len(theirs)], theirs[at % len(theirs)]


def _indifferent(payoffs: Float[np.ndarray, "pairs k k"]) -> Float[np.ndarray, "pairs k"]:
    """The mixture over columns at which all rows pay the same; NaN where the equations do not say."""
    pairs, k, _ = payoffs.shape
    system = np.zeros((pairs, k + 1, k + 1))
    system[:, :k, :k], system[:, :k, k], system[:, k, :k] = payoffs, -1.0, 1.0
    right = np.zeros((pairs, k + 1, 1))
    right[:, k] = 1.0
    singular = np.abs(np.linalg.det(system)) < 1e-14
    system[singular] = np.eye(k + 1)
    solved = np.linalg.solve(system, right)[:, :k, 0]
    solved[singular] = np.nan
    return solved


def _best(values: Float[np.ndarray, " actions"]) -> Bool[np.ndarray, " actions"]:
    """Which actions are best replies."""
    return values >= values.max() - _CLOSE
