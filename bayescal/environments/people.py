"""Statistics that look at people: how they differ in each game, the most unusual one, whether somebody who is high in
one game is high in another, and whether people repeat themselves.

A model of people with costs of their own can be right about everybody together and wrong about these.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int, Num, Shaped

from bayescal.environments.counts import CountRecord, cell_values
from bayescal.environments.shares import counted, g_squared
from bayescal.environments.statistics import Draws, PlayRecord, Statistic, codes, sums

MOST_GAMES = 8  # games that have a spread of people each
_THEIR = {True: "mean actions", False: "shares of the first action"}  # by whether actions are quantities
LEAST_PEOPLE = 10  # people in both of two games, from which their correlation is told

Counts = Num[np.ndarray, "tables rows actions"]


@dataclass(frozen=True)
class PeopleRecord:
    """What each person did in each game.

    Attributes:
        counts: by table of decisions, the number of decisions for each action; a row is a person in a game.
        person, game: of each row.
        games: their names.
        value: by row and action, the number that is averaged: a quantity, or 1 for the first action.
        their: what its average is called, in the plural.
    """

    counts: Callable[[Draws], Counts]
    person: Int[np.ndarray, " rows"]
    game: Int[np.ndarray, " rows"]
    games: Sequence[str]
    value: Float[np.ndarray, "rows actions"]
    their: str


def people_of_counts(record: CountRecord) -> PeopleRecord | None:
    """The people of one-shot games; a role in a game counts as a game."""
    if record.people is None:
        return None
    ordered = all(e.ordered for e in record.environments.values())
    names, game = _named(record.games, record.roles)
    value = cell_values(record, scaled=False) if ordered else _first(len(game), record.width)
    return PeopleRecord(lambda x: x, record.people, game, names, value, _THEIR[ordered])


def people_of_play(record: PlayRecord) -> PeopleRecord | None:
    """The people of games over time."""
    if record.people is None:
        return None
    ordered = all(e.ordered for e in record.environments)
    names, of = _named([f"game {g + 1}" for g in record.game], record.roles)
    rows, first, code = np.unique(np.stack([record.people, of], axis=1), axis=0, return_index=True, return_inverse=True)
    code, width = code.reshape(-1), record.grid.shape[1]
    value = record.grid[first] if ordered else _first(len(rows), width)
    return PeopleRecord(lambda x: counted(x, code, width), rows[:, 0], rows[:, 1], names, value, _THEIR[ordered])


def repetition_over_time(record: PlayRecord) -> Iterator[Statistic]:
    """How often people do what they did the last time, as recorded."""
    if record.people is None:
        return
    order = np.lexsort((record.rounds, record.groups, codes(record.roles), record.game, record.people))
    keys = np.stack([record.people, record.game, codes(record.roles), record.groups])[:, order]
    later = np.flatnonzero(np.all(keys[:, 1:] == keys[:, :-1], axis=0)) + 1
    if len(later) > 2:
        yield Statistic(
            "repetition", "share of decisions that repeat one's own last (as recorded)",
            lambda x: (x[:, order[later]] == x[:1, order[later - 1]]).mean(axis=1),
        )  # fmt: skip


def _named(
    games: Sequence[str] | Shaped[np.ndarray, " rows"], roles: Shaped[np.ndarray, " rows"]
) -> tuple[list[str], Int[np.ndarray, " rows"]]:
    """(names of roles in games, which of them each row is in)."""
    several = len(set(roles)) > 1
    labels = [f"{g} · {r}" if several else str(g) for g, r in zip(games, roles, strict=True)]
    names, code = np.unique(labels, return_inverse=True)
    return [str(n) for n in names], code


def _first(rows: int, width: int) -> Float[np.ndarray, "rows actions"]:
    return np.tile((np.arange(width) == 0).astype(float), (rows, 1))


def statistics_of_people(record: PeopleRecord) -> Iterator[Statistic]:
    """Of people who are known and decide more than once."""
    person, game = codes(record.person), record.game
    if person.max() < 2:
        return

    def means(x: Draws) -> Float[np.ndarray, "tables rows"]:
        n = record.counts(x)
        return np.einsum("tra,ra->tr", n, record.value) / n.sum(axis=2)

    if 1 < len(record.games) <= MOST_GAMES:
        for g, name in enumerate(record.games):
            if (here := game == g).sum() > 2:
                yield Statistic(
                    f"spread of people in {name}",
                    f"standard deviation, over people, of their {record.their} in {name}",
                    lambda x, here=here: np.nanstd(means(x)[:, here], axis=1, ddof=1),
                )  # fmt: skip
    yield Statistic(
        "most unusual person (G²)",
        "the largest distance, over people, of a person's action shares from those predicted",
        lambda x: sums(person, g_squared(record.counts(x))).max(axis=1), large_only=True,
    )  # fmt: skip
    pairs = list(_pairs(person, game, len(record.games)))
    if pairs:
        yield Statistic(
            "consistency of people across games",
            f"correlation, over people, of their {record.their} in one game with those in another, averaged over "
            f"{len(pairs):,} pairs of games",
            lambda x: np.nanmean([_correlations(means(x)[:, a], means(x)[:, b]) for a, b in pairs], axis=0),
        )  # fmt: skip


def repetition(cell: Int[np.ndarray, " decisions"], action: Int[np.ndarray, " decisions"]) -> Iterator[Statistic]:
    """How much more often people repeat their last action than by chance, given how often they chose each.

    The recorded order stands for the observed table. A model of one-shot games has no order: those of drawn tables are
    drawn at random.

    Args:
        cell, action: of each decision, in the order in which they were made.
    """
    order = np.argsort(cell, kind="stable")
    same = np.diff(cell[order]) == 0
    if not same.any():
        return

    def excess(x: Draws) -> Float[np.ndarray, " tables"]:
        rng = np.random.default_rng(0)
        made = [action[order], *(_shuffled(table, rng) for table in x[1:])]
        repeated = np.array([(np.diff(a) == 0)[same].sum() for a in made])
        return (repeated - [_repeats_by_chance(table) for table in x]) / same.sum()

    yield Statistic(
        "repetition", "share of decisions that repeat one's own last, beyond chance given how often each is chosen",
        excess,
    )  # fmt: skip


def _repeats_by_chance(counts: Num[np.ndarray, "cells actions"]) -> float:
    """How often somebody repeats the last action on average, over all orders of what was chosen in each cell."""
    pairs = (counts * (counts - 1.0)).sum(axis=1)
    return float(np.sum(pairs / np.maximum(counts.sum(axis=1), 1)))


def _shuffled(counts: Num[np.ndarray, "cells actions"], rng: np.random.Generator) -> Int[np.ndarray, " decisions"]:
    """The actions of each cell in random order, cell by cell."""
    flat = counts.astype(int)
    cell = np.repeat(np.arange(len(flat)), flat.sum(axis=1))
    action = np.repeat(np.tile(np.arange(flat.shape[1]), len(flat)), flat.ravel())
    return action[np.lexsort((rng.random(len(cell)), cell))]


def _pairs(
    person: Int[np.ndarray, " rows"], game: Int[np.ndarray, " rows"], games: int
) -> Iterator[tuple[Int[np.ndarray, " both"], Int[np.ndarray, " both"]]]:
    """Rows of the people who decided in both of two games."""
    if not 1 < games <= MOST_GAMES:
        return
    for g, h in combinations(range(games), 2):
        first, second = np.flatnonzero(game == g), np.flatnonzero(game == h)
        both = np.intersect1d(person[first], person[second])
        if len(both) >= LEAST_PEOPLE:
            yield _rows_of(both, person, first), _rows_of(both, person, second)


def _rows_of(
    people: Int[np.ndarray, " both"], person: Int[np.ndarray, " rows"], rows: Int[np.ndarray, " some"]
) -> Int[np.ndarray, " both"]:
    rows = rows[np.argsort(person[rows])]
    return rows[np.searchsorted(person[rows], people)]


def _correlations(
    x: Float[np.ndarray, "tables people"], y: Float[np.ndarray, "tables people"]
) -> Float[np.ndarray, " tables"]:
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (dx * dy).sum(axis=1) / np.sqrt((dx**2).sum(axis=1) * (dy**2).sum(axis=1))
