"""The newsvendor: how much to order before demand is known, in one round or in many."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import AnyArray, Costs, Number, Numbers
from bayescal.environments.base import Environment, Params, Seen, rules
from bayescal.environments.own_solution import Habit, SolvesItself
from bayescal.environments.replay import Fault, Replay, contradictions, first_round, previous_row
from bayescal.environments.watched import looked_at
from bayescal.errors import InputError

USUAL_NODES = 21  # values of the mean past order at which the exact solution is computed; linear in between


class Stand(NamedTuple):
    """The state: rounds played, the last order and demand, the sum of all orders."""

    round: Int[Array, ""]
    own: Float[Array, ""]
    seen: Float[Array, ""]
    total: Float[Array, ""]


class Newsvendor(SolvesItself):
    """One player orders q, then demand D is drawn: profit = price·min(q, D) + salvage·max(q - D, 0) - cost·q.

    The rational order is the critical fractile, the smallest q with P(D <= q) >= (price - cost) / (price - salvage)
    (Arrow, Harris & Marschak 1951, Econometrica). People order too close to mean demand and chase the last demand
    (Schweitzer & Cachon 2000, Management Science; Bolton & Katok 2008, Manufacturing & Service Operations
    Management). With the defaults, demand U{1..100}, a price of 12 and a cost of 3, the rational order is 75.

    **What links the rounds.** Demand is independent and nothing is stored, so only habits link the rounds: a habit may
    depend on the last order, the last demand or the mean past order ("own", "seen", "usual"). Today's order is
    tomorrow's anchor. With `discount=1`, the default, the player foresees this, as trajectory-KL assumes: an order
    closer to the best one also lowers tomorrow's cost of information. With `discount=0` the player is myopic: Q is the
    expected profit of the round. If the habit does not depend on the past, both are the same.

    Args:
        price, cost, salvage: money per unit, all in `params`.
        demand: equally likely values, or (values, probabilities); 1 to 100 when None.
        orders: the grid of orders.
        rounds: the number of rounds; 1 is the textbook newsvendor.
        discount: the discount factor from one round to the next.

    Example:
        >>> import bayescal as bc
        >>> shop = bc.Newsvendor(price=12, cost=3)
        >>> profits = shop.expected_profits(shop.params)
        >>> int(profits.argmax()), float(profits.max())  # the best order and its expected profit
        (75, 342.0)
    """

    demand: tuple[float, ...] = eqx.field(static=True)
    chances: tuple[float, ...] = eqx.field(static=True)
    price: float
    cost: float
    salvage: float

    def __init__(
        self,
        price: Number = 12.0,
        cost: Number = 3.0,
        salvage: Number = 0.0,
        *,
        demand: Numbers | tuple[Numbers, Numbers] | None = None,
        orders: Numbers = tuple(range(101)),
        rounds: int = 30,
        discount: Number = 1.0,
        name: str | None = None,
    ):
        if not salvage < cost < price:
            raise InputError(
                f"Newsvendor: price {price:g}, cost {cost:g} and salvage {salvage:g} were given; the order "
                "matters only if salvage < cost < price."
            )
        grid = np.asarray(orders, float)
        if grid.ndim != 1 or len(grid) < 2 or np.any(np.diff(grid) <= 0):
            raise InputError(f"Newsvendor: the orders must be two or more rising numbers; found {grid.tolist()[:5]}….")
        if rounds < 1 or not 0 <= discount <= 1:
            raise InputError(
                f"Newsvendor: {rounds} rounds and a discount of {discount:g} were given; give at least one round and a "
                "discount from 0 (myopic) to 1."
            )
        self.price, self.cost, self.salvage = float(price), float(cost), float(salvage)
        self.demand, self.chances = _distribution(range(1, 101) if demand is None else demand)
        vars(self).update(
            rules(name or "newsvendor", {"newsvendor": 1}, [grid], ordered=True, horizon=rounds, discount=discount)
        )

    def reset(self, key: PRNGKeyArray, params: Params) -> Stand:
        zero = jnp.zeros((), jnp.result_type(float))
        return Stand(jnp.zeros((), jnp.int32), zero, zero, zero)

    def step(
        self, key: PRNGKeyArray, state: Stand, joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[Stand, Float[Array, " players"], Bool[Array, ""]]:
        q = self._grid[joint_action[0]]
        demand = jax.random.choice(key, self._demand, p=jnp.asarray(self.chances, q.dtype))
        after = Stand(state.round + 1, q, demand, state.total + q)
        return after, _profit(q, demand, params)[None], after.round >= self.horizon

    def observe(self, state: Stand, player: int) -> dict[str, Array]:
        return {
            "own": state.own,
            "seen": state.seen,
            "usual": state.total / jnp.maximum(state.round, 1),
            "began": (state.round > 0).astype(state.own.dtype),
            "round": state.round,
        }

    def see(self, observation: Seen, params: Params) -> Float[Array, " numbers"]:
        # The last order and demand change the habit, not the value of an order; the mean past order changes both.
        left = jnp.maximum(self.horizon - observation["round"], 1).astype(jnp.result_type(float))
        low, high = self.action_values[0][0], self.action_values[0][-1]
        usual = observation["began"] * (2 * (observation["usual"] - low) / (high - low) - 1)
        return jnp.stack([left / self.horizon, 1 / left, usual])

    def expected_profits(self, params: Params) -> Float[Array, " actions"]:
        """Expected profit of each order, over demand."""
        each = _profit(self._grid[:, None], self._demand[None, :], params)
        return each @ jnp.asarray(self.chances, each.dtype)

    def values_everywhere(self, params: Params) -> Float[Array, " actions"] | None:
        """Q of every order if it depends neither on the observation nor on the cost of information; else None."""
        return self.expected_profits(params) if self.horizon == 1 or self.discount == 0 else None

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        profits = self.expected_profits(params)
        return jnp.max(profits) - jnp.min(profits)

    @property
    def columns(self) -> Mapping[str, str]:
        return {"demand": "demand of the round, after the order", "profit": "profit of the round (optional, checked)"}

    @property
    def template_words(self) -> tuple[str, ...]:
        return (
            "Schweitzer & Cachon (2000), Bolton & Katok (2008): participant: the subject; round: the period; action: "
            "the order; demand: what was then asked for. Price, cost and demand of your treatment are options under "
            "[games]: price = 12, cost = 9, salvage = 0.",
        )

    def record(
        self, before: Stand, joint_action: Int[AnyArray, " players"], after: Stand, params: Params
    ) -> dict[str, Float[Array, " players"]]:
        return {"demand": after.seen[None], "profit": _profit(after.own, after.seen, params)[None]}

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """Orders and demand of earlier rounds, as seen before each order.

        The mean past order needs all earlier orders, so rounds after a missing one are not known.
        """
        demand, order = table["demand"].to_numpy(float), table["value"].to_numpy(float)
        before, start = previous_row(table), first_round(table)
        played = (table["round"] - table.groupby("group", observed=True)["round"].transform("min")).to_numpy(int)
        total, count = _earlier(table)
        last = lambda x: np.where(before >= 0, x[before], np.nan)
        seen, own = last(demand), last(order)
        known = start | ((count == played) & ~np.isnan(seen))
        usual = total / np.maximum(count, 1)
        clean = lambda x: np.where(~start & ~np.isnan(x), x, 0.0)
        observations = {
            "own": clean(own),
            "seen": clean(seen),
            "usual": clean(usual),
            "began": (~start).astype(float),
            "round": played,
        }
        support = np.asarray(self.demand)
        nearest = support[np.argmin(np.abs(np.nan_to_num(demand)[:, None] - support[None, :]), axis=1)]
        late = [
            Fault(int(i), "round", float(table["round"].iloc[i]), float(self.horizon)) for i in _beyond(self, played)
        ]
        faults = late + contradictions("demand", demand, nearest, tolerance)
        if "profit" in table:
            profit = _profit(order, demand, self.params, np)
            faults += contradictions("profit", table["profit"].to_numpy(float), profit, tolerance)
        return Replay(observations, known, faults)

    def exact_values(
        self, observation: Seen, cost: Costs, psi: Mapping[str, Any], params: Params, prior: Habit
    ) -> Float[Array, " actions"]:
        """Q of every order in this round, in money (see `exact_table`)."""
        table = self.exact_table(cost, psi, params, prior)[jnp.clip(observation["round"], 0, self.horizon - 1)]
        return _hats(observation["usual"], self._usual(table.shape[0])) @ table

    def exact_table(
        self, cost: Costs, psi: Mapping[str, Any], params: Params, prior: Habit
    ) -> Float[Array, "rounds usual actions"]:
        """Q of every order in every round, by the mean past order (one entry if the habit does not depend on it).

        Backward induction over everything that the habit depends on:

            Q_t(a; u) = R(a) + discount · E_D V_{t+1}(a, D; u'),   u' = (t u + a) / (t + 1),
            V_t(own, seen; u) = cost · log sum_a q(a | own, seen, u) exp(Q_t(a; u) / cost).

        It is exact up to rounding, except for `Usual`: the mean past order is interpolated linearly between 21 values.
        Log habits are cut off some hundred nats (in single precision about 80) below their maximum.
        """
        grid = self._grid
        profits = self.expected_profits(params)
        if self.values_everywhere(params) is not None:  # the habit does not change Q
            return jnp.broadcast_to(profits, (self.horizon, 1, len(grid)))
        # The soft value is undefined at costs of zero and infinity; these bounds give the same result up to rounding.
        scale = self.payoff_scale(params)
        cost = jnp.clip(jnp.asarray(cost, grid.dtype), 1e-6 * scale, 1e6 * scale)
        tiny = jnp.finfo(grid.dtype).tiny
        terms = prior.terms(psi, role=0, action_values=grid)
        blank = self.observe(self.reset(jax.random.key(0), params), 0)
        sees = [looked_at(term, blank) for term in terms]
        # Terms of the habit that do not depend on the mean past order are computed once, not at each of its nodes.
        usual = self._usual(USUAL_NODES if any("usual" in s for s in sees) else 1)
        split = lambda inside: [t for t, s in zip(terms, sees, strict=True) if ("usual" in s) == inside]
        days, levels = self._habits(split(False), self._usual(1)), self._habits(split(True), usual)
        chances = jnp.asarray(self.chances if any("seen" in s for s in sees) else [1.0], grid.dtype)

        def habitual(w):
            """The sum over orders of q(order | own, seen, usual) · w(order | usual), up to the scale of q."""
            if levels.shape[1:3] == (1, 1) and len(usual) > 1:
                return jnp.einsum("oda,ua->uod", days[0], levels[:, 0, 0] * w)
            return jnp.einsum("uoda,ua->uod", days * levels, w)

        whole = habitual(jnp.ones((len(usual), len(grid)), grid.dtype))

        def back(values, played):
            best = jnp.max(values, axis=1, keepdims=True)
            share = habitual(jnp.exp((values - best) / cost)) / jnp.maximum(whole, tiny)
            soft = best[:, :, None] + cost * jnp.log(jnp.maximum(share, tiny))
            ahead = jnp.broadcast_to(soft @ chances, (len(usual), len(grid)))  # next mean past and own order
            after = (played * usual[:, None] + grid[None, :]) / (played + 1)  # the next mean past order
            go_on = jnp.einsum("uav,va->ua", _hats(after, usual), ahead) if len(usual) > 1 else ahead
            now = profits + self.discount * go_on
            return now, now

        last = jnp.broadcast_to(profits, (len(usual), len(grid)))
        rounds = jnp.arange(self.horizon - 2, -1, -1).astype(grid.dtype)
        _, earlier = jax.lax.scan(back, last, rounds)
        return jnp.concatenate([earlier[::-1], last[None]])

    def _habits(
        self, terms: Sequence[Callable[[Seen], Float[Array, " actions"]]], usual: Float[Array, " usual"]
    ) -> Float[Array, "usual own seen actions"]:
        """The product of the terms, at most one, at every possible past; axes that no term depends on have length 1."""
        dtype = self._grid.dtype
        began, played = jnp.ones((), dtype), jnp.ones((), jnp.int32)
        nothing = {"own": began, "seen": began, "usual": began, "began": began, "round": played}
        sees = frozenset().union(*(looked_at(term, nothing) for term in terms))
        own = self._grid if "own" in sees else self._grid[:1]
        seen = self._demand if "seen" in sees else self._demand[:1]

        def row(usual, own, seen):
            observation = {"own": own, "seen": seen, "usual": usual, "began": began, "round": played}
            log_q = sum((term(observation) for term in terms), jnp.zeros_like(self._grid))
            return jnp.exp(log_q - jnp.max(log_q))

        every = jax.vmap(jax.vmap(jax.vmap(row, (None, None, 0)), (None, 0, None)), (0, None, None))
        return every(usual, own, seen)

    @property
    def _grid(self) -> Float[Array, " actions"]:
        return jnp.asarray(self.action_values[0], jnp.result_type(float))

    @property
    def _demand(self) -> Float[Array, " demands"]:
        return jnp.asarray(self.demand, jnp.result_type(float))

    def _usual(self, nodes: int) -> Float[Array, " nodes"]:
        return jnp.linspace(self._grid[0], self._grid[-1], nodes)


def _profit(q: Costs, demand: Costs, params: Params, xp: ModuleType = jnp) -> Any:
    return (
        params["price"] * xp.minimum(q, demand) + params["salvage"] * xp.maximum(q - demand, 0.0) - params["cost"] * q
    )


def _distribution(demand: Numbers | tuple[Numbers, Numbers]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(values, probabilities) of demand."""
    pair = isinstance(demand, tuple | list) and len(demand) == 2 and np.asarray(demand[0]).ndim == 1
    values = np.asarray(demand[0] if pair else demand, float)
    chances = np.asarray(demand[1], float) if pair else np.full(values.shape, 1 / max(values.size, 1))
    if values.ndim != 1 or not len(values) or np.any(np.diff(values) <= 0) or not np.all(np.isfinite(values)):
        raise InputError(f"Newsvendor: demand must be rising numbers; found {np.ravel(values)[:5].tolist()}….")
    if chances.shape != values.shape or not np.all(chances >= 0) or abs(chances.sum() - 1) > 1e-6:
        raise InputError(
            f"Newsvendor: demand needs one probability for each of its {len(values)} values, with sum one; found "
            f"{chances.size} with sum {chances.sum():g}."
        )
    return tuple(values.tolist()), tuple((chances / chances.sum()).tolist())


def _hats(x: Costs, nodes: Float[Array, " nodes"]) -> Float[Array, "... nodes"]:
    """Weights of the nodes for linear interpolation at x."""
    if len(nodes) == 1:
        return jnp.ones((*jnp.shape(x), 1), nodes.dtype)
    return jnp.maximum(1 - jnp.abs(jnp.asarray(x)[..., None] - nodes) / (nodes[1] - nodes[0]), 0.0)


def _earlier(table: pd.DataFrame) -> tuple[Float[np.ndarray, " rows"], Int[np.ndarray, " rows"]]:
    """(sum, number) of the participant's earlier recorded orders."""
    ordered = table.sort_values("round", kind="stable").groupby(["group", "participant"], observed=True, sort=False)
    order = table["value"].astype(float)
    total = (ordered["value"].cumsum() - order).reindex(table.index)
    return total.to_numpy(float), ordered.cumcount().reindex(table.index).to_numpy(int)


def _beyond(environment: Environment, played: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " late"]:
    return np.flatnonzero(played >= environment.horizon)
