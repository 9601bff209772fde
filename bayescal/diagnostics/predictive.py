"""What people did beside what a fit predicts of them, in statistics that fit the game.

One-shot games are predicted anew. In games over time each decision is predicted one step ahead, given what was recorded
as seen before it, so that "the autocorrelation" of a prediction is with what really came before.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from bayescal.diagnostics.base import Check, Outcome
from bayescal.environments.bus_engine import BusEngine
from bayescal.environments.cobweb import Cobweb, supply
from bayescal.environments.supply_chain import SupplyChain
from bayescal.errors import InputError
from bayescal.evaluation.batches import evenly
from bayescal.plain import listed
from bayescal.posterior.fit import Fit
from bayescal.table.decisions import Decisions

ERROR = 0.05  # the chance that a right model fails, all statistics together
INTERVAL = (0.05, 0.95)

_DRAWS = 500
_LEAST = 1e-4  # a tail probability that is told
_SHARES = 24  # games and roles of which each has shares of its own
_GAMES = 8
_STATES = 8
_COLUMNS = ["observed", "mean", "low", "high", "p", "inside", "what"]

Values = np.ndarray  # what was done, observed first and then drawn: (1 + draws, …)


@dataclass(frozen=True)
class Statistic:
    """A number to look at: `of` gives one for each of (1 + draws, …) tables of what was done."""

    name: str
    what: str
    of: Callable[[Values], np.ndarray]


def predictive(fit: Fit, decisions: Decisions, *, group: str = "posterior_predictive") -> pd.DataFrame:
    """By statistic: the observed one, mean and 90 % interval of the predicted ones, p (twice the smaller tail beyond
    the observed one), whether it is inside, and what it is.

    Args:
        group: "posterior_predictive" or "prior_predictive".
    """
    done = _done(fit, decisions, group)
    statistics = list(_played(decisions) if decisions.play is not None else _counted(fit, decisions))
    rows = {s.name: _row(s, done) for s in statistics}
    rows = {n: row for n, row in rows.items() if row is not None}
    return pd.DataFrame.from_dict(rows, orient="index", columns=_COLUMNS).rename_axis("statistic")


def _done(fit: Fit, decisions: Decisions, group: str) -> Values:
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


def _row(statistic: Statistic, done: Values) -> tuple[Any, ...] | None:
    with np.errstate(all="ignore"):
        found = np.asarray(statistic.of(done), float)
    observed, drawn = found[0], found[1:][np.isfinite(found[1:])]
    if not np.isfinite(observed) or len(drawn) < 2:
        return None
    low, high = np.quantile(drawn, INTERVAL)
    inside = bool(low <= observed <= high)
    return observed, drawn.mean(), low, high, _tail(observed, drawn), inside, statistic.what


def _tail(observed: float, drawn: np.ndarray) -> float:
    """Twice the smaller tail; beyond all draws, where it cannot be counted, that of a normal, and never below 1e-4."""
    near = np.isclose(drawn, observed, rtol=1e-9, atol=0)
    below = np.mean((drawn < observed) & ~near) + near.mean() / 2
    p = 2 * min(below, 1 - below)
    if p > 0:
        return float(p)
    sd = drawn.std()
    far = 2 * norm.sf(abs(observed - drawn.mean()) / sd) if sd > 0 else 0.0
    return float(np.clip(far, _LEAST, 2 / (len(drawn) + 1)))


# One-shot games: counts (…, cell, action)


def _counted(fit: Fit, decisions: Decisions) -> Iterator[Statistic]:
    constant = fit.tree["constant_data"].to_dataset()
    games = constant["cell_game"].to_numpy().astype(str)
    roles = constant["cell_role"].to_numpy().astype(str)
    people = _codes(constant["cell_participant"].to_numpy()) if "cell_participant" in constant else None
    environments = decisions.environments
    width = fit.tree["observed_data"]["choices"].shape[1]
    if all(e.ordered for e in environments.values()):
        yield from _amounts(environments, games, roles, people, width)
    else:
        yield from _shares(environments, games, roles, people)


def _amounts(
    environments: Mapping[str, Any], games: np.ndarray, roles: np.ndarray, people: np.ndarray | None, width: int
) -> Iterator[Statistic]:
    grids = {n: e.action_values for n, e in environments.items()}
    ends = {(min(v), max(v)) for rows in grids.values() for v in rows}
    scaled = len(ends) > 1
    told = ", as a share of the game's range" if scaled else ""
    value = np.zeros((len(games), width))
    for i, (game, role) in enumerate(zip(games, roles, strict=True)):
        v = np.asarray(grids[game][environments[game].role_names.index(role)], float)
        value[i, : len(v)] = (v - v.min()) / (v.max() - v.min()) if scaled else v
    total = lambda x, v: np.einsum("rca,ca->r", x, v)
    number = lambda x: total(x, np.ones_like(value))
    mean = lambda x: total(x, value) / number(x)
    yield Statistic("mean action", f"the mean of all decisions{told}", mean)
    yield Statistic(
        "sd of actions", f"the standard deviation of all decisions{told}",
        lambda x: np.sqrt(np.maximum(total(x, value**2) / number(x) - mean(x) ** 2, 0)),
    )  # fmt: skip
    by_cell = lambda x: (np.einsum("rca,ca->rc", x, value), np.einsum("rca->rc", x).astype(float))
    if people is not None:
        yield from _spread(people, by_cell, f"mean actions{told}")
    names = list(dict.fromkeys(games))
    if 1 < len(names) <= _GAMES:
        for name in names:
            yield _within(
                f"mean action in {name}", f"the mean of the decisions in {name}{told}", games == name, by_cell
            )


def _shares(
    environments: Mapping[str, Any], games: np.ndarray, roles: np.ndarray, people: np.ndarray | None
) -> Iterator[Statistic]:
    taken = lambda a: lambda x: (x[..., a].astype(float), np.einsum("rca->rc", x).astype(float))
    first = taken(0)
    pairs = list(dict.fromkeys(zip(games, roles, strict=True)))
    if len(pairs) <= _SHARES:
        for game, role in pairs:
            environment = environments[game]
            labels = environment.action_labels[environment.role_names.index(role)]
            here = (games == game) & (roles == role)
            where = " · ".join([*([game] if len(environments) > 1 else []), role])
            for a, label in enumerate(labels[: max(len(labels) - 1, 1)]):
                yield _within(f"{where}: {label}", f"share of {label} among the decisions of {where}", here, taken(a))
    else:
        code = _codes(np.char.add(np.char.add(games, " · "), roles))
        shares = lambda x: np.divide(*(_sums(code, part) for part in first(x)))
        for role in dict.fromkeys(roles):
            told = f"share of the first action among all decisions of {role}"
            yield _within(f"{role}: first action", told, roles == role, first)
        yield Statistic(
            "spread over games", f"standard deviation of the share of the first action, over {code.max() + 1:,} games "
            "and roles", lambda x: np.nanstd(shares(x), axis=1),
        )  # fmt: skip
    if people is not None:
        yield from _spread(people, first, "shares of the first action")


def _within(name: str, what: str, here: np.ndarray, parts: Callable[[Values], tuple[Any, Any]]) -> Statistic:
    return Statistic(name, what, lambda x: np.divide(*(p[:, here].sum(axis=1) for p in parts(x))))


def _spread(people: np.ndarray, parts: Callable[[Values], tuple[Any, Any]], what: str) -> Iterator[Statistic]:
    if people.max() > 0:
        yield Statistic(
            "spread of people", f"standard deviation, over people, of their {what}",
            lambda x: np.nanstd(np.divide(*(_sums(people, p) for p in parts(x))), axis=1, ddof=1),
        )  # fmt: skip


# Games over time: the index of the action (…, decision)


@dataclass(frozen=True)
class _Record:
    """What was recorded beside the decisions, each given what came before it."""

    environments: Sequence[Any]
    grid: np.ndarray  # (decision, action) values
    game: np.ndarray  # which of the environments
    roles: np.ndarray
    rounds: np.ndarray
    people: np.ndarray | None
    groups: np.ndarray
    seen: Mapping[str, np.ndarray]  # "own", "seen", "began", "state": one number a decision, those that the games have
    table: pd.DataFrame

    @classmethod
    def of(cls, decisions: Decisions) -> "_Record":
        play = decisions.play
        assert play is not None
        table = decisions.table.iloc[play.row]
        game = table["game_index"].to_numpy()
        role = table["role_index"].to_numpy()
        grid = np.zeros((len(table), decisions.counts.shape[1]))
        names = ("own", "seen", "began", "state")
        seen: dict[str, np.ndarray] = {}
        for g, (name, environment) in enumerate(decisions.environments.items()):
            here, observed = game == g, play.observations[name]
            for r, values in enumerate(environment.action_values):
                grid[here & (role == r), : len(values)] = values
            for n in names:
                if n in observed and np.ndim(observed[n]) == 1:
                    seen.setdefault(n, np.full(len(table), np.nan))[here] = observed[n]
        return cls(
            environments=list(decisions.environments.values()),
            grid=grid,
            game=game,
            roles=table["role"].astype(str).to_numpy(),
            rounds=table["round"].to_numpy(),
            people=table["participant"].cat.codes.to_numpy() if "participant" in table else None,
            groups=_codes(table["group"].astype(str).to_numpy()) if "group" in table else np.zeros(len(table), int),
            seen=seen,
            table=table,
        )

    def value(self, index: Values) -> np.ndarray:
        return np.take_along_axis(self.grid, index.T.astype(int), axis=1).T

    @property
    def later(self) -> np.ndarray:
        """Decisions that have one before them."""
        return self.seen["began"] > 0 if "began" in self.seen else np.zeros(len(self.grid), bool)


def _played(decisions: Decisions) -> Iterator[Statistic]:
    record = _Record.of(decisions)
    all_are = lambda kind: all(isinstance(e, kind) for e in record.environments)
    if all_are(BusEngine):
        yield from _replacements(record)
    elif all(e.ordered for e in record.environments):
        yield from _ordered_play(record)
        if all_are(SupplyChain):
            yield from _bullwhip(record)
        if all_are(Cobweb):
            yield from _prices(record)
    else:
        yield from _unordered_play(record)


def _ordered_play(record: _Record) -> Iterator[Statistic]:
    yield Statistic("mean action", "the mean of all decisions", lambda x: record.value(x).mean(axis=1))
    yield Statistic("sd of actions", "the standard deviation of all decisions", lambda x: record.value(x).std(axis=1))
    yield from _people_and_drift(record, record.value, "mean actions", "mean action")
    own, seen, later = record.seen.get("own"), record.seen.get("seen"), record.later
    if own is None or later.sum() < 3:
        return
    own = own[later]
    yield Statistic(
        "change from round to round", "mean distance between a decision and one's own last (as recorded)",
        lambda x: np.abs(record.value(x)[:, later] - own).mean(axis=1),
    )  # fmt: skip
    yield Statistic(
        "own autocorrelation", "correlation of a decision with one's own last (as recorded)",
        lambda x: _correlation(record.value(x)[:, later], own),
    )  # fmt: skip
    if seen is None:
        return
    seen = seen[later]

    def towards(x: Values) -> np.ndarray:
        change = np.sign(record.value(x)[:, later] - own)
        return np.sum((change == np.sign(seen - own)) & (change != 0), axis=1) / np.sum(change != 0, axis=1)

    yield Statistic(
        "changes towards what was seen",
        "share of the changes of one's decision that go towards what was last seen (demand, price, what others did)",
        towards,
    )
    yield Statistic(
        "response to what was seen", "correlation of a decision with what was last seen",
        lambda x: _correlation(record.value(x)[:, later], seen),
    )  # fmt: skip


def _people_and_drift(
    record: _Record, value: Callable[[Values], np.ndarray], their: str, its: str
) -> Iterator[Statistic]:
    people = record.people
    if people is not None and people.max() > 0:
        number = np.bincount(people).astype(float)
        yield Statistic(
            "spread of people", f"standard deviation, over people, of their {their}",
            lambda x: np.nanstd(_sums(people, value(x)) / number, axis=1, ddof=1),
        )  # fmt: skip
    middle = np.median(record.rounds)
    early, late = record.rounds <= middle, record.rounds > middle
    if late.any():
        yield Statistic(
            "drift over rounds", f"{its} after round {middle:g} less that before",
            lambda x: value(x)[:, late].mean(axis=1) - value(x)[:, early].mean(axis=1),
        )  # fmt: skip


def _bullwhip(record: _Record) -> Iterator[Statistic]:
    """By echelon: the variance of orders over that of the orders received, within chains."""
    seen = record.seen["seen"]
    for role in dict.fromkeys(record.roles):
        here = record.roles == role
        chain = np.unique(record.groups[here], return_inverse=True)[1].reshape(-1)
        received = _variance_within(chain, seen[None, here])
        yield Statistic(
            f"bullwhip ratio, {role}",
            f"variance of the {role}'s orders over the weeks of a chain, as a multiple of that of the orders received "
            "(as recorded)",
            lambda x, here=here, chain=chain, received=received: (
                _variance_within(chain, record.value(x)[:, here]) / received
            ),
        )


def _prices(record: _Record) -> Iterator[Statistic]:
    """The price that forecasts make, with the noise as it was."""
    if "price" not in record.table:
        return
    recorded = record.table["price"].to_numpy(float)
    kappa, players = (np.array([getattr(e, n) for e in record.environments])[record.game] for n in ("kappa", "players"))
    market = _codes(np.stack([record.game, record.groups, record.rounds], axis=1))
    of = np.unique(market, return_index=True)[1]  # a row of each market and round
    complete = (np.bincount(market)[market[of]] == players[of]) & np.isfinite(recorded[of])
    if complete.sum() < 3:
        return
    mean_supply = lambda v: _sums(market, supply(v, kappa, np)) / np.bincount(market)
    was = np.take_along_axis(record.grid, record.table["action_index"].to_numpy()[:, None], axis=1).T
    implied = lambda v: record.environments[0].price(mean_supply(v))
    noise = (recorded[of] - implied(was)[0])[None]
    price = lambda x: (implied(record.value(x)) + noise)[:, complete]
    series = _codes(np.stack([record.game, record.groups], axis=1))[of][complete]
    before, later = record.seen["seen"][of][complete], record.later[of][complete]
    yield Statistic(
        "price variance", "variance of the price within markets, the noise being what it was",
        lambda x: _variance_within(series, price(x)),
    )  # fmt: skip
    yield Statistic(
        "price autocorrelation", "correlation of the price with the last one (as recorded)",
        lambda x: _correlation(price(x)[:, later], before[later]),
    )  # fmt: skip


def _replacements(record: _Record) -> Iterator[Statistic]:
    state = record.seen["state"]
    yield Statistic("replacements", "how many engines were replaced", lambda x: x.sum(axis=1))
    yield Statistic(
        "mileage at replacement", "mean bin of mileage at which engines were replaced",
        lambda x: (x * state).sum(axis=1) / x.sum(axis=1),
    )  # fmt: skip
    yield Statistic(
        "spread of mileage at replacement", "standard deviation of the bin of mileage at which engines were replaced",
        lambda x: np.sqrt(
            np.maximum((x * state**2).sum(axis=1) / x.sum(axis=1) - ((x * state).sum(axis=1) / x.sum(axis=1)) ** 2, 0)
        ),
    )  # fmt: skip
    if (bus := record.people) is not None and bus.max() > 0:
        yield Statistic(
            "spread of engines", "standard deviation, over engines, of their share of months with a replacement",
            lambda x: (_sums(bus, x) / np.bincount(bus)).std(axis=1, ddof=1),
        )  # fmt: skip


def _unordered_play(record: _Record) -> Iterator[Statistic]:
    dilemma = all(e.name == "repeated-dilemma" for e in record.environments)
    label = "cooperation" if dilemma else "share of the first action"
    did = lambda x: (x == 0).astype(float)
    yield Statistic(label, f"{label} among all decisions", lambda x: did(x).mean(axis=1))
    yield from _people_and_drift(record, did, label, label)
    state = record.seen.get("state")
    if state is None:
        return
    if dilemma:  # as the deciding person sees it: whose defection it was
        second = record.roles == record.environments[0].role_names[1]
        state = np.where(second & (state == 2), 3, np.where(second & (state == 3), 2, state))
        names = ("in first rounds", "after both cooperated", "after the other defected", "after defecting alone",
                 "after both defected")  # fmt: skip
    else:
        names = tuple(f"in state {s}" for s in range(int(state.max()) + 1))
    if len(names) > _STATES:
        return
    for s, name in enumerate(names):
        if (here := state == s).any():
            yield Statistic(
                f"{label} {name}", f"{label} {name} (as recorded)", lambda x, here=here: did(x)[:, here].mean(axis=1)
            )


# Sums by group, over the last axis


def _codes(labels: np.ndarray) -> np.ndarray:
    """Equal rows of labels have the same number."""
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)


def _sums(code: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(rows, labels): sums of (rows, …) by label."""
    size = int(code.max()) + 1
    return np.stack([np.bincount(code, row, size) for row in x])


def _variance_within(code: np.ndarray, x: np.ndarray) -> np.ndarray:
    number = np.bincount(code)
    mean = _sums(code, x) / number
    return (_sums(code, x**2) / number - mean**2) @ (number / number.sum())


def _correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each row with one and the same."""
    dx, dy = x - x.mean(axis=1, keepdims=True), y - y.mean()
    return (dx @ dy) / np.sqrt((dx**2).sum(axis=1) * (dy**2).sum())


# What is said of it


def predicts(table: pd.DataFrame | None, *, over_time: bool) -> Check:
    """Whether people do what the posterior predicts."""
    name = "posterior predictive"
    if table is None or table.empty:
        return Check(name, Outcome.NOT_APPLICABLE, _NOTHING, about="model")
    how = " (each decision one step ahead, given what was seen before it)" if over_time else ""
    inside = f"{int(table['inside'].sum())} of {len(table)} statistics lie inside their 90 % interval{how}"
    bad = table[table["p"] < ERROR / len(table)]
    if bad.empty:
        return Check(name, Outcome.PASSED, inside, about="model")
    return Check(
        name, Outcome.FAILED, f"{inside}; {_apart(bad)}",
        "Look for what the model lacks: habits (the prior), lapses, learning, costs that differ, or another rival.",
        "model",
    )  # fmt: skip


def allows(table: pd.DataFrame | None) -> Check:
    """Whether the hyperpriors leave room for what people do."""
    name = "prior predictive"
    if table is None or table.empty:
        return Check(name, Outcome.NOT_APPLICABLE, _NOTHING, about="model")
    inside = f"{int(table['inside'].sum())} of {len(table)} statistics lie inside what the hyperpriors predict"
    bad = table[table["p"] < ERROR / len(table)]
    if bad.empty:
        return Check(name, Outcome.PASSED, inside, about="model")
    return Check(
        name,
        Outcome.WARNING,
        f"{inside}; {_apart(bad)}",
        "See whether the hyperpriors leave room for what people do.",
        "model",
    )


_NOTHING = "the decisions were not given: give the study (study=…), or a model of build_model"


def _apart(bad: pd.DataFrame) -> str:
    told = [
        f"{n} is {row['observed']:.3g} where {row['low']:.3g} to {row['high']:.3g} is predicted"
        for n, row in bad.sort_values("p").iterrows()
    ]
    return listed(told)
