"""Capacity allocation: retailers order from one supplier whose capacity is limited."""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import AnyArray, Costs, Number, Numbers
from bayescal.environments.base import Environment, Params, rules
from bayescal.environments.demand import Chances, Distribution, distribution, draw
from bayescal.environments.replay import Fault, Replay, contradictions, first_round, previous_row, round_table
from bayescal.errors import InputError


class AllocationState(NamedTuple):
    """The state: rounds played, and the last orders, allocations and demands by retailer."""

    round: Int[Array, ""]
    orders: Float[Array, " players"]
    received: Float[Array, " players"]
    demand: Float[Array, " players"]


class CapacityAllocation(Environment):
    """One supplier with capacity K and n retailers; orders above the capacity are filled in proportion.

    With orders q_i and their total Q, retailer i receives a_i = q_i min(1, K / Q), sells min(a_i, D_i), and earns

        price · min(a_i, D_i) - cost · a_i.

    Unsold units are worth nothing. If capacity is short it pays to order more than one needs, and Nash equilibrium
    orders far exceed needs (Lee, Padmanabhan & Whang 1997; Cachon & Lariviere 1999, Management Science 45:1091-1108);
    people order less than that (Chen, Su & Zhao 2012, Management Science 58:1952-1962, two retailers). The demand D_i
    may be known (one value) or drawn independently for every retailer and round. Rounds are linked only by what
    retailers see: the own order and allocation of the last round, and the total of all orders.

    Args:
        retailers: number of retailers, at least two.
        orders: the grid of orders, zero or more, increasing.
        capacity, price, cost: K, and money per unit; all in `params`.
        demand: {value: probability}.
        rounds: number of rounds. A decision does not change later payoffs, so nothing is discounted.

    Example:
        >>> import bayescal as bc
        >>> game = bc.CapacityAllocation(2, capacity=30)
        >>> game.players, game.horizon
        (2, 30)
    """

    capacity: float
    price: float
    cost: float
    demand: Distribution = eqx.field(static=True)

    def __init__(
        self,
        retailers: int = 2,
        orders: Numbers = range(41),
        *,
        capacity: Number = 30.0,
        price: Number = 10.0,
        cost: Number = 5.0,
        demand: Chances | None = None,
        rounds: int = 30,
        name: str | None = None,
    ):
        grid = np.asarray(list(orders), float)
        problems = []
        if retailers < 2:
            problems.append(f"{retailers} retailers were given; capacity is shared by at least two")
        if (
            grid.ndim != 1
            or len(grid) < 2
            or not np.all(np.isfinite(grid))
            or grid[0] < 0
            or np.any(np.diff(grid) <= 0)
        ):
            problems.append(f"orders are {grid[:4].tolist()}…; give at least two, zero or more, each above the last")
        for what, number in (("capacity", capacity), ("price", price), ("cost", cost)):
            if not (np.isfinite(number) and number > 0):
                problems.append(f"{what} is {number:g}, where a number above zero is needed")
        if rounds < 1:
            problems.append(f"{rounds} rounds were given, where at least one is needed")
        if problems:
            raise InputError(f"CapacityAllocation: {'; '.join(problems)}.")
        self.capacity, self.price, self.cost = float(capacity), float(price), float(cost)
        self.demand = distribution({20.0: 1.0} if demand is None else demand, "CapacityAllocation")
        fields = rules(
            name or f"capacity-allocation-{retailers}", {"retailer": retailers}, [grid], ordered=True, horizon=rounds
        )
        vars(self).update(fields)

    def reset(self, key: PRNGKeyArray, params: Params) -> AllocationState:
        nothing = jnp.zeros(self.players, jnp.result_type(float))
        return AllocationState(jnp.zeros((), jnp.int32), nothing, nothing, nothing)

    def step(
        self, key: PRNGKeyArray, state: AllocationState, joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[AllocationState, Float[Array, " players"], Bool[Array, ""]]:
        orders = jnp.asarray(self.action_values[0], jnp.result_type(float))[joint_action]
        received = allocate(orders, params["capacity"])
        demand = draw(key, self.demand, (self.players,))
        payoffs = params["price"] * jnp.minimum(received, demand) - params["cost"] * received
        after = AllocationState(state.round + 1, orders, received, demand)
        return after, payoffs, after.round >= self.horizon

    def observe(self, state: AllocationState, player: int) -> dict[str, Array]:
        """Of the last round: own order, mean order ("seen") and units received. "round" is the number of rounds
        played."""
        total = jnp.sum(state.orders)
        return {
            "own": state.orders[player],
            "seen": total / self.players,
            "began": (state.round > 0).astype(total.dtype),
            "received": state.received[player],
            "round": state.round.astype(total.dtype),
        }

    def see(self, observation: dict[str, Array], params: Params) -> Float[Array, " numbers"]:
        most = self.action_values[0][-1]
        flows = [observation[n] / most for n in ("own", "seen", "received")]
        return jnp.stack([*flows, observation["began"], observation["round"] / self.horizon])

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        """The revenue from selling mean demand."""
        values, weights = map(np.asarray, self.demand)
        return jnp.asarray(params["price"] * float(values @ weights))

    @property
    def columns(self) -> Mapping[str, str]:
        return {
            "demand": "the retailer's own customers' demand of the round (optional)",
            "received": "units that the supplier allocated (optional, rebuilt from everybody's orders)",
            "total": "all retailers' orders together (optional, rebuilt from them)",
        }

    def record(
        self, before: AllocationState, joint_action: Int[AnyArray, " players"], after: AllocationState, params: Params
    ) -> dict[str, Float[Array, " players"]]:
        total = jnp.full_like(after.orders, jnp.sum(after.orders))
        return {"demand": after.demand, "received": after.received, "total": total}

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """Totals and allocations are computed from the orders if all retailers of a group are in the table; else the
        recorded ones are used."""
        value, total, received = (table[n].to_numpy(float) for n in ("value", "total", "received"))
        rounds, of = round_table(table)
        count, every = np.bincount(of, minlength=len(rounds)), np.bincount(of, value, minlength=len(rounds))
        crowded = count[of] > self.players
        if crowded.any():
            first = table.iloc[int(np.flatnonzero(crowded)[0])]
            raise InputError(
                f"{int(np.sum(count > self.players))} rounds have more decisions than the {self.players} retailers "
                f"(the first: group {first['group']}, round {first['round']}): give every market a group of its own."
            )
        summed = np.where(count[of] == self.players, every[of], np.nan)
        total_then = np.where(np.isnan(summed), total, summed)
        share = np.minimum(1.0, self.capacity / np.maximum(total_then, 1e-300))
        allocated = np.where(np.isnan(total_then), received, value * share)
        faults: list[Fault] = contradictions("total", total, total_then, tolerance)
        faults += contradictions("received", received, allocated, tolerance)
        before, begin = previous_row(table), first_round(table)
        then = lambda x: np.where(begin, 0.0, np.where(before >= 0, x[before], np.nan)) if len(table) else x
        start = table.groupby("group", observed=True)["round"].transform("min").to_numpy()
        observations = {
            "own": then(value),
            "seen": then(total_then / self.players),
            "began": np.where(begin, 0.0, 1.0),
            "received": then(allocated),
            "round": (table["round"].to_numpy() - start).astype(float),
        }
        known = np.all([np.isfinite(x) for x in observations.values()], axis=0)
        return Replay({n: np.nan_to_num(x) for n, x in observations.items()}, known, sorted(faults))


def allocate(orders: Float[Array, " players"], capacity: Costs) -> Float[Array, " players"]:
    """Proportional allocation: if capacity is short, everybody receives the same share of the own order."""
    total = jnp.sum(orders)
    return orders * jnp.minimum(1.0, capacity / jnp.maximum(total, 1e-30))
