"""The newsvendor: critical fractiles, the exact solution against brute force, and replayed data."""

import itertools
from functools import cache
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from markets import assert_replays, assert_same, played

from bayescal.environments.newsvendor import Newsvendor
from bayescal.errors import InputError
from bayescal.policies.base import tilt
from bayescal.priors import Adaptive, Centre, Focal, Naive, Previous, Product, Repeat, Uniform, Usual
from bayescal.training.check import check_environment

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "newsvendor-expedited" / "newsvendor_tidy.csv.gz"
SMALL = Newsvendor(5.0, 2.0, 0.5, demand=([1, 2, 4], [0.3, 0.5, 0.2]), orders=range(5), rounds=4, discount=0.9)
FIRST = {"own": 0.0, "seen": 0.0, "usual": 0.0, "began": 0.0, "round": 0}


@eqx.filter_jit
def _table(environment, cost, psi, prior):
    return environment.exact_table(cost, psi, environment.params, prior)


def table_of(environment, cost, psi, prior):
    arrays = lambda tree: jax.tree.map(lambda x: np.asarray(x, jnp.result_type(float)), tree)
    return np.asarray(_table(environment, arrays(cost), arrays(psi), prior))


def profit(environment, q, d):
    return environment.price * min(q, d) + environment.salvage * max(q - d, 0) - environment.cost * q


def test_it_is_fit_to_be_played():
    check_environment(Newsvendor())
    check_environment(SMALL)
    check_environment(Newsvendor(rounds=1))


@pytest.mark.parametrize(
    ("price", "cost", "salvage"), list(itertools.product([4.0, 12.0, 20.0], [1.0, 3.0, 3.9], [0.0, 0.5]))
)
def test_the_best_order_is_the_critical_fractile(price, cost, salvage):
    rng = np.random.default_rng(0)
    demand = np.sort(rng.choice(np.arange(200), 60, replace=False))
    chances = rng.dirichlet(np.ones(60))
    game = Newsvendor(price, cost, salvage, demand=(demand, chances), orders=range(200), rounds=1)
    with jax.enable_x64(True):
        q = game.exact_values(FIRST, 0.0, {}, game.params, Uniform())
        p = np.exp(tilt(jnp.zeros(200), q, 1e-9))
    fractile = demand[np.searchsorted(np.cumsum(chances), (price - cost) / (price - salvage))]
    assert np.argmax(q) == fractile
    np.testing.assert_allclose(p[fractile], 1, rtol=1e-6)


def test_the_default_is_the_game_of_the_experiments():
    game = Newsvendor()
    with jax.enable_x64(True):
        profits = np.asarray(game.expected_profits(game.params))
    by_hand = [np.mean([12 * min(q, d) - 3 * q for d in range(1, 101)]) for q in range(101)]
    np.testing.assert_allclose(profits, by_hand, rtol=1e-12)
    # A fractile that demand hits exactly: 75 and 76 are equally good.
    np.testing.assert_allclose(profits[[75, 76]], profits.max(), rtol=1e-12)
    assert np.sort(profits)[-3] < profits.max() - 0.1


def brute_force(game, cost, habit):
    """Q of every order after every history of rounds, by recursion over histories."""
    grid, demand = np.asarray(game.action_values[0]), np.asarray(game.demand)

    @cache
    def values(orders, seen):
        now = np.array([sum(p * profit(game, q, d) for d, p in zip(demand, game.chances, strict=True)) for q in grid])
        if len(orders) + 1 == game.horizon:
            return now
        ahead = [
            sum(p * value((*orders, q), d) for d, p in zip(demand, game.chances, strict=True)) for q in grid.tolist()
        ]
        return now + game.discount * np.array(ahead)

    @cache
    def value(orders, seen):
        q = np.asarray(habit(orders[-1], seen, float(np.mean(orders))))
        best = values(orders, seen).max()
        return best + cost * np.log(q @ np.exp((values(orders, seen) - best) / cost))

    return values


HABITS = {
    "own": (Previous(), {"pull": 3.0}),
    "seen": (Naive(), {"pull": 3.0}),
    "all": (
        Product((Repeat(), Adaptive(), Centre(), Focal(2.0))),
        {"bonus_0": 1.0, "gain_1": 0.4, "pull_1": 4.0, "pull_2": 2.0, "bonus_3": 0.7},
    ),
    "usual": (Product((Previous(), Usual())), {"pull_0": 1.0, "pull_1": 4.0}),
    "nothing": (Centre(), {"pull": 2.0}),
}


@pytest.mark.parametrize("cost", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("name", HABITS)
def test_the_exact_solution_is_that_of_all_histories(name, cost):
    prior, psi = HABITS[name]
    with jax.enable_x64(True):
        observe = lambda own, seen, usual: {"own": own, "seen": seen, "usual": usual, "began": 1.0, "round": 1}
        habit = jax.jit(lambda *x: jnp.exp(prior.log_prob(observe(*x), psi, role=0, action_values=jnp.arange(5.0))))
        truth = brute_force(SMALL, cost, lambda *x: habit(*map(float, x)))
        find = jax.jit(lambda o: SMALL.exact_values(o, cost, psi, SMALL.params, prior))
        for orders, seen in [((), 0.0), ((4.0,), 2.0), ((4.0, 1.0), 4.0), ((0.0, 3.0, 3.0), 1.0)]:
            last = orders[-1] if orders else 0.0
            usual = float(np.mean(orders)) if orders else 0.0
            found = find(observe(last, seen, usual) | {"round": len(orders)})
            # Only what is usual is interpolated, here on the coarsest of grids: to 0.3 % of the greatest profit.
            tolerance = 0.03 if name == "usual" else 1e-10
            np.testing.assert_allclose(found, truth(orders, seen), atol=tolerance)


def test_myopic_people_and_habits_without_a_past_look_only_at_the_day():
    prior, psi = HABITS["all"]
    day = np.asarray(SMALL.expected_profits(SMALL.params))
    myopic = Newsvendor(5.0, 2.0, 0.5, demand=([1, 2, 4], [0.3, 0.5, 0.2]), orders=range(5), rounds=4, discount=0.0)
    np.testing.assert_allclose(table_of(myopic, 1.0, psi, prior), np.broadcast_to(day, (4, 1, 5)), rtol=1e-6)
    ahead = lambda psi, prior: table_of(SMALL, 1.0, psi, prior)[0, 0] - day
    assert np.ptp(ahead({"pull": 2.0}, Centre())) < 1e-5  # the future is worth the same after every order
    assert np.ptp(ahead(psi, prior)) > 0.05


def test_foresight_keeps_anchors_near_the_best_order():
    """Tomorrow begins where today ends, so the day's best order is worth more than its profit."""
    game, prior = Newsvendor(), Product((Previous(), Focal(10)))
    q = table_of(game, 100.0, {"pull_0": 6.0, "bonus_1": 1.0}, prior)[:, 0]
    worth = q[:, 75] - q[:, 30]
    assert np.all(np.diff(worth) < 0.01)  # the more so, the more days are left
    assert worth[0] > 1.3 * worth[-1]


@pytest.mark.parametrize("cost", [0.0, 1e-12, np.inf])
def test_limits_are_finite(cost):
    prior, psi = HABITS["all"]
    q = table_of(SMALL, cost, psi, prior)
    assert np.isfinite(q).all()
    log_q = prior.log_prob(FIRST, psi, role=0, action_values=jnp.arange(5.0))
    p = np.exp(tilt(log_q, jnp.asarray(q[0, 0]), cost))
    if cost == np.inf:
        np.testing.assert_allclose(p, np.exp(log_q), rtol=1e-5)
    else:
        assert p[2] > 0.999  # (price - cost) / (price - salvage) = 2/3: P(D <= 2) = 0.8


@pytest.mark.parametrize("name", ["all", "usual"])
def test_slopes_are_those_of_differences(name):
    prior, psi = HABITS[name]
    with jax.enable_x64(True):
        names = sorted(psi)
        observation = {k: jnp.asarray(x) for k, x in (FIRST | {"began": 1.0, "round": 1, "usual": 2.3}).items()}

        def f(x):
            own = SMALL.params | {"price": x[1]}
            return SMALL.exact_values(observation, x[0], dict(zip(names, x[2:], strict=True)), own, prior)[3]

        x = jnp.asarray([1.5, 5.0, *(psi[n] for n in names)])
        slope, step = jax.jit(jax.grad(f))(x), 1e-5 * np.eye(len(x))
        f = jax.jit(f)
        by_differences = [(f(x + h) - f(x - h)) / 2e-5 for h in step]
    np.testing.assert_allclose(slope, by_differences, rtol=1e-5, atol=1e-7)


def test_single_precision_will_do():
    prior, psi = HABITS["all"]
    game = Newsvendor(rounds=30)
    psi = psi | {"pull_1": 10.0, "pull_2": 10.0}
    single = table_of(game, 20.0, psi, prior)
    with jax.enable_x64(True):
        double = table_of(game, 20.0, psi, prior)
    np.testing.assert_allclose(single, double, rtol=1e-5, atol=0.01)  # of probabilities: 5e-4


def test_replay():
    table, seen = assert_replays(Newsvendor(rounds=8), checked=["demand", "profit"], optional=["profit"])
    # A round is missing: the mean of past orders is unknown from then on, everything else is as it was.
    gone = np.flatnonzero((table["group"] == "1") & (table["round"] == 4))
    keep = np.setdiff1d(np.arange(len(table)), gone)
    holed = Newsvendor(rounds=8).replay(table.iloc[keep].reset_index(drop=True))
    after = (table["group"] == "1") & (table["round"] > 4)
    np.testing.assert_array_equal(holed.known, ~after.to_numpy()[keep])
    assert_same(holed, {n: x[keep] for n, x in seen.items()})
    # Demand that was not recorded was not seen either.
    blind = table.copy()
    blind.loc[3, "demand"] = np.nan
    assert np.flatnonzero(~Newsvendor(rounds=8).replay(blind).known).tolist() == [4]


def test_replay_reports_what_the_game_cannot_bring():
    table, _ = played(Newsvendor(rounds=5), games=1)
    table = table.drop(columns="profit")
    (fault,) = Newsvendor(rounds=5).replay(table.assign(demand=[20.0, 50.0, 230.0, 1.0, 100.0])).faults
    assert fault == (2, "demand", 230.0, 100.0)
    (fault,) = Newsvendor(rounds=4).replay(table.assign(demand=50.0)).faults
    assert fault == (4, "round", 5.0, 4.0)


def test_the_experiment_can_be_replayed():
    """Villa, Castañeda & Urrea, treatment 1: 31 people, 30 rounds; 467 of 670 changes go towards the last demand."""
    data = pd.read_csv(DATA).query("treatment_id == 1")
    table = pd.DataFrame(
        {
            "participant": data["subject_id"].astype(str),
            "group": data["subject_id"].astype(str),
            "role_index": 0,
            "round": data["round"],
            "action_index": data["order"],
            "value": data["order"].astype(float),
            "demand": data["demand"].astype(float),
        }
    ).reset_index(drop=True)
    replay = Newsvendor(12, 3, demand=range(1, 101), orders=range(101), rounds=30).replay(table)
    assert len(table) == 930
    assert replay.known.all()
    assert not replay.faults
    change, ahead = (
        table["value"] - replay.observations["own"],
        replay.observations["seen"] - replay.observations["own"],
    )
    moved = (replay.observations["began"] == 1) & (change != 0)
    assert (moved.sum(), (np.sign(change) == np.sign(ahead))[moved].sum()) == (670, 467)
    np.testing.assert_allclose(table["value"].mean(), 51.77, atol=0.005)


def test_a_large_table_is_replayed_in_no_time():
    rng = np.random.default_rng(0)
    people, rounds = 3000, 30
    who = np.repeat(np.arange(people), rounds)
    table = pd.DataFrame({"participant": who.astype(str), "group": who.astype(str), "role_index": 0})
    table["round"] = np.tile(np.arange(1, rounds + 1), people)
    table["value"] = rng.integers(0, 101, len(table)).astype(float)
    table["demand"] = rng.integers(1, 101, len(table)).astype(float)
    replay = Newsvendor().replay(table)
    assert replay.known.all()
    assert not replay.faults


def test_impossible_games_are_refused_in_words():
    with pytest.raises(InputError, match="salvage < cost < price"):
        Newsvendor(3, 12)
    with pytest.raises(InputError, match="rising numbers"):
        Newsvendor(orders=[3, 2, 1])
    with pytest.raises(InputError, match="demand must be rising numbers"):
        Newsvendor(demand=[1, 1, 2])
    with pytest.raises(InputError, match="one probability for each of its 3 values"):
        Newsvendor(demand=([1, 2, 3], [0.5, 0.6, 0.1]))
    with pytest.raises(InputError, match="at least one round"):
        Newsvendor(rounds=0)
