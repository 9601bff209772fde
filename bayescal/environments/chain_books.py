"""Weekly accounts of supply chains, rebuilt from a table of orders, stocks and flows."""

from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from bayescal._types import Number
from bayescal.environments.replay import Fault, Replay, contradictions
from bayescal.errors import InputError

STOCKS_AND_FLOWS = ("incoming", "arriving", "inventory", "supply_line")
MOST_CELLS = 100_000_000  # groups x weeks x echelons in a table of play

Weekly = Float[np.ndarray, "groups weeks echelons"]  # NaN if a number is not known
Now = Float[np.ndarray, "groups echelons"]


class Start(NamedTuple):
    """The start of a chain: inventory, units in each slot of the pipelines, and the two delays in weeks."""

    inventory: float
    flow: float
    order_delay: int
    shipping_delay: int


def replay_chains(table: pd.DataFrame, roles: int, start: Start, tolerance: Number) -> Replay:
    """The observations of every echelon before each order.

    A number is computed from the orders of the whole group if the table has them; else the recorded number is used
    (if the others were computers, for example); else it is not known. A recorded number is a fault if it follows
    neither from the rebuilt nor from the recorded numbers before it, so that one slip is one fault.
    """
    group, week, role = _places(table, roles)
    shape = (int(group.max()) + 1, int(week.max()) + 1, roles) if len(table) else (0, 0, roles)
    spread = lambda column: _spread(table[column].to_numpy(float), (group, week, role), shape)
    orders, demand, recorded = spread("value"), spread("demand"), {n: spread(n) for n in STOCKS_AND_FLOWS}
    recorded["inventory"] = recorded["inventory"] - np.nan_to_num(spread("backlog"))
    customers = np.where(np.arange(roles) == 0, demand, np.nan)
    book = accounts(orders, customers[..., :1], recorded, start)
    at = lambda x: x[group, week, role]
    faults: list[Fault] = []
    for column in STOCKS_AND_FLOWS:
        faults += contradictions(column, at(recorded[column]), at(book[column]), tolerance)
    faults += contradictions("demand", at(customers), at(book["incoming"]), tolerance)
    began = (week > 0).astype(float)
    observations = {
        "own": np.where(began > 0, at(_later(orders, 1, 0.0)), 0.0),
        "seen": at(book["incoming"]),
        "began": began,
        "inventory": at(book["inventory"]),
        "supply_line": at(book["supply_line"]),
        "round": week.astype(float),
    }
    known = np.all([np.isfinite(x) for x in observations.values()], axis=0)
    return Replay({n: np.nan_to_num(x) for n, x in observations.items()}, known, sorted(faults))


def accounts(
    orders: Weekly, demand: Float[np.ndarray, "groups weeks 1"], recorded: dict[str, Weekly], start: Start
) -> dict[str, Weekly]:
    """Every stock and flow by the rules of `SupplyChain`, else from the table; NaN if neither gives a number."""
    echelons = orders.shape[2]
    received = _later(orders, start.order_delay, start.flow)
    due, recorded_incoming = np.concatenate([demand, received[..., :-1]], axis=-1), recorded["incoming"]
    incoming = np.where(np.isnan(due), recorded_incoming, due)
    filled = np.full_like(orders, np.nan)  # units that each echelon ships
    book = {n: np.full_like(orders, np.nan) for n in STOCKS_AND_FLOWS} | {"incoming": incoming}
    each = lambda x: np.full((len(orders), echelons), float(x))
    stock, line = each(start.inventory), each((start.order_delay + start.shipping_delay) * start.flow)
    placed = each(0)
    last = {"inventory": stock, "supply_line": line}
    for t in range(orders.shape[1]):
        sent = each(start.flow)
        if t >= start.shipping_delay:
            begun = t - start.shipping_delay
            sent = np.concatenate([filled[:, begun, 1:], received[:, begun, -1:]], axis=-1)
        came = np.where(np.isnan(sent), recorded["arriving"][:, t], sent)
        # Arrivals that were not recorded follow from the stock.
        came = np.where(np.isnan(came), recorded["inventory"][:, t] - stock + incoming[:, t], came)
        flows = ([came, recorded["arriving"][:, t]], [incoming[:, t], recorded_incoming[:, t]])
        ways = [(s, a, r) for s, a, r in product([stock, last["inventory"]], *flows)]
        explained = _nearest([s + a - r for s, a, r in ways], recorded["inventory"][:, t])
        pick = lambda i, ways=ways, chosen=explained: np.choose(chosen, [w[i] for w in ways])
        before, arrived, asked = pick(0), pick(1), pick(2)
        stock = before + arrived - asked
        filled[:, t] = asked + np.maximum(-before, 0.0) - np.maximum(-stock, 0.0)
        lines = [x + placed - a for x, a in product([line, last["supply_line"]], flows[0])]
        line = np.choose(_nearest(lines, recorded["supply_line"][:, t]), lines)
        # A number that does not follow from the rules is the recorded one.
        stock = np.where(np.isnan(stock), recorded["inventory"][:, t], stock)
        line = np.where(np.isnan(line), recorded["supply_line"][:, t], line)
        book["arriving"][:, t], book["inventory"][:, t], book["supply_line"][:, t] = came, stock, line
        last = {n: recorded[n][:, t] for n in last}
        placed = orders[:, t]
    return book


def _places(
    table: pd.DataFrame, roles: int
) -> tuple[Int[np.ndarray, " rows"], Int[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
    """(group, week since the group's first, echelon) of every row.

    Raises:
        InputError: an echelon of a group has two rows in a week, or the rounds span too many weeks.
    """
    group = table["group"].astype(str).factorize()[0] if len(table) else np.zeros(0, int)
    week = (table["round"] - table.groupby("group", observed=True)["round"].transform("min")).to_numpy(np.int64)
    role = table["role_index"].to_numpy(np.int64)
    if len(table) and (group.max() + 1) * (int(week.max()) + 1) * roles > MOST_CELLS:
        raise InputError(
            f"Rounds run over {int(week.max()) + 1:,} weeks in a table of {len(table):,} rows: correct its rounds."
        )
    doubles = table.assign(group_index=group)[["group_index", "round", "role_index"]].duplicated().to_numpy()
    if doubles.any():
        row = int(np.flatnonzero(doubles)[0])
        raise InputError(
            f"{int(doubles.sum())} rows repeat an echelon that already has a decision in that round (the first: row "
            f"{row}, group {table['group'].iloc[row]}): an echelon is one person; give every chain a group of its own."
        )
    return group, week, role


def _spread(
    column: Float[np.ndarray, " rows"], places: tuple[Shaped[np.ndarray, " rows"], ...], shape: tuple[int, int, int]
) -> Weekly:
    out = np.full(shape, np.nan)
    out[places] = column
    return out


def _later(x: Weekly, weeks: int, before: float) -> Weekly:
    """x shifted by some weeks; `before` in the weeks before."""
    head = np.full_like(x[:, :weeks], before)
    return np.concatenate([head, x[:, : x.shape[1] - weeks]], axis=1) if weeks < x.shape[1] else head


def _nearest(candidates: list[Now], target: Now) -> Int[np.ndarray, "groups echelons"]:
    """Index of the candidate nearest to the target; the first known one if the target is not known."""
    stack = np.stack(candidates)
    distance = np.where(np.isnan(target), np.isnan(stack) * 1.0, np.abs(stack - target))
    distance = np.where(np.isnan(distance), np.inf, distance)
    # A later candidate must be better by more than rounding.
    best = np.argmin(distance, axis=0)
    return np.where(distance[0] <= np.take_along_axis(distance, best[None], 0)[0] + 1e-6, 0, best)
