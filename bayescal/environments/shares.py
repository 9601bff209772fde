"""Did people choose each action as often as predicted? The G² statistic of observed and expected counts, by situation.

A mean and a standard deviation can be right where no action is chosen as often as it should be. Every game is judged by
these statistics, whatever else it is judged by.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int, Num

from bayescal.environments.counts import CountRecord
from bayescal.environments.statistics import MOST_STATES, Draws, PlayRecord, Statistic

MOST_SITUATIONS = 8  # situations that have a statistic each

Counts = Num[np.ndarray, "tables situations actions"]


def g_squared(counts: Counts) -> Float[np.ndarray, "tables situations"]:
    """2 Σ n log(n / e) of each table and situation, where e is the mean count over all tables.

    The tables are exchangeable under the model, the observed one among them, and so are these numbers.

    Example:
        >>> import numpy as np
        >>> from bayescal.environments.shares import g_squared
        >>> g_squared(np.array([[[6.0, 2.0]], [[2.0, 6.0]]])).round(3).tolist()  # e is 4 and 4
        [[2.093], [2.093]]
    """
    expected = counts.mean(axis=0)

    def one(table: Num[np.ndarray, "situations actions"]) -> Float[np.ndarray, " situations"]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return 2 * np.where(table > 0, table * np.log(table / expected), 0.0).sum(axis=-1)

    return np.stack([one(table) for table in counts])  # table by table: those of many people fill the memory


def shares_of_counts(record: CountRecord) -> Iterator[Statistic]:
    """Action shares in one-shot games: a situation is a role in a game."""
    several = len(set(record.games)) > 1
    labels = [f"{g} · {r}" if several else r for g, r in zip(record.games, record.roles, strict=True)]
    names, code = np.unique(labels, return_inverse=True)

    def by_situation(x: Draws) -> Counts:
        return np.stack([x[:, code == s].sum(axis=1) for s in range(len(names))], axis=1).astype(float)

    yield from _statistics(by_situation, [str(n) for n in names], record.width)


def shares_of_play(record: PlayRecord) -> Iterator[Statistic]:
    """Action shares in games over time: a situation is a role in a game, in a state where the game has few of them."""
    width = record.grid.shape[1]
    labels = list(map(str, record.roles))
    if len(record.environments) > 1:
        labels = [f"game {g + 1} · {label}" for g, label in zip(record.game, labels, strict=True)]
    state = record.seen.get("state")
    if state is not None and not np.isnan(state).any() and len(np.unique(state)) <= MOST_STATES:
        labels = [f"{label} · state {s:g}" for s, label in zip(state, labels, strict=True)]
    names, code = np.unique(labels, return_inverse=True)
    yield from _statistics(lambda x: counted(x, code, width).astype(float), [str(n) for n in names], width)


def counted(x: Draws, row: Int[np.ndarray, " decisions"], width: int) -> Counts:
    """How often each of so many actions was chosen in each table, by row.

    Args:
        x: by table, the action of each decision.
        row: of each decision; every number up to the largest is there.
    """
    shape = (int(row.max()) + 1, width)
    flat = np.stack([np.bincount(row * width + actions, minlength=shape[0] * width) for actions in x.astype(int)])
    return flat.reshape(len(x), *shape)


def _statistics(by_situation: Callable[[Draws], Counts], names: list[str], width: int) -> Iterator[Statistic]:
    over = "" if len(names) == 1 else f", summed over {len(names):,} situations"
    yield Statistic(
        "action shares (G²)", f"distance of the shares of all actions from those predicted{over}",
        lambda x: g_squared(by_situation(x)).sum(axis=1), large_only=True,
    )  # fmt: skip
    if width > 2 and 1 < len(names) <= MOST_SITUATIONS:
        for s, name in enumerate(names):
            yield Statistic(
                f"action shares (G²), {name}", f"distance of the shares of all actions from those predicted, {name}",
                lambda x, s=s: g_squared(by_situation(x))[:, s], large_only=True,
            )  # fmt: skip
