"""Chains and shared capacity: book-keeping by hand, conservation, and the way from a table back to what was seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayescal as bc
from bayescal.environments.base_stock import base_stock_payoffs, best_base_stock
from bayescal.environments.capacity_allocation import CapacityAllocation, allocate
from bayescal.environments.supply_chain import SupplyChain, beer_game, role_names
from bayescal.training.check import check_environment


def play(env, actions=None, *, rounds=None, seed=0):
    """States (stacked, weeks first), payoffs and records of one game, with given actions or random ones."""
    params = jax.tree.map(jnp.asarray, env.params)
    rounds = rounds or env.horizon
    if actions is None:
        size = len(env.action_values[0])
        actions = np.random.default_rng(seed).integers(0, size, (rounds, env.players))

    def week(state, now):
        key, joint = now
        after, pay, done = env.step(key, state, joint, params)
        seen = [env.observe(state, i) for i in range(env.players)]
        return after, (state, pay, done, env.record(state, joint, after, params), seen)

    begin, go = jax.random.split(jax.random.key(seed))
    keys = jax.random.split(go, rounds)
    return jax.jit(lambda s, k, a: jax.lax.scan(week, s, (k, a))[1])(
        env.reset(begin, params), keys, jnp.asarray(actions, jnp.int32)
    ), np.asarray(actions)


def table_of(env, *, groups=3, seed=0, rounds=None):
    """(a table of several games as replay gets it, what was observed in every row)."""
    rows, observed = [], []
    for g in range(groups):
        weeks = (rounds or [env.horizon] * groups)[g]
        (_, _, _, record, seen), actions = play(env, rounds=weeks, seed=seed + g)
        roles = [r for r, n in enumerate(env.role_counts) for _ in range(n)]
        for i, role in enumerate(roles):
            rows.append(
                {
                    "participant": f"{g}-{i}",
                    "group": str(g),
                    "role_index": role,
                    "round": np.arange(weeks) + 1,
                    "action_index": actions[:, i],
                    "value": np.asarray(env.action_values[role])[actions[:, i]],
                    **{n: np.asarray(x[:, i], float) for n, x in record.items()},
                }
            )
            observed.append({n: np.asarray(x, float) for n, x in seen[i].items()})
    table = pd.concat([pd.DataFrame(r) for r in rows], ignore_index=True)
    return table, {n: np.concatenate([o[n] for o in observed]) for n in observed[0]}


CHAINS = [
    SupplyChain(1, weeks=12),
    SupplyChain(2, range(0, 22, 3), order_delay=2, shipping_delay=1, weeks=12),
    beer_game(weeks=20),
    beer_game("step", [0, 1, 4, 8, 16], weeks=15, team=True, announced=True),
    SupplyChain(6, demand={2: 0.5, 7.5: 0.5}, order_delay=3, shipping_delay=4, weeks=30),
]
GAMES = [*CHAINS, CapacityAllocation(3, rounds=10), CapacityAllocation(2, demand={0: 0.3, 10: 0.4, 35: 0.3}, rounds=8)]
name = lambda env: env.name


@pytest.mark.parametrize("env", GAMES, ids=name)
def test_games_are_fit_to_be_trained_on(env):
    check_environment(env)


def test_weeks_of_a_short_chain_by_hand():
    """Two echelons, delays 1 and 2, twelve units at each, four in every slot; customers want 4, 4, 4, 4, 8, 8.

    week  retailer: in  asked  left  orders | factory: in  asked  left  sends  orders
      1             4     4     12      4   |          4     4     12     4       0
      2             4     4     12     10   |          4     4     12     4       4
      3             4     4     12     20   |          4    10      6    10       4
      4             4     4     12      0   |          0    20    -14     6       1
      5            10     8     14      2   |          4     0    -10     4       0
      6             6     8     12      -   |          4     2     -8     4       -
    """
    env = SupplyChain(2, demand=[4, 4, 4, 4, 8], weeks=6, announced=True)
    orders = np.array([[4, 0], [10, 4], [20, 4], [0, 1], [2, 0], [0, 0]])
    (states, payoffs, done, record, _), _ = play(env, orders)
    np.testing.assert_array_equal(states.arriving, [[4, 4], [4, 4], [4, 4], [4, 0], [10, 4], [6, 4]])
    np.testing.assert_array_equal(states.incoming, [[4, 4], [4, 4], [4, 10], [4, 20], [8, 0], [8, 2]])
    np.testing.assert_array_equal(states.inventory, [[12, 12], [12, 12], [12, 6], [12, -14], [14, -10], [12, -8]])
    np.testing.assert_array_equal(states.transit[-1][:, 0], [4, 4, 10, 6, 4, 4])  # what the factory sends
    np.testing.assert_array_equal(states.supply_line, [[8, 8], [8, 4], [14, 4], [30, 8], [20, 5], [16, 1]])
    np.testing.assert_array_equal(payoffs, -np.array([[6, 6], [6, 6], [6, 3], [6, 14], [7, 10], [6, 8]]))
    np.testing.assert_array_equal(record["backlog"][:, 1], [0, 0, 0, 14, 10, 8])
    np.testing.assert_array_equal(done, [False] * 5 + [True])
    team = SupplyChain(2, demand=[4, 4, 4, 4, 8], weeks=6, team=True)
    (_, shared, never, _, _), _ = play(team, orders)
    np.testing.assert_allclose(shared, np.repeat(payoffs.mean(axis=1, keepdims=True), 2, axis=1))
    assert not never.any() and team.discount == 1 - 1 / 6


@pytest.mark.parametrize("env", CHAINS, ids=name)
def test_units_are_neither_made_nor_lost(env):
    (states, *_), actions = play(env, seed=5)
    stock, owed = np.maximum(states.inventory, 0), np.maximum(-states.inventory, 0)
    supplier_owes = np.concatenate([owed[:, 1:], np.zeros_like(owed[:, :1])], axis=1)
    waiting = sum(states.mail, np.zeros_like(stock)) + supplier_owes + sum(states.transit)
    np.testing.assert_allclose(states.supply_line, waiting, atol=1e-3)
    # All that the factory asked for is somewhere in the chain or with the customers.
    grid = np.asarray(env.action_values[0])
    asked = np.cumsum(grid[actions[:, -1]]) - grid[actions[:, -1]]
    served = np.cumsum(states.incoming[:, 0]) - owed[:, 0]
    in_chain = stock.sum(axis=1) + sum(np.asarray(x).sum(axis=1) for x in states.transit)
    to_make = sum((np.asarray(x)[:, -1] for x in states.mail), np.zeros(len(stock)))
    lead = env.order_delay + env.shipping_delay
    begun_with = env.roles * env.inventory + (env.roles - 1) * env.shipping_delay * env.flow + lead * env.flow
    np.testing.assert_allclose(in_chain + to_make + served, begun_with + asked, rtol=1e-5)
    # Nobody owes and has at once, nor sends more than was asked for.
    assert np.all(np.asarray(states.transit[-1]) >= 0)


@pytest.mark.parametrize(("order_delay", "shipping_delay"), [(1, 1), (1, 2), (2, 3)])
def test_an_order_takes_both_delays(order_delay, shipping_delay):
    """A single order of the retailer of a well-stocked chain."""
    delays = {"order_delay": order_delay, "shipping_delay": shipping_delay}
    env = SupplyChain(3, demand={0: 1.0}, inventory=100, weeks=12, **delays)
    orders = np.zeros((12, 3), int)
    orders[2, 0] = 7
    (states, *_), _ = play(env, orders)
    assert np.flatnonzero(states.incoming[:, 1]).tolist() == [2 + order_delay]
    assert np.flatnonzero(states.arriving[:, 0]).tolist() == [2 + order_delay + shipping_delay]
    orders = np.zeros((12, 3), int)
    orders[2, 2] = 7  # the factory's request is made after the same delays
    (states, *_), _ = play(env, orders)
    assert np.flatnonzero(states.arriving[:, 2]).tolist() == [2 + order_delay + shipping_delay]


def test_demand_is_what_was_asked_for():
    (states, *_), _ = play(beer_game("step"))
    np.testing.assert_array_equal(states.incoming[:, 0], [4] * 4 + [8] * 32)
    (states, *_), _ = play(SupplyChain(1, demand={1: 0.2, 4: 0.5, 9.5: 0.3}), rounds=4000)
    values, counts = np.unique(states.incoming, return_counts=True)
    np.testing.assert_array_equal(values, [1, 4, 9.5])
    np.testing.assert_allclose(counts / 4000, [0.2, 0.5, 0.3], atol=4 * np.sqrt(0.25 / 4000))


def test_the_beer_game_is_that_of_the_experiments():
    env = beer_game()
    assert env.role_names == ("retailer", "wholesaler", "distributor", "factory") and env.horizon == 36
    assert (env.order_delay, env.shipping_delay, env.inventory, env.flow) == (1, 2, 12.0, 4.0)
    assert env.params["holding"] == 0.5 and env.params["backlog"] == 1.0
    assert role_names(1) == ("retailer",) and role_names(3) == ("retailer", "wholesaler", "factory")
    assert role_names(6)[2:] == ("distributor 1", "distributor 2", "distributor 3", "factory")
    with jax.enable_x64(True):
        (states, payoffs, *_), _ = play(beer_game(weeks=3))
    assert states.inventory.dtype == payoffs.dtype == np.float64


@pytest.mark.parametrize("env", GAMES, ids=name)
def test_a_table_tells_what_was_seen(env):
    lengths = [env.horizon, env.horizon - 3, env.horizon - 2]
    table, seen = table_of(env, rounds=lengths)
    order = np.random.default_rng(1).permutation(len(table))
    for rows in (np.arange(len(table)), order):
        back = env.replay(table.iloc[rows].reset_index(drop=True))
        assert back.known.all() and back.faults == []
        assert set(back.observations) == set(seen)
        for what, x in back.observations.items():
            np.testing.assert_allclose(x, seen[what][rows], atol=1e-4, err_msg=what)


@pytest.mark.parametrize("env", GAMES, ids=name)
def test_one_slip_is_one_fault(env):
    table, _ = table_of(env)
    good = env.replay(table).observations
    rng = np.random.default_rng(2)
    for column in env.columns:
        if isinstance(env, CapacityAllocation) and column == "demand":
            continue  # nothing follows from it
        row = int(rng.choice(np.flatnonzero(table[column].notna())))
        wrong = table.copy()
        wrong.loc[row, column] += 3
        back = env.replay(wrong)
        assert {f.row for f in back.faults} == {row}, column
        assert abs(abs(back.faults[0].found - back.faults[0].expected) - 3) < 1e-3
        others = table.index != row
        for what, x in back.observations.items():
            np.testing.assert_allclose(x[others], good[what][others], atol=1e-4)
        assert env.replay(wrong, tolerance=3.01).faults == []


@pytest.mark.parametrize("env", CHAINS, ids=name)
def test_optional_columns_are_rebuilt(env):
    table, seen = table_of(env)
    only = table.assign(**{n: np.nan for n in env.columns if n != "demand"})
    either = table.assign(demand=np.nan, arriving=np.nan, supply_line=np.nan)
    net = table.assign(inventory=table["inventory"] - table["backlog"], backlog=np.nan)
    for told in (only, either, net):
        back = env.replay(told)
        assert back.known.all() and not back.faults
        for what, x in back.observations.items():
            np.testing.assert_allclose(x, seen[what], atol=1e-4)


def test_a_slip_of_a_flow_that_only_stocks_know_of():
    """Where demand is recorded once, a slip in it shows in the stock of that week, and of no other."""
    env = beer_game(weeks=20)
    table, _ = table_of(env)
    table["incoming"] = np.nan
    row = int(np.flatnonzero((table["role_index"] == 0) & (table["round"] == 7))[0])
    table.loc[row, "demand"] += 2
    assert [(f.row, f.column) for f in env.replay(table).faults] == [(row, "inventory")]


def test_a_wrong_order_is_noticed_by_the_supplier():
    env = beer_game(weeks=20)
    table, _ = table_of(env)
    row = int(np.flatnonzero((table["role_index"] == 1) & (table["round"] == 7))[0])
    supplier = int(np.flatnonzero((table["role_index"] == 2) & (table["round"] == 8) & (table["group"] == "0"))[0])
    table.loc[row, "value"] += 2
    faults = env.replay(table).faults
    assert (supplier, "incoming") in {(f.row, f.column) for f in faults} and len(faults) <= 4


@pytest.mark.parametrize("env", GAMES, ids=name)
def test_missing_rounds_are_masked(env):
    table, seen = table_of(env)
    who = (table["participant"] == "1-0") & table["round"].isin([4, 5])
    kept = np.flatnonzero(~who)
    back = env.replay(table.iloc[kept].reset_index(drop=True))
    assert not back.faults
    after = np.flatnonzero((table["participant"] == "1-0") & (table["round"] == 6))[0]
    # The own last order is not known; all else was recorded.
    assert kept[~back.known].tolist() == [after] or isinstance(env, CapacityAllocation)
    for what, x in back.observations.items():
        np.testing.assert_allclose(x[back.known], seen[what][kept][back.known], atol=1e-4)
    bare = table.assign(**{n: np.nan for n in env.columns if n != "demand"})
    less = env.replay(bare.iloc[kept].reset_index(drop=True))
    assert less.known.sum() < back.known.sum() or env.roles == 1
    for what, x in less.observations.items():
        np.testing.assert_allclose(x[less.known], seen[what][kept][less.known], atol=1e-4)


def test_who_played_with_computers_is_replayed_from_what_was_recorded():
    env = beer_game(weeks=20)
    table, seen = table_of(env)
    rows = np.flatnonzero(table["role_index"] == 1)
    alone = table.iloc[rows].reset_index(drop=True)
    for missing in ([], ["arriving"], ["supply_line"], ["arriving", "supply_line"], ["demand", "arriving"]):
        back = env.replay(alone.assign(**dict.fromkeys(missing, np.nan)))
        assert back.known.all() and not back.faults
        for what, x in back.observations.items():
            np.testing.assert_allclose(x, seen[what][rows], atol=1e-4)
    # Without what was received nothing is known.
    nothing = env.replay(alone.assign(incoming=np.nan, demand=np.nan))
    assert not nothing.known[alone["round"] > 1].any()
    alone.loc[5, "inventory"] += 4
    assert [f.row for f in env.replay(alone).faults] == [5]


def test_tables_that_cannot_be_of_a_chain():
    env = beer_game(weeks=5)
    table, _ = table_of(env, groups=1)
    with pytest.raises(bc.InputError, match=r"20 rows repeat an echelon .* row 20, group 0"):
        env.replay(pd.concat([table, table.assign(participant="x")], ignore_index=True))
    far = table.assign(round=np.where(table.index == 3, 10**9, table["round"]))
    with pytest.raises(bc.InputError, match="Rounds run over 1,000,000,000 weeks"):
        env.replay(far)
    none = env.replay(table.iloc[:0])
    assert not none.faults and len(none.known) == 0
    market = CapacityAllocation(2, rounds=4)
    table, _ = table_of(market, groups=1)
    with pytest.raises(bc.InputError, match="4 rounds have more decisions than the 2 retailers"):
        market.replay(pd.concat([table, table.assign(participant="x")], ignore_index=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"echelons": 0}, "0 echelons were given"),
        ({"orders": [5]}, r"orders are \[5.0\]"),
        ({"orders": [3, 2]}, "each above the last"),
        ({"orders": [-1, 2]}, "zero or more"),
        ({"holding": -1}, "holding is -1"),
        ({"backlog": float("nan"), "weeks": 0}, "backlog is nan.*; weeks is 0"),
        ({"order_delay": 0}, "order_delay is 0"),
        ({"shipping_delay": 1.5}, "shipping_delay is 1.5"),
        ({"discount": 1.0}, "discount is 1, .*announced=True"),
        ({"weeks": 1}, "give announced=True"),
        ({"demand": {1: 0.5, 2: 0.4}}, "add up to one"),
        ({"demand": {-1: 1.0}}, "zero or more"),
        ({"demand": [4, -4]}, "the demand of each week"),
        ({"flow": -1}, "flow -1"),
    ],
)
def test_arguments_that_make_no_chain(arguments, message):
    with pytest.raises(bc.InputError, match=message):
        SupplyChain(**arguments)


def test_arguments_that_make_no_market():
    with pytest.raises(bc.InputError, match=r"1 retailers.*; orders are \[3.0\].*; capacity is 0"):
        CapacityAllocation(1, [3], capacity=0)
    with pytest.raises(bc.InputError, match="no demand 'steps'"):
        beer_game("steps")


def test_capacity_is_shared_in_proportion():
    np.testing.assert_allclose(allocate(jnp.array([10.0, 30.0, 0.0]), 20.0), [5, 15, 0])
    np.testing.assert_allclose(allocate(jnp.array([10.0, 5.0, 0.0]), 20.0), [10, 5, 0])
    np.testing.assert_allclose(allocate(jnp.zeros(2), 20.0), [0, 0])
    env = CapacityAllocation(2, capacity=30, price=10, cost=4, demand={20: 1.0}, rounds=2)
    (states, payoffs, done, _, seen), _ = play(env, [[40, 20], [12, 25]])
    np.testing.assert_allclose(states.received[1], [20, 10])
    np.testing.assert_allclose(payoffs, [[120, 60], [6 * 12 * 30 / 37, 10 * 20 - 4 * 25 * 30 / 37]], rtol=1e-5)
    assert done.tolist() == [False, True]
    assert float(seen[0]["seen"][1]) == 30 and float(seen[1]["own"][1]) == 20


def test_asking_for_more_than_one_needs_pays_when_capacity_is_short():
    """Each wants 20 of the 30; at a truthful 20 and 20 a higher order of one's own gets more."""
    env = CapacityAllocation(2, capacity=30, demand={20: 1.0})
    params = jax.tree.map(jnp.asarray, env.params)
    start = env.reset(jax.random.key(0), params)
    pay = lambda a: float(env.step(jax.random.key(0), start, jnp.array([a, 20]), params)[1][0])
    assert pay(40) > pay(30) > pay(20) > pay(10)


def test_the_best_base_stock_of_one_echelon_is_the_critical_fractile():
    """With one echelon the level covers three weeks' demand, until an order of this week counts: its 2/3 quantile."""
    env = SupplyChain(1, inventory=6, weeks=60)
    weekly = np.full(9, 1 / 9)
    total = np.convolve(np.convolve(weekly, weekly), weekly)
    fractile = int(np.argmax(np.cumsum(total) >= 2 / 3))
    found = best_base_stock(env, games=256)
    assert abs(found.levels[0] - fractile) <= 1  # payoffs near the best are flat, and sampled
    play_with = jax.jit(lambda levels: base_stock_payoffs(env, levels, games=256, seed=1))
    away = np.asarray(play_with(np.array([fractile + 6.0]))).mean()
    assert found.payoff > away + 10 * found.standard_error
