"""Supply chains: each echelon orders from the next one up, with delays, and pays for stock and backlog."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.scipy.stats import norm
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from bayescal._types import Actions, AnyArray, Number, Numbers, Scalar
from bayescal.environments.base import Params, Seen, rules
from bayescal.environments.chain_books import Start, replay_chains
from bayescal.environments.demand import Chances, Distribution, distribution, draw, mean, uniform
from bayescal.environments.replay import Replay
from bayescal.environments.staged import Mixture, Staged
from bayescal.environments.statistics import PlayRecord, Statistic, codes, variance_within
from bayescal.errors import InputError
from bayescal.precision import FULL

DEMAND = uniform(range(9))  # U{0..8}: Croson & Donohue (2006)
STEP = (4.0,) * 4 + (8.0,)  # 4 a week, 8 from week five: Sterman (1989)


class ChainState(NamedTuple):
    """A chain just before this week's orders; arrays have one number per echelon, the retailer first.

    Attributes:
        week: number of weeks played.
        inventory: net inventory: units on hand, or minus the units owed.
        incoming, arriving: orders received and units received this week.
        supply_line: units ordered that have not arrived.
        own: the last order; 0 before the first.
        mail: orders on their way to the supplier, the next to be received first.
        transit: units on their way, by destination, the next to arrive first.
    """

    week: Int[Array, ""]
    inventory: Float[Array, " echelons"]
    incoming: Float[Array, " echelons"]
    arriving: Float[Array, " echelons"]
    supply_line: Float[Array, " echelons"]
    own: Float[Array, " echelons"]
    mail: tuple[Float[Array, " echelons"], ...]
    transit: tuple[Float[Array, " echelons"], ...]


class SupplyChain(Staged):
    """A serial chain of any number of echelons; each is a role: retailer, …, factory.

    In week t, at every echelon i at the same time (the retailer is 0; d_o and d_s are the two delays),

    1. units shipped d_s weeks ago arrive:           A_i(t) = S_{i+1}(t - d_s)
    2. orders placed d_o weeks ago are received:     R_i(t) = O_{i-1}(t - d_o), customers' demand for the retailer
    3. orders are filled from stock, backlog first; unfilled units are owed:
       N_i(t) = N_i(t-1) + A_i(t) - R_i(t),          S_i(t) = R_i(t) + N_i(t-1)^- - N_i(t)^-
    4. the week's cost is paid:                      holding · N_i(t)^+ + backlog · N_i(t)^-
    5. all of this is seen, and then everybody orders O_i(t).

    N is net inventory, x^+ = max(x, 0), x^- = max(-x, 0). The factory's orders are produced in full, after the same
    two delays. An order of week t therefore arrives in week t + d_o + d_s at the earliest, and first affects that
    week's cost. Units are neither created nor lost: the supply line, Σ O_i - Σ A_i, is always the sum of orders in the
    mail, units owed by the supplier, and units in transit.

    The defaults are those of the beer game (Sterman 1989, Management Science 35:321-339: delays, costs, twelve units on
    hand and four in every slot of the pipeline, which is three weeks' and one week's mean demand), with the stationary
    demand U{0..8} of Croson & Donohue (2006, Management Science 52:323-336).

    **The end.** Experiments do not announce when they end, so that nobody runs down stocks. By default the game
    therefore continues after every week with probability `discount`, 1 - 1/weeks, and `step` never returns "over":
    `weeks` is the expected length, and the number of rounds of a recorded game. With `announced`, players know the
    last week, nothing is discounted, and later costs do not count.

    Args:
        echelons: number of echelons, at least one.
        orders: the grid of orders, zero or more, increasing.
        demand: customers' demand: {value: probability} for independent draws, or the demand of each week (the last
            one is repeated for ever).
        holding, backlog: cost per week of a unit on hand, of a unit owed; both in `params`.
        weeks: length of a game.
        order_delay, shipping_delay: in weeks, at least one each.
        inventory: units on hand before the first week (three weeks' mean demand).
        flow: units in each slot of the pipelines before the first week (one week's mean demand).
        team: everybody pays the chain's cost divided by the number of echelons. By default everybody pays the own
            cost: a role's observations are about its own stock, and contain little about the effects of its orders
            on others weeks later.
        announced: whether players know the last week.
        discount: 1 - 1/weeks by default, 1 if the end is announced.

    Example:
        >>> import bayescal as bc
        >>> chain = bc.SupplyChain(2, orders=range(11), weeks=20)
        >>> chain.role_names, chain.inventory, round(chain.discount, 2)
        (('retailer', 'factory'), 12.0, 0.95)
    """

    holding: float
    backlog: float
    demand: Distribution = eqx.field(static=True)  # values, probabilities; of a path: the weekly values, ()
    inventory: float = eqx.field(static=True)
    flow: float = eqx.field(static=True)
    order_delay: int = eqx.field(static=True)
    shipping_delay: int = eqx.field(static=True)
    team: bool = eqx.field(static=True)
    announced: bool = eqx.field(static=True)

    def __init__(
        self,
        echelons: int = 4,
        orders: Numbers = range(21),
        *,
        demand: Chances | Numbers | None = None,
        holding: Number = 0.5,
        backlog: Number = 1.0,
        weeks: int = 36,
        order_delay: Number = 1,
        shipping_delay: Number = 2,
        inventory: Number | None = None,
        flow: Number | None = None,
        team: bool = False,
        announced: bool = False,
        discount: Number | None = None,
        name: str | None = None,
    ):
        grid = np.asarray(list(orders), float)
        _check(echelons, grid, holding, backlog, weeks, order_delay, shipping_delay, discount, announced)
        self.demand = _demand(demand)
        usual = mean(self.demand) if self.demand[1] else self.demand[0][0]
        self.holding, self.backlog = float(holding), float(backlog)
        self.inventory = 3 * usual if inventory is None else float(inventory)
        self.flow = usual if flow is None else float(flow)
        if not (np.isfinite(self.inventory) and np.isfinite(self.flow) and self.flow >= 0):
            raise InputError(
                f"SupplyChain: the chain starts with inventory {self.inventory:g} and flow {self.flow:g}; give finite "
                "numbers, and a flow of zero or more."
            )
        self.order_delay, self.shipping_delay = int(order_delay), int(shipping_delay)
        self.team, self.announced = bool(team), bool(announced)
        roles = dict.fromkeys(role_names(echelons), 1)
        goes_on = (1.0 if announced else 1 - 1 / weeks) if discount is None else discount
        fields = rules(name or f"supply-chain-{echelons}", roles, [grid], ordered=True, horizon=weeks, discount=goes_on)
        vars(self).update(fields)

    @property
    def usual(self) -> float:
        """Mean weekly demand; if the demand of each week is given, its mean over the weeks of a game."""
        values, weights = self.demand
        weekly = [values[min(t, len(values) - 1)] for t in range(self.horizon)]
        return max(mean(self.demand) if weights else float(np.mean(weekly)), 1e-6)

    def reset(self, key: PRNGKeyArray, params: Params) -> ChainState:
        each = lambda x: jnp.full(self.roles, x, jnp.result_type(float))
        week, flow = jnp.zeros((), jnp.int32), each(self.flow)
        before = each(self.inventory)
        on_its_way = each((self.order_delay + self.shipping_delay) * self.flow)
        mail, transit = (flow,) * self.order_delay, (flow,) * self.shipping_delay
        return self._week(key, week, before, on_its_way, each(0.0), mail, transit)

    def step(
        self, key: PRNGKeyArray, state: ChainState, joint_action: Int[AnyArray, " players"], params: Params
    ) -> tuple[ChainState, Float[Array, " players"], Bool[Array, ""]]:
        orders, week = self._orders(joint_action), state.week + 1
        costs = week_costs(state.inventory, params)
        payoffs = -jnp.full_like(costs, jnp.mean(costs)) if self.team else -costs
        supply_line = state.supply_line + orders
        mail = (*state.mail, orders)
        after = self._week(key, week, state.inventory, supply_line, orders, mail, state.transit)
        return after, payoffs, week >= self.horizon if self.announced else jnp.zeros_like(week, bool)

    def _week(
        self,
        key: PRNGKeyArray,
        week: Int[Array, ""],
        inventory: Float[Array, " echelons"],
        supply_line: Float[Array, " echelons"],
        own: Float[Array, " echelons"],
        mail: tuple[Float[Array, " echelons"], ...],
        transit: tuple[Float[Array, " echelons"], ...],
    ) -> ChainState:
        """Steps 1 to 3 of a week."""
        arriving, received = transit[0], mail[0]
        incoming = jnp.concatenate([self._demand_of(key, week)[None], received[:-1]])
        after = inventory + arriving - incoming
        filled = incoming + jnp.maximum(-inventory, 0.0) - jnp.maximum(-after, 0.0)
        sent = jnp.concatenate([filled[1:], received[-1:]])  # production is not limited
        return ChainState(
            week, after, incoming, arriving, supply_line - arriving, own, tuple(mail[1:]), (*transit[1:], sent)
        )

    def _orders(self, actions: Int[AnyArray, " players"]) -> Float[Array, " players"]:
        grid = np.asarray(self.action_values[0])
        if np.allclose(np.diff(grid), grid[1] - grid[0]):
            return grid[0] + (grid[1] - grid[0]) * actions.astype(jnp.result_type(float))  # faster than a look-up
        return jnp.asarray(grid, jnp.result_type(float))[actions]

    def _demand_of(self, key: PRNGKeyArray, week: Int[Array, ""]) -> Float[Array, ""]:
        values, weights = self.demand
        if weights:
            return draw(key, self.demand)
        now = jnp.full((), values[0], jnp.result_type(float))
        for t, jump in enumerate(np.diff(values), start=1):
            now = now + jnp.where(week >= t, jump, 0.0) if jump else now
        return now

    def observe(self, state: ChainState, player: int) -> dict[str, Array]:
        """Net inventory and supply line after this week's steps 1 to 3, the order just received ("seen"; known in the
        first week too), the own last order, and the number of weeks played ("round")."""
        return {
            "own": state.own[player],
            "seen": state.incoming[player],
            "began": (state.week > 0).astype(state.own.dtype),
            "inventory": state.inventory[player],
            "supply_line": state.supply_line[player],
            "round": state.week.astype(state.own.dtype),
        }

    def see(self, observation: dict[str, Array], params: Params) -> Float[Array, " numbers"]:
        """Stocks in units of the demand during the delays, large ones compressed; flows in units of weekly demand.

        The value function bends sharply where inventory position or stock are about a week's demand: soft steps there
        are given to the network, so that it need not learn them.
        """
        weekly = self.usual
        lead = weekly * (self.order_delay + self.shipping_delay)
        stock, line = observation["inventory"], observation["supply_line"]
        position = stock + line
        near = [jnp.arcsinh(x / lead) for x in (stock, line, position - lead)]
        flows = [jnp.arcsinh(observation[n] / weekly) for n in ("seen", "own")]
        far = [position / (8 * lead), observation["began"]]
        steps = [jnp.tanh((position - k * lead / 3) / weekly) for k in range(-1, 7)]
        steps += [jnp.tanh(stock / weekly - k) for k in (-1, 0, 1, 3)]
        left = (self.horizon - observation["round"]) / self.horizon
        end = [left, jnp.exp(-self.horizon * left / (self.order_delay + self.shipping_delay))]
        path = [left] if not self.demand[1] else []
        begin = jnp.exp(-observation["round"] / (self.order_delay + self.shipping_delay))  # all chains begin alike
        return jnp.stack([*near, *flows, *far, begin, *steps, *(end if self.announced else path)])

    @property
    def shown_after(self) -> int:
        """An order first affects the stock after both delays."""
        return self.order_delay + self.shipping_delay

    @property
    def paid_after(self) -> int:
        return self.shown_after

    @property
    def part_moves(self) -> bool:
        """Where the supplier has run out, what is ordered more arrives later."""
        return True

    def held(self, seen: Seen) -> Float[Array, " numbers"]:
        """Of what is on order, too, some may arrive later."""
        return jnp.reshape(seen["supply_line"], (1,))

    @property
    def part_range(self) -> tuple[float, float]:
        return 0.0, 2.0 * self.shown_after * self.usual

    def part(self, before: Seen, own: Scalar, later: Seen, params: Params) -> Float[Array, ""]:
        """Incoming orders until the order should have arrived, and units ordered that have not arrived by then."""
        return before["inventory"] + before["supply_line"] + own - later["inventory"]

    def stage(self, role: int, seen: Seen, part: Mixture, params: Params) -> Actions:
        """The discounted cost of the week in which an order should arrive."""
        orders = jnp.asarray(self.action_values[role], part.mean.dtype)[:, None]
        stock = seen["inventory"] + seen["supply_line"] + orders - part.mean - part.slope * orders
        z = stock / part.sd
        on_hand = part.sd * norm.pdf(z) + stock * norm.cdf(z)
        cost = params["holding"] * on_hand + params["backlog"] * (on_hand - stock)
        return -(self.discount**self.paid_after) * jnp.matmul(cost, jnp.exp(part.log_weight), precision=FULL)

    def rescale(self, params: Params) -> tuple[Params, Any]:
        """The unit is the backlog cost."""
        unit = params["backlog"]
        return {name: x / unit for name, x in params.items()}, unit

    def payoff_scale(self, params: Params) -> Float[Array, ""]:
        """Weekly holding plus backlog cost of the largest order, per player who pays it."""
        payers = self.roles if self.team else 1
        return jnp.asarray((params["holding"] + params["backlog"]) * self.action_values[0][-1] / payers)

    @property
    def payoff_parameters(self) -> tuple[str, ...]:
        return ("holding", "backlog")

    @property
    def columns(self) -> Mapping[str, str]:
        return {
            "demand": "customers' demand of the week, on the retailer's row (optional where incoming is given)",
            "incoming": "order received this week (optional, rebuilt from the customer's orders)",
            "arriving": "units that came in this week (optional, rebuilt from the supplier's stock)",
            "inventory": "units on hand after filling orders; less those owed if there is no backlog column (optional)",
            "backlog": "units owed after filling orders (optional)",
            "supply_line": "ordered and not arrived, before this week's order (optional)",
        }

    def record(
        self, before: ChainState, joint_action: Int[AnyArray, " players"], after: ChainState, params: Params
    ) -> dict[str, Float[Array, " players"]]:
        return {
            "demand": jnp.where(jnp.arange(self.roles) == 0, before.incoming, jnp.nan),
            "incoming": before.incoming,
            "arriving": before.arriving,
            "inventory": jnp.maximum(before.inventory, 0.0),
            "backlog": jnp.maximum(-before.inventory, 0.0),
            "supply_line": before.supply_line,
        }

    def replay(self, table: pd.DataFrame, *, tolerance: Number = 0.01) -> Replay:
        """The weekly accounts of every chain, from its orders and the recorded numbers (see `chain_books`)."""
        start = Start(self.inventory, self.flow, self.order_delay, self.shipping_delay)
        return replay_chains(table, self.roles, start, tolerance)

    def statistics(self, record: PlayRecord) -> Iterator[Statistic]:
        """The usual statistics of quantities, and the bullwhip ratio of each echelon."""
        yield from super().statistics(record)
        seen = record.seen["seen"]
        for role in dict.fromkeys(record.roles):
            here = record.roles == role
            chain = codes(record.groups[here])
            received = variance_within(chain, seen[None, here])
            yield Statistic(
                f"bullwhip ratio, {role}",
                f"variance of the {role}'s orders over the weeks of a chain, as a multiple of that of the orders "
                "received (as recorded)",
                lambda x, here=here, chain=chain, received=received: (
                    variance_within(chain, record.value(x)[:, here]) / received
                ),
            )

    @property
    def template_words(self) -> tuple[str, ...]:
        """Of the beer game: a chain of four echelons."""
        if self.roles != 4:
            return ()
        return (
            "Logs of the beer game have a line for each week of a team, with the orders of the four positions and "
            "often stocks and backlogs: `--wide participant` makes a template of that. group: the team; round: the "
            "week; role: retailer, wholesaler, distributor, factory; action: the order placed.",
            "demand is the customers' order of the week. inventory and backlog are those after this week's orders were "
            "filled and before the own order is placed; one column of net inventory does (below zero: owed).",
            'Customers who order 4, then 8 from the fifth week on (Sterman 1989): demand = "step" under [games], which '
            "the learned policy `beer-game` (demand U{0..8}) is not for.",
        )


def beer_game(
    demand: str | Chances | Numbers = "uniform",
    orders: Numbers = range(21),
    *,
    name: str = "beer-game",
    **options: Any,
) -> SupplyChain:
    """The beer distribution game: retailer, wholesaler, distributor and factory.

    Orders take one week and shipments two; a unit on hand costs 0.5 a week, a unit owed 1.0; the chain starts with
    twelve units at each echelon and four in each slot of the pipelines; 36 weeks. Orders are whole numbers from 0 to
    20, five times the mean demand: enough for a bullwhip, and few recorded orders are larger.

    Args:
        demand: "uniform": U{0..8}; "step": 4, then 8 from week five (Sterman 1989); or as in `SupplyChain`.
        orders: the grid of orders.
        options: those of `SupplyChain`.

    Example:
        >>> import bayescal as bc
        >>> game = bc.beer_game("step")
        >>> game.role_names
        ('retailer', 'wholesaler', 'distributor', 'factory')
    """
    customers = {"uniform": DEMAND, "step": STEP}.get(demand) if isinstance(demand, str) else demand
    if customers is None:
        raise InputError(f"beer_game: there is no demand {demand!r}; give uniform, step, or numbers as in SupplyChain.")
    return SupplyChain(4, orders, demand=customers, name=name, **options)


def role_names(echelons: int) -> tuple[str, ...]:
    """From the customers up: retailer, wholesaler, distributor (1, 2, …), factory."""
    if echelons <= 4:
        below = ("retailer", "wholesaler", "distributor")[: echelons - 1]
        return (*below, "factory" if below else "retailer")
    return ("retailer", "wholesaler", *(f"distributor {i}" for i in range(1, echelons - 2)), "factory")


def week_costs(inventory: Float[Array, " echelons"], params: Params) -> Float[Array, " echelons"]:
    """Holding cost of units on hand plus backlog cost of units owed."""
    return params["holding"] * jnp.maximum(inventory, 0.0) + params["backlog"] * jnp.maximum(-inventory, 0.0)


def _demand(demand: Chances | Numbers | None) -> Distribution:
    if demand is None:
        return distribution(DEMAND, "SupplyChain")
    if isinstance(demand, Mapping):
        return distribution(dict(demand), "SupplyChain")
    weekly = np.asarray(demand, float)
    if weekly.ndim != 1 or not len(weekly) or not np.all(np.isfinite(weekly)) or np.any(weekly < 0):
        raise InputError(
            f"SupplyChain: demand is {demand!r}; give {{value: probability}}, or the demand of each week, zero or more."
        )
    return tuple(weekly.tolist()), ()


def _check(
    echelons: int,
    grid: Float[np.ndarray, "..."],
    holding: Number,
    backlog: Number,
    weeks: int,
    order_delay: Number,
    shipping_delay: Number,
    discount: Number | None,
    announced: bool,
) -> None:
    """Raises InputError with every fault of the arguments."""
    problems = []
    if echelons < 1:
        problems.append(f"{echelons} echelons were given, where at least one is needed")
    if grid.ndim != 1 or len(grid) < 2 or not np.all(np.isfinite(grid)) or grid[0] < 0 or np.any(np.diff(grid) <= 0):
        problems.append(f"orders are {grid[:4].tolist()}…; at least two are needed, zero or more, each above the last")
    for what, cost in (("holding", holding), ("backlog", backlog)):
        if not (np.isfinite(cost) and cost >= 0):
            problems.append(f"{what} is {cost:g}, where a cost of zero or more is needed")
    for what, count in (("weeks", weeks), ("order_delay", order_delay), ("shipping_delay", shipping_delay)):
        if count < 1 or count != int(count):
            problems.append(f"{what} is {count:g}, where a whole number of at least one is needed")
    if discount is not None and not (0 < discount < 1 or (announced and discount == 1)):
        problems.append(f"discount is {discount:g}, where a number above 0 and below 1 is needed (1: announced=True)")
    if discount is None and not announced and weeks == 1:
        problems.append("a game of one week whose end is not announced has discount 0: give announced=True")
    if problems:
        raise InputError(f"SupplyChain: {'; '.join(problems)}.")
