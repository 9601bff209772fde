"""The cobweb: producers forecast a price, and their forecasts determine it."""

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import Actions, AnyArray, Costs, Number, Numbers, Scalar
from bayescal.environments.base import Params, Seen, rules
from bayescal.environments.market_rounds import (
    beyond,
    column,
    disagreements,
    earlier,
    find_rounds,
    shared,
    sums_by_round,
)
from bayescal.environments.replay import Replay, contradictions, previous_row
from bayescal.environments.staged import Mixture, Staged
from bayescal.environments.statistics import PlayRecord, Statistic, codes, correlation, sums, variance_within
from bayescal.errors import InputError
from bayescal.precision import FULL

# kappa, the steepness of supply, in the three treatments.
TREATMENTS = {"stable": 0.22, "unstable": 0.5, "strongly unstable": 2.0}
DEMAND, SLOPE, FIRMS = 13.8, 1.5, 6  # p = (DEMAND - supply of FIRMS firms) / SLOPE
MOST, LOSS = 1300.0, 260.0  # points for a perfect forecast; points lost per squared unit of error
FORECASTS = tuple(np.linspace(0, 10, 101).tolist())
NODES = 120  # prices at which an expected payoff is put together
SURPRISE = 6.0  # a price contradicts the forecasts if it is off by more than this many standard deviations of noise


class Market(NamedTuple):
    """The state: rounds played; prices and all forecasts of the last rounds, the latest first; the last noise."""

    round: Int[Array, ""]
    prices: Float[Array, " window"]
    forecasts: Float[Array, "players window"]
    noise: Float[Array, ""]


class Cobweb(Staged):
    """Six producers forecast the next price. Each forecast determines a supply, and the supplies determine the price:

        S(f) = tanh(kappa (f - 6)) + 1,    p = (13.8 - sum_h S(f_h)) / 1.5 + noise,    noise ~ N(0, 0.5²),

    and each earns max(1300 - 260 (p - f)², 0) points (Hommes, Sonnemans, Tuinstra & van de Velden 2007, Learning in
    cobweb experiments, Macroeconomic Dynamics). There kappa is 0.22 in the stable treatment, 0.5 in the unstable and 2
    in the strongly unstable one (`cobweb`). Each treatment has one rational price (`rational_price`). In the latter two
    the map from a naive forecast to the next price is steeper than -1 at that price (`naive_slope`).

    Forecasts are in [0, 10]. Without noise prices are between 1.2 and 9.2. With noise about one in twenty of the
    highest prices exceeds 10; prices are not clipped.

    With another number of players, each counts for 6 / players producers, so that the market is the same.

    A forecaster sees the last `window` prices and own forecasts ("prices", "forecasts": the latest first, 0 before the
    first round), and the round. "seen" is the last price.

    Example:
        >>> import bayescal as bc
        >>> market = bc.Cobweb(kappa=0.22)  # the stable treatment
        >>> round(market.rational_price(), 3), round(float(market.naive_slope()), 3)
        (5.574, -0.872)
    """

    kappa: float
    noise: float = eqx.field(static=True)
    window: int = eqx.field(static=True)

    def __init__(
        self,
        kappa: Number = TREATMENTS["stable"],
        players: int = FIRMS,
        rounds: int = 50,
        forecasts: Numbers = FORECASTS,
        *,
        noise: Number = 0.5,
        window: int = 3,
        name: str | None = None,
    ):
        grid = np.asarray(forecasts, float)
        if grid.ndim != 1 or len(grid) < 2 or np.any(np.diff(grid) <= 0):
            raise InputError(f"Cobweb: the forecasts must be two or more rising numbers; found {grid.tolist()[:5]}….")
        if min(players, rounds, window) < 1:
            raise InputError(
                f"Cobweb: {players} players, {rounds} rounds, a window of {window} were given; each must be at least 1."
            )
        if not (kappa > 0 and noise >= 0 and np.isfinite(kappa + noise)):
            raise InputError(
                f"Cobweb: kappa is {kappa:g} and the standard deviation of noise {noise:g}; give a positive number and "
                "one of zero or more."
            )
        self.kappa, self.noise, self.window = float(kappa), float(noise), int(window)
        vars(self).update(rules(name or "cobweb", {"forecaster": players}, [grid], ordered=True, horizon=rounds))

    def reset(self, key: PRNGKeyArray, params: Params) -> Market:
        dtype = jnp.result_type(float)
        past = jnp.zeros(self.window, dtype)
        return Market(
            jnp.zeros((), jnp.int32), past, jnp.zeros((self.players, self.window), dtype), jnp.zeros((), dtype)
        )

    def step(
        self, key: PRNGKeyArray, state: Market, joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[Market, Float[Array, " players"], Bool[Array, ""]]:
        forecasts = self._grid[joint_action]
        noise = self.noise * jax.random.normal(key, (), forecasts.dtype)
        price = self.price(jnp.mean(supply(forecasts, params["kappa"])), noise)
        after = Market(
            state.round + 1,
            _push(state.prices, price),
            jax.vmap(_push)(state.forecasts, forecasts),
            noise,
        )
        payoffs = jnp.maximum(MOST - LOSS * (price - forecasts) ** 2, 0.0)
        return after, payoffs, after.round >= self.horizon

    def price(self, mean_supply: Costs, noise: Costs = 0.0) -> Any:
        return (DEMAND - FIRMS * mean_supply) / SLOPE + noise

    def rational_price(self, kappa: Number | None = None) -> float:
        """The price that is right on average if everybody forecasts it."""
        kappa = float(self.kappa if kappa is None else kappa)
        low, high = self.price(2.0), self.price(0.0)  # supply is between 0 and 2
        for _ in range(100):  # bisection: the map from forecast to price is decreasing
            middle = (low + high) / 2
            low, high = (middle, high) if self.price(supply(middle, kappa, np)) > middle else (low, middle)
        return (low + high) / 2

    def naive_slope(self, kappa: Number | None = None) -> float:
        """Slope, at the rational price, of the map from the last price to the next if everybody forecasts the last."""
        kappa = self.kappa if kappa is None else kappa
        return -FIRMS / SLOPE * kappa / np.cosh(kappa * (self.rational_price(kappa) - 6)) ** 2

    def observe(self, state: Market, player: int) -> dict[str, Array]:
        return {
            "own": state.forecasts[player, 0],
            "seen": state.prices[0],
            "began": (state.round > 0).astype(state.prices.dtype),
            "prices": state.prices,
            "forecasts": state.forecasts[player],
            "round": state.round,
        }

    def see(self, observation: Seen, params: Params) -> Float[Array, " numbers"]:
        there = (jnp.arange(self.window) < observation["round"]).astype(jnp.result_type(float))
        left = jnp.maximum(self.horizon - observation["round"], 1).astype(jnp.result_type(float))
        # The last prices determine the mean past forecasts and, roughly, the next price if forecasts are naive.
        level = lambda x: there * (x - 5.5) / 2
        naive = (self.price(supply(observation["prices"], params["kappa"])) - 5.5) / 2 * there
        ends = jnp.stack([left / self.horizon, 1 / left, observation["began"]])
        return jnp.concatenate([level(observation["prices"]), level(observation["forecasts"]), naive, ends])

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        return jnp.asarray(MOST)

    @property
    def part_range(self) -> tuple[float, float]:
        return float(self.price(2.0)), float(self.price(0.0))

    def part(self, before: Seen, own: Scalar, later: Seen, params: Params) -> Float[Array, ""]:
        """The price but for the own supply."""
        return later["seen"] + FIRMS / self.players * supply(own, params["kappa"]) / SLOPE

    def stage(self, role: int, seen: Seen, part: Mixture, params: Params) -> Actions:
        """By the trapezoidal rule: within 1.5 points of 1300, and half a point near the best forecast."""
        low, high = self.part_range
        prices = jnp.linspace(low - 3.0, high + 3.0, NODES, dtype=part.mean.dtype)
        density = jnp.exp(jax.vmap(lambda price: part.log_density(price, 0.0))(prices))
        own = FIRMS / self.players * supply(self._grid, params["kappa"]) / SLOPE
        pays = jnp.maximum(MOST - LOSS * (prices - (own + self._grid)[:, None]) ** 2, 0.0)
        return jnp.matmul(pays, density / jnp.sum(density), precision=FULL)

    @property
    def columns(self) -> Mapping[str, str]:
        return {
            "price": "price of the round, after the forecasts (optional where noise and all forecasts are there)",
            "noise": "the price less what the forecasts imply (optional)",
        }

    def record(
        self, before: Market, joint_action: Int[AnyArray, " players"], after: Market, params: Params
    ) -> dict[str, Float[Array, " players"]]:
        return {
            "price": jnp.broadcast_to(after.prices[0], (self.players,)),
            "noise": jnp.broadcast_to(after.noise, (self.players,)),
        }

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """The window of past prices and own forecasts before each forecast.

        A recorded price contradicts the forecasts if it differs from the price that they and the recorded noise imply
        by more than the tolerance; if noise is not recorded, by more than six standard deviations of noise.
        """
        rounds, forecast = find_rounds(table), table["value"].to_numpy(float)
        recorded, noise = column(table, "price"), column(table, "noise")
        faults = beyond(rounds, table, self.horizon)
        faults += disagreements("price", recorded, rounds, tolerance)
        faults += disagreements("noise", noise, rounds, tolerance)
        posted, shock = shared(rounds, recorded), shared(rounds, noise)
        supplied = sums_by_round(rounds, supply(forecast, self.kappa, np))
        implied = np.where(rounds.members == self.players, self.price(supplied / self.players), np.nan)
        known_shock = ~np.isnan(shock)
        allowed = np.where(known_shock, tolerance, max(SURPRISE * self.noise, tolerance))
        expected = implied + np.where(known_shock, shock, 0.0)
        with np.errstate(invalid="ignore"):
            contradicted = np.abs(posted - expected) > allowed
        in_round = lambda x: np.where(np.isnan(recorded), np.nan, x[rounds.of_row])
        faults += contradictions("price", in_round(np.where(contradicted, posted, np.nan)), in_round(expected), 0.0)
        price = np.where(np.isnan(posted), np.where(known_shock, expected, np.nan), posted)
        before = previous_row(table)
        prices, forecasts = [], []
        for _ in range(self.window):
            price = earlier(price, rounds)
            forecast = np.where(before >= 0, forecast[before], np.nan)
            prices.append(price[rounds.of_row])
            forecasts.append(forecast)
        past, own = np.stack(prices, axis=1), np.stack(forecasts, axis=1)
        there = np.arange(self.window) < rounds.played[:, None]
        known = np.all(~there | ~(np.isnan(past) | np.isnan(own)), axis=1)
        past, own = (np.where(there & ~np.isnan(x), x, 0.0) for x in (past, own))
        observations = {
            "own": own[:, 0],
            "seen": past[:, 0],
            "began": (rounds.played > 0).astype(float),
            "prices": past,
            "forecasts": own,
            "round": rounds.played,
        }
        return Replay(observations, known, faults)

    def statistics(self, record: PlayRecord) -> Iterator[Statistic]:
        """The usual statistics of quantities, and those of the price, given the noise in the data."""
        yield from super().statistics(record)
        if "price" not in record.table:
            return
        recorded = record.table["price"].to_numpy(float)
        markets = [e for e in record.environments if isinstance(e, Cobweb)]
        kappa, players = (np.array([getattr(e, n) for e in markets])[record.game] for n in ("kappa", "players"))
        market = codes(np.stack([record.game, record.groups, record.rounds], axis=1))
        of = np.unique(market, return_index=True)[1]  # the first row of each market and round
        complete = (np.bincount(market)[market[of]] == players[of]) & np.isfinite(recorded[of])
        if complete.sum() < 3:
            return
        mean_supply = lambda v: sums(market, supply(v, kappa, np)) / np.bincount(market)
        forecasts = record.value(record.table["action_index"].to_numpy()[None])
        noise = (recorded[of] - self.price(mean_supply(forecasts))[0])[None]
        price = lambda x: (self.price(mean_supply(record.value(x))) + noise)[:, complete]
        series = codes(np.stack([record.game, record.groups], axis=1))[of][complete]
        before, later = record.seen["seen"][of][complete], record.later[of][complete]
        yield Statistic(
            "price variance", "variance of the price within markets, given the noise in the data",
            lambda x: variance_within(series, price(x)),
        )  # fmt: skip
        yield Statistic(
            "price autocorrelation", "correlation of the price with the last one (as recorded)",
            lambda x: correlation(price(x)[:, later], before[later]),
        )  # fmt: skip

    @property
    def template_words(self) -> tuple[str, ...]:
        return (
            "Hommes, Sonnemans, Tuinstra & van de Velden (2007): a spreadsheet a market, with one line a period, six "
            "columns of forecasts and the realised price: `--wide participant` makes a template of that. Put the "
            "markets of a treatment below each other, with the market's number in the column group.",
            "action: the forecast of this period's price, made before the price; the grid has steps of 0.1, and "
            "snap = true rounds forecasts of two decimals. price: the realised price. noise is not recorded in "
            "experiments: leave its line out.",
        )

    @property
    def _grid(self) -> Float[Array, " actions"]:
        return jnp.asarray(self.action_values[0], jnp.result_type(float))


def cobweb(treatment: str = "stable", **kwargs: Any) -> Cobweb:
    """The market of a treatment: "stable", "unstable" or "strongly unstable"; other arguments as in `Cobweb`."""
    if treatment not in TREATMENTS:
        raise InputError(f"There is no cobweb treatment {treatment!r}: choose one of {', '.join(TREATMENTS)}.")
    return Cobweb(TREATMENTS[treatment], name=f"cobweb-{treatment.replace(' ', '-')}", **kwargs)


def supply(forecast: Costs, kappa: Costs, xp: ModuleType = jnp) -> Any:
    return xp.tanh(kappa * (forecast - 6)) + 1


def _push(past: Float[Array, " window"], latest: Float[Array, ""]) -> Float[Array, " window"]:
    return jnp.concatenate([jnp.reshape(latest, (1,)), past[:-1]])
