"""Posterior and prior predictive checks: what people did beside what a fit predicts, in statistics of the game.

One-shot games are predicted anew. In games over time every decision is predicted one step ahead, given what was
recorded before it. The statistics are the games' own (`Environment.statistics`), and for every game how often each
action is chosen.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy.stats import gamma, norm

from bayescal.diagnostics.base import Check, Outcome
from bayescal.environments.counts import CountRecord, statistics_of_counts
from bayescal.environments.people import (
    people_of_counts,
    people_of_play,
    repetition,
    repetition_over_time,
    statistics_of_people,
)
from bayescal.environments.shares import shares_of_counts, shares_of_play
from bayescal.environments.statistics import Draws, PlayRecord, Statistic, codes, statistics_of_play
from bayescal.errors import InputError
from bayescal.evaluation.batches import evenly
from bayescal.plain import listed
from bayescal.posterior.fit import Fit
from bayescal.table.decisions import Decisions

PREDICTIVE = "posterior predictive"  # the name of its check
ERROR = 0.05  # the probability that a right model fails, all statistics together
INTERVAL = (0.05, 0.95)

_DRAWS = 500
_LEAST = 1e-4  # the smallest tail probability that is reported
_COLUMNS = ["observed", "mean", "low", "high", "p", "inside", "what"]


def predictive(fit: Fit, decisions: Decisions, *, group: str = "posterior_predictive") -> pd.DataFrame:
    """By statistic: its observed value, mean and 90 % interval of its predicted values, p (twice the smaller tail
    probability beyond the observed value; of a distance, the probability of a larger one), whether the observed value
    is inside the interval, and what it is.

    Args:
        group: "posterior_predictive" or "prior_predictive".
    """
    tables = _decisions_of(fit, decisions, group)
    statistics = _count_statistics(fit, decisions) if decisions.play is None else play_statistics(decisions)
    return _table(statistics, tables)


def table_of_counts(fit: Fit, decisions: Decisions, tables: Draws) -> pd.DataFrame:
    """The table of `predictive` of one-shot games, of given tables of counts."""
    return _table(_count_statistics(fit, decisions), tables)


def _table(statistics: Iterable[Statistic], tables: Draws) -> pd.DataFrame:
    rows = {s.name: compared(s, tables) for s in statistics}
    rows = {n: row for n, row in rows.items() if row is not None}
    return pd.DataFrame.from_dict(rows, orient="index", columns=_COLUMNS).rename_axis("statistic")


def _decisions_of(fit: Fit, decisions: Decisions, group: str) -> Draws:
    site = "choices" if decisions.play is None else "choice"
    trees = fit.tree.children
    if group not in trees or site not in trees[group] or site not in trees["observed_data"]:
        raise InputError(f"The fit has no {group} of {site}: check it with the decisions that it was fitted to.")
    seen, drawn = trees["observed_data"][site].to_numpy(), trees[group][site].to_numpy()
    drawn = drawn.reshape(-1, *drawn.shape[2:])
    drawn = drawn[evenly(len(drawn), _DRAWS)]
    rows = len(decisions.play.row) if decisions.play is not None else None
    if rows is not None and rows != len(seen):
        raise InputError(
            f"The fit is of {len(seen):,} decisions and {decisions.source} has {rows:,}: check a fit with its own."
        )
    if rows is None and int(seen.sum()) != decisions.total:
        raise InputError(
            f"The fit is of {int(seen.sum()):,} decisions and {decisions.source} has {decisions.total:,}: check a fit "
            "with its own."
        )
    return np.concatenate([seen[None], drawn])


def compared(statistic: Statistic, tables: Draws) -> tuple[float, float, float, float, float, bool, str] | None:
    """A row of the table of `predictive`; None where the statistic is not defined for these decisions."""
    with np.errstate(all="ignore"):
        values = np.asarray(statistic.of(tables), float)
    observed, drawn = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not np.isfinite(observed) or len(drawn) < 2:
        return None
    distance = statistic.large_only
    low, high = (0.0, float(np.quantile(drawn, 0.9))) if distance else map(float, np.quantile(drawn, INTERVAL))
    inside = observed <= high and (distance or low <= observed)
    p = _upper_tail(observed, drawn) if distance else _tail(observed, drawn)
    return observed, float(drawn.mean()), low, high, p, inside, statistic.what


def _upper_tail(observed: float, drawn: Float[np.ndarray, " draws"]) -> float:
    """The probability of a larger value. Beyond all draws it is that of a gamma distribution, at least 1e-4."""
    near = np.isclose(drawn, observed, rtol=1e-9, atol=0)
    p = np.mean((drawn > observed) & ~near) + near.mean() / 2
    if p > 0:
        return float(p)
    mean, variance = drawn.mean(), drawn.var()
    far = gamma.sf(observed, mean**2 / variance, scale=variance / mean) if variance > 0 and mean > 0 else 0.0
    return float(np.clip(far, _LEAST, 1 / (len(drawn) + 1)))


def _tail(observed: float, drawn: Float[np.ndarray, " draws"]) -> float:
    """Twice the smaller tail probability. Beyond all draws it is that of a normal distribution, at least 1e-4."""
    near = np.isclose(drawn, observed, rtol=1e-9, atol=0)
    below = np.mean((drawn < observed) & ~near) + near.mean() / 2
    p = 2 * min(below, 1 - below)
    if p > 0:
        return float(p)
    sd = drawn.std()
    far = 2 * norm.sf(abs(observed - drawn.mean()) / sd) if sd > 0 else 0.0
    return float(np.clip(far, _LEAST, 2 / (len(drawn) + 1)))


def play_statistics(decisions: Decisions) -> Iterator[Statistic]:
    """The statistics of decisions in games over time."""
    record = _play_record(decisions)
    games = list(decisions.environments.values())
    own = games[0].statistics(record) if _of_one_kind(games) else statistics_of_play(record)
    people = people_of_play(record)
    alone = () if people is None else statistics_of_people(people)
    return chain(own, shares_of_play(record), alone, repetition_over_time(record))


def _count_statistics(fit: Fit, decisions: Decisions) -> Iterator[Statistic]:
    """The statistics of decisions in one-shot games."""
    constant = fit.tree["constant_data"].to_dataset()
    games = list(decisions.environments.values())
    record = CountRecord(
        environments=decisions.environments,
        games=constant["cell_game"].to_numpy().astype(str),
        roles=constant["cell_role"].to_numpy().astype(str),
        people=codes(constant["cell_participant"].to_numpy()) if "cell_participant" in constant else None,
        width=fit.tree["observed_data"]["choices"].shape[1],
    )
    own = games[0].statistics(record) if _of_one_kind(games) else statistics_of_counts(record)
    people = people_of_counts(record)
    alone = () if people is None else chain(statistics_of_people(people), _repetition(record, constant, decisions))
    return chain(own, shares_of_counts(record), alone)


def _repetition(record: CountRecord, constant: xr.Dataset, decisions: Decisions) -> Iterator[Statistic]:
    """Of people whose decisions have an order: the table has their rounds, and a row for each."""
    table = decisions.table
    if not {"participant", "round"} <= set(table) or len(table) != decisions.total:
        return
    table = table.sort_values("round", kind="stable")
    keys = [constant[f"cell_{n}"].to_numpy().astype(str) for n in ("participant", "game", "role")]
    cell = {key: i for i, key in enumerate(zip(*keys, strict=True))}
    rows = zip(*(table[n].astype(str) for n in ("participant", "game", "role")), strict=True)
    of = np.array([cell.get(row, -1) for row in rows])
    if len(cell) == len(record.games) and (of >= 0).all():
        yield from repetition(of, table["action_index"].to_numpy())


def _of_one_kind(games: list[Any]) -> bool:
    return all(type(game) is type(games[0]) for game in games)


def _play_record(decisions: Decisions) -> PlayRecord:
    play = decisions.play
    assert play is not None
    table = decisions.table.iloc[play.row]
    game = table["game_index"].to_numpy()
    role = table["role_index"].to_numpy()
    grid = np.zeros((len(table), decisions.counts.shape[1]))
    seen: dict[str, np.ndarray] = {}
    for g, (name, environment) in enumerate(decisions.environments.items()):
        here, observed = game == g, play.observations[name]
        for r, values in enumerate(environment.action_values):
            grid[here & (role == r), : len(values)] = values
        for n in ("own", "seen", "began", "state"):
            if n in observed and np.ndim(observed[n]) == 1:
                seen.setdefault(n, np.full(len(table), np.nan))[here] = observed[n]
    return PlayRecord(
        environments=list(decisions.environments.values()),
        game=game,
        grid=grid,
        roles=table["role"].astype(str).to_numpy(),
        rounds=table["round"].to_numpy(),
        people=table["participant"].cat.codes.to_numpy() if "participant" in table else None,
        groups=codes(table["group"].astype(str).to_numpy()) if "group" in table else np.zeros(len(table), int),
        seen=seen,
        table=table,
    )


# What is said of it


def judged(name: str, table: pd.DataFrame | None, where: str, nothing: str, outcome: Outcome, advice: str) -> Check:
    """The check of a table of statistics.

    Args:
        where: what they should lie inside.
        nothing: why there may be no table.
        outcome: where the data differ from what is predicted.
    """
    if table is None or table.empty:
        return Check(name, Outcome.NOT_APPLICABLE, nothing, about="model")
    inside = f"{int(table['inside'].sum())} of {len(table)} statistics lie inside {where}"
    bad = apart(table)
    if not bad:
        return Check(name, Outcome.PASSED, inside, about="model")
    return Check(name, outcome, f"{inside}; {listed(bad)}", advice, "model")


def predicts(table: pd.DataFrame | None, *, over_time: bool) -> Check:
    """Whether people do what the posterior predicts."""
    how = " (each decision one step ahead, given what was seen before it)" if over_time else ""
    advice = "Look for what the model lacks: habits (the prior), lapses, learning, costs that differ, or another rival."
    return judged(PREDICTIVE, table, f"their 90 % interval{how}", _NOTHING, Outcome.FAILED, advice)


def allows(table: pd.DataFrame | None) -> Check:
    """Whether the hyperpriors leave room for what people do."""
    advice = "See whether the hyperpriors leave room for what people do."
    where = "what the hyperpriors predict"
    return judged("prior predictive", table, where, _NOTHING, Outcome.WARNING, advice)


_NOTHING = "the decisions were not given: give the study (study=…), or a model of build_model"


def apart(table: pd.DataFrame) -> list[str]:
    """The statistics in which the data differ from what is predicted, the clearest first."""
    if table.empty:
        return []
    bad = table[table["p"] < ERROR / len(table)].sort_values("p", kind="stable")
    return [f"{n} is {row['observed']:.3g}, where {_expected(row)} is predicted" for n, row in bad.iterrows()]


def _expected(row: pd.Series) -> str:
    if row["low"] == 0 and row["observed"] > row["high"]:
        return f"at most {row['high']:.3g}"
    return f"{row['low']:.3g} to {row['high']:.3g}"
