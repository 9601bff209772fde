"""Statistics of one-shot games, by which predictive checks compare a model with the data: functions of counts.

Counts have the shape (tables, cells, actions); a cell is one person (or everybody) in one game and role.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from bayescal.environments.statistics import Draws, Rules, Statistic, codes, sums

MOST_PAIRS = 24  # pairs of a game and a role that have shares of their own
MOST_GAMES = 8  # games that have a mean of their own

# (sums, numbers of decisions) by table and cell
Parts = Callable[[Draws], tuple[Float[np.ndarray, "tables cells"], Float[np.ndarray, "tables cells"]]]


@dataclass(frozen=True)
class CountRecord:
    """What the cells of counts stand for.

    Attributes:
        environments: the games by name.
        games, roles: the name of each cell's game and role.
        people: the number of each cell's person; None where people are not identified.
        width: of the padded grid.
    """

    environments: Mapping[str, Rules]
    games: Shaped[np.ndarray, " cells"]
    roles: Shaped[np.ndarray, " cells"]
    people: Int[np.ndarray, " cells"] | None
    width: int


def statistics_of_counts(record: CountRecord) -> Iterator[Statistic]:
    """The statistics of any one-shot game."""
    ordered = all(e.ordered for e in record.environments.values())
    yield from statistics_of_amounts(record) if ordered else statistics_of_shares(record)


def statistics_of_amounts(record: CountRecord) -> Iterator[Statistic]:
    """Mean and spread of quantities; where games have different ranges, as shares of the range."""
    games, people = record.games, record.people
    ends = {(min(v), max(v)) for e in record.environments.values() for v in e.action_values}
    scaled = len(ends) > 1
    unit = ", as a share of the game's range" if scaled else ""
    value = cell_values(record, scaled)
    total = lambda x, v: np.einsum("rca,ca->r", x, v)
    number = lambda x: total(x, np.ones_like(value))
    mean = lambda x: total(x, value) / number(x)
    yield Statistic("mean action", f"the mean of all decisions{unit}", mean)
    yield Statistic(
        "sd of actions", f"the standard deviation of all decisions{unit}",
        lambda x: np.sqrt(np.maximum(total(x, value**2) / number(x) - mean(x) ** 2, 0)),
    )  # fmt: skip
    by_cell = lambda x: (np.einsum("rca,ca->rc", x, value), np.einsum("rca->rc", x).astype(float))
    yield from _spread(people, by_cell, f"mean actions{unit}")
    names = list(dict.fromkeys(games))
    if 1 < len(names) <= MOST_GAMES:
        for name in names:
            what = f"the mean of the decisions in {name}{unit}"
            yield _within(f"mean action in {name}", what, games == name, by_cell)


def statistics_of_shares(record: CountRecord) -> Iterator[Statistic]:
    """The share of each action in each game and role; where there are many games, of first actions only."""
    environments, games, roles = record.environments, record.games, record.roles
    chosen = lambda a: lambda x: (x[..., a].astype(float), np.einsum("rca->rc", x).astype(float))
    first = chosen(0)
    pairs = list(dict.fromkeys(zip(games, roles, strict=True)))
    if len(pairs) <= MOST_PAIRS:
        for game, role in pairs:
            environment = environments[game]
            labels = environment.action_labels[environment.role_names.index(role)]
            here = (games == game) & (roles == role)
            where = " · ".join([*([game] if len(environments) > 1 else []), role])
            for a, label in enumerate(labels[: max(len(labels) - 1, 1)]):
                yield _within(f"{where}: {label}", f"share of {label} among the decisions of {where}", here, chosen(a))
    else:
        code = codes(np.char.add(np.char.add(games, " · "), roles))
        shares = lambda x: np.divide(*(sums(code, part) for part in first(x)))
        for role in dict.fromkeys(roles):
            what = f"share of the first action among all decisions of {role}"
            yield _within(f"{role}: first action", what, roles == role, first)
        yield Statistic(
            "spread over games", f"standard deviation of the share of the first action, over {code.max() + 1:,} games "
            "and roles", lambda x: np.nanstd(shares(x), axis=1),
        )  # fmt: skip
    yield from _spread(record.people, first, "shares of the first action")


def cell_values(record: CountRecord, scaled: bool) -> Float[np.ndarray, "cells actions"]:
    """The value of each action of each cell; scaled as a share of its range."""
    value = np.zeros((len(record.games), record.width))
    for i, (game, role) in enumerate(zip(record.games, record.roles, strict=True)):
        environment = record.environments[game]
        v = np.asarray(environment.action_values[environment.role_names.index(role)], float)
        value[i, : len(v)] = (v - v.min()) / (v.max() - v.min()) if scaled else v
    return value


def _within(name: str, what: str, here: Shaped[np.ndarray, " cells"], parts: Parts) -> Statistic:
    return Statistic(name, what, lambda x: np.divide(*(p[:, here].sum(axis=1) for p in parts(x))))


def _spread(people: Int[np.ndarray, " cells"] | None, parts: Parts, what: str) -> Iterator[Statistic]:
    if people is not None and people.max() > 0:
        means = lambda x, people=people: np.divide(*(sums(people, p) for p in parts(x)))
        yield Statistic(
            "spread of people", f"standard deviation, over people, of their {what}",
            lambda x: np.nanstd(means(x), axis=1, ddof=1),
        )  # fmt: skip
