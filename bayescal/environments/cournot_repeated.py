"""Cournot competition round after round: firms see what the market brought before they choose again."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import AnyArray, Number, Numbers
from bayescal.environments.base import Params, rules
from bayescal.environments.cournot import Cournot
from bayescal.environments.market_rounds import beyond, column, earlier, find_rounds, shared, sums_by_round
from bayescal.environments.repeated import Repeated
from bayescal.environments.replay import Replay, contradictions, previous_row
from bayescal.errors import InputError


class Outcome(NamedTuple):
    """Rounds played, and what the last one brought."""

    round: Int[Array, ""]
    quantities: Float[Array, " firms"]
    price: Float[Array, ""]
    profits: Float[Array, " firms"]


class RepeatedCournot(Repeated):
    """The market of `Cournot`, P = max(a - b Q, 0) at a unit cost c, for a known number of rounds with the same rivals.

    After each round a firm sees its quantity ("own"), the others' mean quantity ("seen"), the price and its profit.
    Huck, Normann & Oechssler (1999, Economic Journal; 2004, Journal of Economic Behavior & Organization) use a = 100,
    b = 1, c = 1 and, in the latter, 25 rounds. In equilibrium without costs of information each round is that of
    `Cournot`: 33 each for two firms, 24.75 for three.

    Args:
        firms: how many, at least two.
        quantities: an equally spaced grid starting anywhere at or above zero.
        rounds: how often the same firms meet.
        intercept, slope, cost: a, b and c, all in `params`.

    Example:
        >>> import bayescal as bc
        >>> market = bc.RepeatedCournot(2, quantities=range(0, 61, 2), rounds=25)
        >>> market.horizon, market.over_time
        (25, True)
    """

    intercept: float
    slope: float
    cost: float

    def __init__(
        self,
        firms: int = 2,
        quantities: Numbers = tuple(range(101)),
        rounds: int = 25,
        *,
        intercept: Number = 100.0,
        slope: Number = 1.0,
        cost: Number = 1.0,
        name: str | None = None,
    ):
        market = Cournot(firms, quantities, intercept=intercept, slope=slope, cost=cost)
        if rounds < 1:
            raise InputError(f"RepeatedCournot: {rounds} rounds were given; give at least one.")
        self.intercept, self.slope, self.cost = market.intercept, market.slope, market.cost
        vars(self).update(
            rules(name or "cournot-repeated", {"firm": firms}, [market.quantities], ordered=True, horizon=rounds)
        )

    @property
    def market(self) -> Cournot:
        """One round of it, as a game of its own."""
        return Cournot(self.players, self.action_values[0], intercept=self.intercept, slope=self.slope, cost=self.cost)

    @property
    def stage(self) -> Cournot:
        return self.market

    def seen_after(
        self,
        own: Float[AnyArray, "..."],
        seen: Float[AnyArray, "..."],
        played: Int[AnyArray, "..."] | int,
        params: Params,
    ) -> dict[str, AnyArray]:
        shown = super().seen_after(own, seen, played, params)
        total = shown["own"] + (self.players - 1) * shown["seen"]
        price = jnp.maximum(params["intercept"] - params["slope"] * total, 0.0)
        profit = (price - params["cost"]) * shown["own"]
        return {**shown, "price": shown["began"] * price, "profit": shown["began"] * profit}

    def reset(self, key: PRNGKeyArray, params: Params) -> Outcome:
        dtype = jnp.result_type(float)
        none = jnp.zeros(self.players, dtype)
        return Outcome(jnp.zeros((), jnp.int32), none, jnp.zeros((), dtype), none)

    def step(
        self, key: PRNGKeyArray, state: Outcome, joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[Outcome, Float[Array, " players"], Bool[Array, ""]]:
        q = jnp.asarray(self.action_values[0], state.quantities.dtype)[joint_action]
        price = jnp.maximum(params["intercept"] - params["slope"] * jnp.sum(q), 0.0).astype(q.dtype)
        profits = ((price - params["cost"]) * q).astype(q.dtype)
        after = Outcome(state.round + 1, q, price, profits)
        return after, profits, after.round >= self.horizon

    def observe(self, state: Outcome, player: int) -> dict[str, Array]:
        own = state.quantities[player]
        return {
            "own": own,
            "seen": (jnp.sum(state.quantities) - own) / (self.players - 1),
            "began": (state.round > 0).astype(own.dtype),
            "price": state.price,
            "profit": state.profits[player],
            "round": state.round,
        }

    def rescale(self, params: Params) -> tuple[Params, Any]:
        """The unit is the slope b: payoffs are b (max(a/b - Q, 0) - c/b) q.

        Were prices not bounded by zero, a/b and c/b too would be one number, (a - c)/b.
        """
        unit = params["slope"]
        return {name: x / unit for name, x in params.items()}, unit

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        return self.market.payoff_scale(params)

    @property
    def payoff_parameters(self) -> tuple[str, ...]:
        return self.market.payoff_parameters

    @property
    def columns(self) -> Mapping[str, str]:
        return {
            "price": "market price of the round (optional, checked; without it all firms' quantities are needed)",
            "profit": "the firm's profit in the round (optional, checked)",
        }

    @property
    def template_words(self) -> tuple[str, ...]:
        return (
            "Huck, Normann & Oechssler (2004): a market of the same firms for 25 periods. participant: the subject, "
            "with a label of its own in all sessions; group: the market; round: the period; action: the quantity.",
            "This game's grid has whole quantities from 0 to 100 (firms = 3 under [games] makes it a triopoly); theirs "
            "may have decimals: snap = true. The learned policy `cournot-repeated` is for two firms.",
        )

    def record(
        self, before: Outcome, joint_action: Int[AnyArray, " players"], after: Outcome, params: Params
    ) -> dict[str, Float[Array, " players"]]:
        return {"price": jnp.broadcast_to(after.price, (self.players,)), "profit": after.profits}

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """The market outcome of the round before each decision. Where a rival's row is missing, the others' total
        follows from the recorded price, unless that is zero."""
        rounds, q = find_rounds(table), table["value"].to_numpy(float)
        recorded, profit = column(table, "price"), column(table, "profit")
        whole = rounds.members == self.players
        posted = shared(rounds, recorded)
        inferred = np.where(posted > 0, (self.intercept - posted) / self.slope, np.nan)
        total = np.where(whole, sums_by_round(rounds, q), inferred)
        price = np.where(whole, np.maximum(self.intercept - self.slope * total, 0.0), posted)
        earned = (price[rounds.of_row] - self.cost) * q
        faults = beyond(rounds, table, self.horizon)
        faults += contradictions("price", recorded, price[rounds.of_row], tolerance)
        faults += contradictions("profit", profit, earned, tolerance)
        before = previous_row(table)
        last = lambda x: np.where(before >= 0, x[before], np.nan)
        own = last(q)
        others = (earlier(total, rounds)[rounds.of_row] - own) / (self.players - 1)
        start = rounds.played == 0
        clean = lambda x: np.where(~start & ~np.isnan(x), x, 0.0)
        observations = {
            "own": clean(own),
            "seen": clean(others),
            "began": (~start).astype(float),
            "price": clean(earlier(price, rounds)[rounds.of_row]),
            "profit": clean(last(earned)),
            "round": rounds.played,
        }
        return Replay(observations, start | ~np.isnan(others), faults)
