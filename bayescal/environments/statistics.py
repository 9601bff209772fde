"""Statistics of recorded play, by which predictive checks compare a model with the data.

A statistic is a function of tables of decisions: row 0 is what people did, the other rows were drawn from the model.
In games over time every decision is predicted one step ahead, given what was recorded before it, so that "the
autocorrelation" of a prediction is the correlation with the recorded decision before it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, Shaped

Draws = Shaped[np.ndarray, "tables ..."]  # decisions or counts: the observed table first, then drawn ones

MOST_STATES = 8  # states of a game that have a statistic each


@runtime_checkable
class Rules(Protocol):
    """What statistics need to know of a game."""

    @property
    def role_names(self) -> tuple[str, ...]: ...
    @property
    def action_values(self) -> tuple[tuple[float, ...], ...]: ...
    @property
    def action_labels(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def ordered(self) -> bool: ...


@dataclass(frozen=True)
class Statistic:
    """A number that is compared.

    Attributes:
        what: what it is, in words.
        of: one number for each of the tables.
        large_only: whether only large values speak against the model, as with a distance.
    """

    name: str
    what: str
    of: Callable[[Draws], Float[np.ndarray, " tables"]]
    large_only: bool = False


@dataclass(frozen=True)
class PlayRecord:
    """Decisions of games over time, and what was recorded beside them.

    Attributes:
        environments: the games.
        game: the index of each decision's game.
        grid: the value of each action, by decision.
        seen: the entries "own", "seen", "began" and "state" of observations, those that the games have; NaN in games
            that do not.
        table: the recorded rows.
    """

    environments: Sequence[Rules]
    game: Int[np.ndarray, " decisions"]
    grid: Float[np.ndarray, "decisions actions"]
    roles: Shaped[np.ndarray, " decisions"]
    rounds: Shaped[np.ndarray, " decisions"]
    people: Int[np.ndarray, " decisions"] | None
    groups: Int[np.ndarray, " decisions"]
    seen: Mapping[str, Shaped[np.ndarray, " decisions"]]
    table: pd.DataFrame

    def value(self, actions: Draws) -> Float[np.ndarray, "tables decisions"]:
        """The values of actions that are given by index."""
        return np.take_along_axis(self.grid, actions.T.astype(int), axis=1).T

    @property
    def later(self) -> Bool[np.ndarray, " decisions"]:
        """Decisions that have one before them."""
        return self.seen["began"] > 0 if "began" in self.seen else np.zeros(len(self.grid), bool)


def statistics_of_play(record: PlayRecord) -> Iterator[Statistic]:
    """The statistics of any game over time."""
    ordered = all(e.ordered for e in record.environments)
    yield from statistics_of_quantities(record) if ordered else statistics_of_first_action(record)


def statistics_of_quantities(record: PlayRecord) -> Iterator[Statistic]:
    """Level, spread, drift, inertia, and reactions to what was seen."""
    yield Statistic("mean action", "the mean of all decisions", lambda x: record.value(x).mean(axis=1))
    yield Statistic("sd of actions", "the standard deviation of all decisions", lambda x: record.value(x).std(axis=1))
    yield from spread_and_drift(record, record.value, "mean actions", "mean action")
    own, seen, later = record.seen.get("own"), record.seen.get("seen"), record.later
    if own is None or later.sum() < 3:
        return
    last = own[later]
    yield Statistic(
        "change from round to round", "mean distance between a decision and one's own last (as recorded)",
        lambda x: np.abs(record.value(x)[:, later] - last).mean(axis=1),
    )  # fmt: skip
    yield Statistic(
        "own autocorrelation", "correlation of a decision with one's own last (as recorded)",
        lambda x: correlation(record.value(x)[:, later], last),
    )  # fmt: skip
    if seen is None:
        return
    outcome = seen[later]

    def towards(x: Draws) -> Float[np.ndarray, " tables"]:
        change = np.sign(record.value(x)[:, later] - last)
        return np.sum((change == np.sign(outcome - last)) & (change != 0), axis=1) / np.sum(change != 0, axis=1)

    yield Statistic(
        "changes towards what was seen",
        "share of the changes of one's decision that go towards what was last seen (demand, price, what others did)",
        towards,
    )
    yield Statistic(
        "response to what was seen", "correlation of a decision with what was last seen",
        lambda x: correlation(record.value(x)[:, later], outcome),
    )  # fmt: skip


def statistics_of_first_action(
    record: PlayRecord,
    label: str = "share of the first action",
    state: Shaped[np.ndarray, " decisions"] | None = None,
    state_names: Sequence[str] | None = None,
) -> Iterator[Statistic]:
    """How often the first action is chosen: in all, over people and rounds, and in each state.

    Args:
        label: what choosing the first action is called.
        state, state_names: by default those that were observed, as "in state 0", ….
    """
    first = lambda x: (x == 0).astype(float)
    yield Statistic(label, f"{label} among all decisions", lambda x: first(x).mean(axis=1))
    yield from spread_and_drift(record, first, label, label)
    state = record.seen.get("state") if state is None else state
    if state is None:
        return
    names = state_names or [f"in state {s}" for s in range(int(state.max()) + 1)]
    if len(names) > MOST_STATES:
        return
    for s, name in enumerate(names):
        if (here := state == s).any():
            yield Statistic(
                f"{label} {name}", f"{label} {name} (as recorded)", lambda x, here=here: first(x)[:, here].mean(axis=1)
            )


def spread_and_drift(
    record: PlayRecord, value: Callable[[Draws], Float[np.ndarray, "tables decisions"]], their: str, its: str
) -> Iterator[Statistic]:
    """How a number differs between people, and between earlier and later rounds."""
    people = record.people
    if people is not None and people.max() > 0:
        number = np.bincount(people).astype(float)
        yield Statistic(
            "spread of people", f"standard deviation, over people, of their {their}",
            lambda x: np.nanstd(sums(people, value(x)) / number, axis=1, ddof=1),
        )  # fmt: skip
    middle = np.median(record.rounds)
    early, late = record.rounds <= middle, record.rounds > middle
    if late.any():
        yield Statistic(
            "drift over rounds", f"{its} after round {middle:g} less that before",
            lambda x: value(x)[:, late].mean(axis=1) - value(x)[:, early].mean(axis=1),
        )  # fmt: skip


def codes(labels: Shaped[np.ndarray, "rows ..."]) -> Int[np.ndarray, " rows"]:
    """A number for each row of labels; equal rows have the same one."""
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)


def sums(code: Int[np.ndarray, " rows"], x: Shaped[np.ndarray, "tables rows"]) -> Float[np.ndarray, "tables codes"]:
    """Sums over rows of the same code."""
    size = int(code.max()) + 1
    return np.stack([np.bincount(code, row, size) for row in x])


def variance_within(
    code: Int[np.ndarray, " rows"], x: Shaped[np.ndarray, "tables rows"]
) -> Float[np.ndarray, " tables"]:
    """The variance among rows of the same code, averaged over rows."""
    number = np.bincount(code)
    mean = sums(code, x) / number
    return (sums(code, x**2) / number - mean**2) @ (number / number.sum())


def correlation(x: Shaped[np.ndarray, "tables rows"], y: Shaped[np.ndarray, " rows"]) -> Float[np.ndarray, " tables"]:
    """The correlation of each table with y."""
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean()
    return (dx @ dy) / np.sqrt((dx**2).sum(axis=1) * (dy**2).sum())
