"""Simulated play and agents: they decide as the policy says, and their costs are those of the population."""

import io

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from games import Walk
from scipy import stats

import bayescal as bc
from bayescal.environments.base import Environment, rules
from bayescal.environments.bus_engine import BusEngine
from bayescal.environments.capacity_allocation import CapacityAllocation
from bayescal.environments.cobweb import Cobweb
from bayescal.environments.cournot_repeated import RepeatedCournot
from bayescal.environments.newsvendor import Newsvendor
from bayescal.environments.replay import Replay, contradictions
from bayescal.environments.supply_chain import SupplyChain
from bayescal.policies.base import Policy
from bayescal.posterior.status import Status
from bayescal.simulation import Agents, simulate, solved
from bayescal.simulation.given import is_count

SELTEN = bc.get_game("selten-chmura-01")


class Fishery(Environment):
    """A big boat and two small ones fish from one stock, which grows by chance; empty, it ends the game."""

    def __init__(self):
        grids = [range(4), range(2)]
        vars(self).update(rules("fishery", {"big": 1, "small": 2}, grids, ordered=True, horizon=12))

    @property
    def params(self):
        return {"start": np.asarray(8.0)}

    @property
    def columns(self):
        return {"growth": "fish born after the catch", "stock": "fish before it (optional)"}

    def payoff_scale(self, params):
        return jnp.asarray(3.0)

    def reset(self, key, params):
        return {"stock": jnp.asarray(params["start"]), "own": jnp.zeros(3), "growth": jnp.zeros(()), "t": jnp.zeros(())}

    def step(self, key, state, joint_action, params):
        catch, growth = joint_action.astype(float), jax.random.randint(key, (), 0, 4).astype(float)
        stock = jnp.maximum(state["stock"] - catch.sum(), 0.0) + growth
        after = {"stock": stock, "own": catch, "growth": growth, "t": state["t"] + 1}
        return after, catch, (stock <= 2.0) | (after["t"] >= self.horizon)

    def observe(self, state, player):
        began = jnp.where(state["t"] > 0, 1.0, 0.0)
        return {"own": state["own"][player], "seen": state["stock"], "began": began}

    def record(self, before, joint_action, after, params):
        spread = lambda x: jnp.broadcast_to(x, (3,))
        return {"growth": spread(after["growth"]), "stock": spread(before["stock"])}

    def replay(self, table, *, tolerance=0.01):
        rows = table.reset_index(drop=True)
        caught = rows.groupby(["group", "round"])["value"].sum()
        growth = rows.groupby(["group", "round"])["growth"].first()
        stock, before = {}, {}
        for group, t in sorted(caught.index):
            last = (group, t - 1)
            stock[group, t] = max(stock[last] - caught[last], 0) + growth[last] if last in stock else 8.0
        for p, t, v in rows[["participant", "round", "value"]].itertuples(index=False):
            before[p, t + 1] = v
        at = list(rows[["group", "round"]].itertuples(index=False, name=None))
        mine = list(rows[["participant", "round"]].itertuples(index=False, name=None))
        seen = np.array([stock[key] for key in at])
        observations = {
            "own": np.array([before.get(key, 0.0) for key in mine]),
            "seen": seen,
            "began": (rows["round"] > 1).to_numpy(float),
        }
        faults = contradictions("stock", rows["stock"].to_numpy(float), seen, tolerance)
        return Replay(observations, np.ones(len(rows), bool), faults)


class Greedy(Policy):
    """Catches pay what they are, less a tenth of the stock's shortfall: no solution of anything, but depends on all."""

    environment: Environment = Fishery()

    def log_prob(self, observation, cost, phi, psi, params):
        role, seen = observation
        size = len(self.environment.action_values[role])
        catch = jnp.arange(4.0)
        worth = catch * seen["seen"] / 4 - 0.1 * (catch - seen["own"]) ** 2 * seen["began"]
        own = jnp.broadcast_to(jnp.asarray(cost), (2,))[role]
        return jax.nn.log_softmax(jnp.where(catch < size, worth / own, -jnp.inf))


def labelled(table, environment):
    """A simulated table through CSV, as `replay` wants it."""
    table = pd.read_csv(io.StringIO(table.to_csv(index=False)), dtype={"action": str})
    roles = table["role"] if "role" in table else pd.Series([environment.role_names[0]] * len(table))
    table["role_index"] = [environment.role_names.index(r) for r in roles]
    pairs = zip(table["role_index"], table["action"], strict=True)
    table["action_index"] = [environment.action_labels[r].index(a) for r, a in pairs]
    grids = zip(table["role_index"], table["action_index"], strict=True)
    table["value"] = [environment.action_values[r][a] for r, a in grids]
    return table


def largest_z(actions, log_probs):
    """How far shares of actions are from their probabilities, in standard errors: the largest over the actions.

    Given all that came before, an action's indicator less its probability has mean zero, so that sums are normal
    even where later decisions depend on earlier ones. Actions of variance below five are too rare for that.
    """
    p = np.exp(np.asarray(log_probs, float))
    hit = np.arange(p.shape[1])[None] == np.asarray(actions)[:, None]
    variance = (p * (1 - p)).sum(0)
    return np.max(np.abs((hit - p).sum(0))[variance > 5] / np.sqrt(variance[variance > 5]))


# 4 standard errors, of which the largest of a few is reached by chance once in some thousand: seeds are fixed.
MOST = 4.0


# One-shot games
def test_shares_are_the_policys_probabilities_and_a_wrong_policy_is_caught():
    policy = bc.ExactPolicy(SELTEN)
    table = labelled(simulate(policy, cost=[0.5, 2.0], groups=200, rounds=20, seed=1), SELTEN)
    z = lambda cost: largest_z(
        table["action_index"], np.asarray(policy.solve(cost).log_strategies)[table["role_index"]]
    )
    assert z(np.array([0.5, 2.0])) < MOST
    assert z(np.array([0.5, 3.0])) > MOST
    assert len(table) == 200 * 20 * 2
    payoffs = table.pivot(index=["group", "round"], columns="role", values=["action_index", "payoff"])
    joint = payoffs["action_index"][["row", "column"]].to_numpy(int)
    np.testing.assert_allclose(payoffs["payoff"]["row"], SELTEN.params["payoffs"][0][joint[:, 0], joint[:, 1]])


def test_private_costs_are_drawn_from_the_population():
    game = bc.Cournot(2, range(0, 61, 6))
    policy = bc.ExactPolicy(game, population=bc.populations.LogNormal(8))
    phi = {"log_mean": 4.0, "log_sd": 0.7}
    table = labelled(simulate(policy, phi=phi, groups=1000, seed=2), game)
    log_cost = np.log(table["cost"].to_numpy(float))
    assert stats.kstest(log_cost, stats.norm(4.0, 0.7).cdf).pvalue > 1e-3
    assert stats.kstest(log_cost, stats.norm(4.0, 0.9).cdf).pvalue < 1e-3
    own = jax.vmap(lambda c: policy.log_prob(0, c, phi, None, None))(jnp.asarray(table["cost"].to_numpy()))
    assert largest_z(table["action_index"], own) < MOST


def test_own_costs_may_be_given_where_costs_are_private():
    policy = bc.ExactPolicy(bc.Cournot(2, range(0, 61, 6)), population=bc.populations.LogNormal(8))
    own = np.array([[10.0, 1e5]] * 3)
    table = simulate(policy, phi={"log_mean": 4.0, "log_sd": 0.7}, cost=own, groups=3, rounds=200)
    assert table.groupby("participant")["cost"].first().tolist() == own.ravel().tolist()
    spread = table.astype({"action": float}).groupby("participant")["action"].std()
    assert np.all(spread.to_numpy()[::2] < 0.5 * spread.to_numpy()[1::2])


def test_groups_differ_in_known_costs_and_each_distinct_vector_is_solved_once(monkeypatch):
    asked, tables = [], solved._tables
    monkeypatch.setattr(
        solved, "_tables", lambda policy, cost, *rest: asked.append(cost) or tables(policy, cost, *rest)
    )
    cost = np.repeat([[0.2, 0.2], [20.0, 5.0]], 25, axis=0)
    table = labelled(simulate(bc.ExactPolicy(SELTEN), cost=cost, groups=50, rounds=40), SELTEN)
    assert [x.shape for x in asked] == [(2, 2)]
    for by, rows in table.groupby(["role_index", "cost"]):
        strategies = bc.equilibrium(SELTEN, cost[0] if by[1] == 0.2 else cost[-1]).log_strategies
        assert largest_z(rows["action_index"], np.asarray(strategies)[rows["role_index"]]) < MOST


def test_a_table_of_one_shot_play_is_read_back_by_the_loader(tmp_path):
    table = simulate(bc.ExactPolicy(SELTEN), cost=1.0, groups=4, rounds=5, seed=3)
    table.to_csv(tmp_path / "decisions.csv", index=False)
    read = bc.Decisions.from_csv(tmp_path / "decisions.csv", {"game": SELTEN})
    assert read.total == 40 and len(read.levels("participant")) == 8 and len(read.levels("group")) == 4
    counted = table.groupby(["participant", "action"]).size()
    for i, cell in read.cells.iterrows():
        labels = SELTEN.action_labels[cell["role_index"]]
        expected = [counted.get((cell["participant"], a), 0) for a in labels]
        assert read.counts[i, : len(labels)].tolist() == expected


def test_draws_outside_a_learned_policys_box_are_drawn_again_not_moved_to_its_walls():
    low, high = 20.0, 100.0
    domain = {"cost": (low, high), "phi.log_mean": (2.0, 6.0), "phi.log_sd": (0.1, 2.0)}
    population = bc.populations.LogNormal(8)
    policy = bc.AmortisedPolicy(bc.Cournot(2, range(0, 61, 6)), domain, population=population, width=4, depth=1)
    cost = simulate(policy, phi={"log_mean": 4.0, "log_sd": 1.0}, groups=500)["cost"]
    walls = stats.truncnorm(np.log(low) - 4, np.log(high) - 4, loc=4.0)
    assert cost.between(low, high).all()
    assert stats.kstest(np.log(cost), walls.cdf).pvalue > 1e-3
    clipped = np.clip(np.random.default_rng(0).lognormal(4.0, 1.0, 1000), low, high)
    assert stats.kstest(np.log(clipped), walls.cdf).pvalue < 1e-3
    with pytest.raises(bc.InputError, match="next to nobody"):
        simulate(policy, phi={"log_mean": 2.0, "log_sd": 0.1})


# Games over time
@pytest.fixture(scope="module")
def fished():
    return simulate(Greedy(), cost=[0.5, 1.0], groups=300, seed=4)


def test_what_was_seen_is_replayed_from_the_table_and_the_shares_are_right(fished):
    env = Fishery()
    table = labelled(fished, env)
    replayed = env.replay(table)
    assert not replayed.faults and replayed.known.all()
    ask = lambda cost: np.concatenate(
        [
            jax.vmap(lambda o, role=role: Greedy().log_prob((role, o), cost, None, None, None))(
                {n: jnp.asarray(x[table["role_index"] == role], float) for n, x in replayed.observations.items()}
            )
            for role in range(2)
        ]
    )
    actions = np.concatenate([table["action_index"][table["role_index"] == role] for role in range(2)])
    assert largest_z(actions, ask(jnp.asarray([0.5, 1.0]))) < MOST
    assert largest_z(actions, ask(jnp.asarray([0.5, 2.0]))) > MOST
    wrong = table.assign(stock=table["stock"].where(table.index != 7, 99.0))
    assert [f.row for f in env.replay(wrong).faults] == [7]


def test_rounds_after_the_end_are_not_written(fished):
    lengths = fished.groupby("group")["round"].max()
    assert lengths.nunique() > 3 and lengths.max() <= 12
    assert (fished.groupby("group").size() == 3 * lengths).all()
    last = fished[fished["round"] == fished["group"].map(lengths)]
    after = last.groupby("group").agg(
        stock=("stock", "first"), growth=("growth", "first"), caught=("action", lambda a: a.astype(float).sum())
    )
    over = np.maximum(after["stock"] - after["caught"], 0) + after["growth"] <= 2
    assert (over | (lengths == 12)).all()
    earlier = fished[fished["round"] < fished["group"].map(lengths)]
    assert (earlier["stock"] > 2).all()


def test_columns_are_the_contract(fished):
    assert list(fished) == ["participant", "group", "role", "round", "action", "growth", "stock", "payoff", "cost"]
    assert fished["role"].tolist()[:3] == ["big", "small", "small"]
    assert fished["participant"].tolist()[:3] == ["g001-p1", "g001-p2", "g001-p3"]
    assert set(fished[fished["role"] == "small"]["action"]) == {"0", "1"}
    assert fished.groupby("role")["cost"].unique().map(list).to_dict() == {"big": [0.5], "small": [1.0]}


def test_the_same_seed_gives_the_same_table_and_more_leaves_the_first_as_it_was(fished):
    again = simulate(Greedy(), cost=[0.5, 1.0], groups=40, seed=4)
    pd.testing.assert_frame_equal(again, fished[fished["group"].isin(again["group"])].reset_index(drop=True))
    short = simulate(Greedy(), cost=[0.5, 1.0], groups=40, rounds=3, seed=4)
    pd.testing.assert_frame_equal(short, again[again["round"] <= 3].reset_index(drop=True))
    assert not simulate(Greedy(), cost=[0.5, 1.0], groups=40, seed=5).equals(again)


def test_a_solved_game_over_time_is_looked_up():
    game = BusEngine(horizon=600)
    policy = bc.ExactPolicy(game)
    table = labelled(simulate(policy, cost=1.0, groups=20, seed=6, params={"RC": 5.0}), game)
    assert not game.replay(table.assign(participant=table["participant"].astype(str))).faults
    ask = lambda rc: policy.log_prob_table(1.0, None, None, {**game.params, "RC": jnp.asarray(rc)})[0][
        table["state"].to_numpy(int)
    ]
    assert largest_z(table["action_index"], ask(5.0)) < MOST
    assert largest_z(table["action_index"], ask(6.0)) > MOST


def test_a_learned_policy_over_time():
    walk = Walk()
    policy = bc.AmortisedPolicy(walk, {"cost": (0.1, 10.0)}, width=4, depth=1)
    table = labelled(simulate(policy, cost=0.7, groups=50), walk)
    assert table.groupby("group").size().tolist() == [20] * 50
    assert 0.0 < table["action_index"].mean() < 1.0


GAMES = {
    "newsvendor": lambda: Newsvendor(orders=range(0, 101, 20), rounds=6),
    "beer game": lambda: SupplyChain(3, orders=range(0, 21, 4), weeks=6),
    "capacity": lambda: CapacityAllocation(3, orders=range(0, 41, 8), rounds=6),
    "cobweb": lambda: Cobweb(players=3, forecasts=range(11), rounds=6),
    "cournot": lambda: RepeatedCournot(3, quantities=range(0, 61, 10), rounds=6),
}


@pytest.mark.parametrize("name", GAMES)
def test_every_game_over_time_is_read_back_as_it_was_played(name, tmp_path):
    """What the loader rebuilds from the table is what the policy saw: its probabilities given that fit the actions."""
    game = GAMES[name]()
    population = bc.populations.LogNormal(4) if game.players > 1 else None
    scale = float(game.stake_scale(jax.tree.map(jnp.asarray, game.params), 0))
    domain = {"cost": (1e-3 * scale, 10 * scale)}
    if population is not None:
        domain |= {"phi.log_mean": (-20.0, 20.0), "phi.log_sd": (0.1, 1.0)}
    prior = bc.priors.Previous()  # leans on what was decided
    skeleton = bc.AmortisedPolicy(game, domain, prior=prior, population=population, width=8, depth=1)
    weights = lambda x: x + 0.5 * jax.random.normal(jax.random.key(x.size), x.shape)  # an untrained network is flat
    policy = eqx.tree_at(lambda p: p.network, skeleton, jax.tree.map(weights, skeleton.network))
    phi = None if population is None else {"log_mean": np.log(0.3 * scale), "log_sd": 0.3}
    cost = np.full((40, game.players), 0.3 * scale)
    given = {"psi": {n: np.asarray(2.0) for n in prior.parameters}}
    simulate(policy, cost=cost, phi=phi, groups=40, seed=8, **given).to_csv(tmp_path / "play.csv", index=False)
    read = bc.Decisions.from_csv(tmp_path / "play.csv", {game.name: game})
    assert read.total == len(read.play.row) == 40 * 6 * game.players and read.play.masked == 0
    table = read.table.iloc[read.play.row]
    seen = {n: jnp.asarray(x) for n, x in read.play.observations[game.name].items()}
    params = jax.tree.map(jnp.asarray, game.params)
    log_probs = np.zeros((len(table), len(game.action_values[0])))
    for role in range(game.roles):
        here = np.flatnonzero(table["role_index"] == role)
        ask = lambda o, role=role: policy.log_prob((role, o), cost[0, 0], phi, given["psi"], params)
        log_probs[here] = jax.jit(jax.vmap(ask))({n: x[here] for n, x in seen.items()})
    assert largest_z(table["action_index"], log_probs) < MOST
    others = np.roll(log_probs, len(table) // 2, axis=0)  # probabilities of somebody who saw something else
    likely = lambda rows: np.mean(rows[np.arange(len(table)), table["action_index"]])
    assert likely(log_probs) > likely(others) + 0.01


LEARNED = bc.AmortisedPolicy(Walk(), {"cost": (0.1, 10.0)}, width=4, depth=1)
PRIVATE = bc.ExactPolicy(SELTEN, population=bc.populations.LogNormal(4))
BAD = {
    "no cost": (bc.ExactPolicy(SELTEN), {}, "No cost was given"),
    "a cost of zero": (bc.ExactPolicy(SELTEN), {"cost": 0.0}, "positive"),
    "a cost that is NaN": (bc.ExactPolicy(SELTEN), {"cost": [1.0, np.nan]}, "positive"),
    "too many costs": (bc.ExactPolicy(SELTEN), {"cost": [1, 2, 3]}, r"shape \(3,\)"),
    "costs of other groups": (bc.ExactPolicy(SELTEN), {"cost": np.ones((3, 2)), "groups": 4}, r"\(4, 2\)"),
    "known costs within a role": (bc.ExactPolicy(bc.Cournot(2, (0, 9))), {"cost": [[1, 2]], "groups": 1}, "one role"),
    "phi for known costs": (bc.ExactPolicy(SELTEN), {"cost": 1.0, "phi": {"log_mean": 1.0}}, "everybody knows"),
    "a phi that is missing": (PRIVATE, {"phi": {"log_mean": 1.0}}, "phi has no log_sd"),
    "a phi that is not": (PRIVATE, {"phi": {"mean": 1.0, "log_sd": 1.0}}, "names mean"),
    "a phi out of range": (PRIVATE, {"phi": {"log_mean": 1.0, "log_sd": -1.0}}, "log_sd is -1"),
    "a phi that is many": (PRIVATE, {"phi": {"log_mean": [1.0, 2.0], "log_sd": 1.0}}, "one number"),
    "a psi that is not": (bc.ExactPolicy(SELTEN), {"cost": 1.0, "psi": {"pull": 1.0}}, "has none"),
    "a parameter that is not": (bc.ExactPolicy(SELTEN), {"cost": 1.0, "params": {"tax": 1.0}}, "it has|has payoffs"),
    "a parameter of a wrong shape": (bc.ExactPolicy(SELTEN), {"cost": 1.0, "params": {"payoffs": 1.0}}, r"\(2, 2, 2\)"),
    "a parameter in words": (bc.ExactPolicy(SELTEN), {"cost": 1.0, "params": {"payoffs": "high"}}, "not a number"),
    "a cost outside the box": (LEARNED, {"cost": 99.0}, "outside the trained domain"),
    "no groups": (LEARNED, {"cost": 1.0, "groups": 0}, "groups is 0"),
    "less than a round": (LEARNED, {"cost": 1.0, "rounds": -1}, "rounds is -1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(name):
    policy, given, word = BAD[name]
    with pytest.raises(bc.InputError, match=word) as error:
        simulate(policy, **given)
    assert "\n" not in str(error.value)


def test_counts_are_whole_numbers_of_at_least_one():
    assert all(map(is_count, (1, np.int64(7), 10**9)))
    assert not any(map(is_count, (0, -1, 0.5, 1.0, True, np.float64(2), "3", None)))


def test_what_cannot_be_solved_is_said(monkeypatch):
    monkeypatch.setattr(solved, "_tables", lambda *_: np.full((2, 2, 1, 2), np.nan))
    with pytest.raises(bc.InputError, match=r"could not be solved at cost \[1.0, 1.0\]"):
        simulate(bc.ExactPolicy(SELTEN), cost=np.array([[1.0, 1.0], [2.0, 2.0]]), groups=2)


# Agents
DRAWS = (2, 400)
RNG = np.random.default_rng(0)


def fit_of(dims=None, coords=None, **sites):
    """A fit as `infer` gives it, as far as agents look."""
    named = {n: (("chain", "draw", *(dims or {}).get(n, ())), x) for n, x in sites.items()}
    latent = {n: (("chain", "draw"), np.zeros(DRAWS)) for n in sites if n != "cost"}
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset(named, coords=coords), "log_prior": xr.Dataset(latent)})
    return bc.Fit(tree, Status(), {})


MEAN, SD = RNG.normal(4.0, 0.4, DRAWS), RNG.lognormal(-0.7, 0.3, DRAWS)
SMALL = bc.Cournot(2, range(0, 61, 6))


def predictive(n=4000, low=-np.inf, high=np.inf):
    """Log costs of new people, drawn by NumPy and cut off by rejection within each posterior draw."""
    rng, out = np.random.default_rng(1), []
    while len(out) < n:
        i = rng.integers(MEAN.size)
        x = rng.normal(MEAN.flat[i], SD.flat[i])
        while not low < x < high:
            x = rng.normal(MEAN.flat[i], SD.flat[i])
        out.append(x)
    return np.array(out)


def is_same(x, y):
    return stats.ks_2samp(np.asarray(x), y).pvalue > 1e-3


def test_costs_of_new_people_are_the_posterior_predictive_and_not_that_of_the_posterior_mean():
    agents = Agents.from_fit(
        fit_of(log_cost_mean=MEAN, log_cost_sd=SD), bc.AmortisedPolicy(SMALL, {"cost": (1e-3, 1e6)}), n=3000, seed=1
    )
    assert is_same(np.log(agents.cost), predictive())
    certain = np.random.default_rng(2).normal(MEAN.mean(), SD.mean(), 3000)
    assert not is_same(certain, predictive())
    private = bc.AmortisedPolicy(
        SMALL,
        {"cost": (1e-3, 1e6), "phi.log_mean": (-9.0, 9.0), "phi.log_sd": (0.01, 9.0)},
        population=bc.populations.LogNormal(8),
    )
    agents = Agents.from_fit(fit_of(log_mean=MEAN, log_sd=SD), private, n=3000, seed=1)
    assert is_same(np.log(agents.cost), predictive())
    people = agents.table()
    np.testing.assert_allclose(people["log_mean"], MEAN.reshape(-1)[people["draw"]], rtol=1e-6)
    np.testing.assert_allclose(people["log_sd"], SD.reshape(-1)[people["draw"]], rtol=1e-6)


def test_new_people_are_drawn_inside_a_box_as_the_model_draws_them():
    low, high = 40.0, 90.0
    known = bc.AmortisedPolicy(SMALL, {"cost": (low, high)}, width=4, depth=1)
    private = bc.AmortisedPolicy(
        SMALL,
        {"cost": (low, high), "phi.log_mean": (-9.0, 9.0), "phi.log_sd": (0.01, 9.0)},
        population=bc.populations.LogNormal(8),
        width=4,
        depth=1,
    )
    expected = predictive(low=np.log(low), high=np.log(high))
    assert not is_same(np.clip(predictive(), np.log(low), np.log(high)), expected)
    for policy, names in ((known, ("log_cost_mean", "log_cost_sd")), (private, ("log_mean", "log_sd"))):
        agents = Agents.from_fit(fit_of(**dict(zip(names, (MEAN, SD), strict=True))), policy, n=2000)
        assert low <= agents.cost.min() and agents.cost.max() <= high
        assert is_same(np.log(agents.cost), expected)
    far = fit_of(log_mean=np.full(DRAWS, 1.0), log_sd=np.full(DRAWS, 0.1))
    with pytest.raises(bc.InputError, match="next to nobody"):
        Agents.from_fit(far, private, n=10)


def test_the_observed_people_come_in_turn_with_their_own_posterior_costs():
    cost = RNG.lognormal(np.array([1.0, 3.0, 5.0]), 0.2, (*DRAWS, 3))
    fit = fit_of({"cost": ("group",)}, {"group": ["a", "b", "c"]}, cost=cost, log_cost_mean=MEAN, log_cost_sd=SD)
    agents = Agents.from_fit(fit, bc.ExactPolicy(SMALL), n=600, resample="people")
    people = agents.table()
    assert people["person"].tolist()[:4] == ["a", "b", "c", "a"]
    np.testing.assert_allclose(people["cost"], cost.reshape(-1, 3)[people["draw"], np.arange(600) % 3], rtol=1e-6)
    assert people.groupby("person")["draw"].nunique().min() > 100
    assert agents.status == Status()


def test_a_population_is_of_one_draw_and_its_people_differ():
    fit = fit_of(log_cost_mean=MEAN, log_cost_sd=SD, psi_pull=SD)
    policy = bc.AmortisedPolicy(SMALL, {"cost": (1e-6, 1e9), "psi.pull": (0.0, 99.0)}, prior=bc.priors.Anchored())
    agents = Agents.from_fit(fit, policy, n=50, populations=200)
    people = agents.table()
    assert len(agents) == 10_000 and people["population"].tolist() == np.repeat(np.arange(200), 50).tolist()
    by = people.groupby("population")
    assert (by["draw"].nunique() == 1).all() and people["draw"].nunique() > 100
    mean, sd = MEAN.reshape(-1)[by["draw"].first()], SD.reshape(-1)[by["draw"].first()]
    log_cost = np.log(people["cost"].to_numpy()).reshape(200, 50)
    z = (log_cost - mean[:, None]) / sd[:, None]
    assert stats.kstest(z.ravel(), stats.norm.cdf).pvalue > 1e-3
    # What one population has in common does not average out.
    assert log_cost.mean(axis=1).std() > 0.9 * MEAN.std()
    assert np.log(Agents.from_fit(fit, policy, n=10_000).cost).reshape(200, 50).mean(axis=1).std() < 0.5 * MEAN.std()


@pytest.mark.slow
def test_pooled_fits_give_everybody_the_cost_of_their_draw_and_psi():
    log_cost, pull = RNG.normal(4, 0.1, DRAWS), RNG.uniform(0, 5, DRAWS)
    policy = bc.ExactPolicy(SMALL, bc.priors.Anchored())
    agents = Agents.from_fit(fit_of(log_cost=log_cost, psi_pull=pull), policy, n=50, seed=3)
    people = agents.table()
    np.testing.assert_allclose(np.log(people["cost"]), log_cost.reshape(-1)[people["draw"]], rtol=1e-5)
    np.testing.assert_allclose(people["psi_pull"], pull.reshape(-1)[people["draw"]], rtol=1e-5)
    assert (people["psi_anchor"] == 0.5).all()
    for i in (0, 7):
        psi = {"anchor": 0.5, "pull": people["psi_pull"][i]}
        expected = policy.log_prob_all(people["cost"][i], None, psi, None)[0]
        np.testing.assert_allclose(agents.log_prob()[i], expected, atol=1e-4)


@pytest.mark.slow
def test_more_agents_leave_the_first_and_other_parameters_keep_the_people():
    fit, policy = fit_of(log_cost_mean=MEAN, log_cost_sd=SD), bc.ExactPolicy(SMALL)
    few, many = (Agents.from_fit(fit, policy, n=n, seed=1) for n in (10, 70))
    pd.testing.assert_frame_equal(few.table(), many.table()[:10])
    taxed = Agents.from_fit(fit, policy, n=70, seed=1, params={"cost": 40.0})
    pd.testing.assert_frame_equal(taxed.table(), many.table())
    mean = lambda a: float((jnp.exp(a.log_prob()) @ a.grid()).mean())
    assert mean(taxed) < mean(many) - 5


def test_inferred_parameters_of_the_game_and_a_known_cost():
    game, rc = BusEngine(), RNG.normal(8.0, 1.0, DRAWS)
    policy, fit = bc.ExactPolicy(game), fit_of(RC=rc)
    agents = Agents.from_fit(fit, policy, n=5, cost=1.0)
    people = agents.table()
    np.testing.assert_allclose(people["params_RC"], rc.reshape(-1)[people["draw"]], rtol=1e-6)
    seen = {"state": jnp.asarray([0, 10, 20, 40, 80])}
    for i, place in enumerate(seen["state"].tolist()):
        expected = policy.log_prob_table(1.0, None, None, {**game.params, "RC": jnp.asarray(people["params_RC"][i])})
        np.testing.assert_allclose(agents.log_prob(seen)[i], expected[0, place], atol=1e-4)
    cheaper = Agents.from_fit(fit, policy, n=5, cost=1.0, params={"RC": 2.0})
    assert (cheaper.log_prob(seen)[1:, 1] > agents.log_prob(seen)[1:, 1]).all() and not cheaper.inferred
    with pytest.raises(bc.InputError, match="give that"):
        Agents.from_fit(fit, policy, n=5)
    with pytest.raises(bc.InputError, match="leave it out"):
        Agents.from_fit(fit_of(log_cost=rc), policy, n=5, cost=1.0)


def fishers(n):
    log_cost = RNG.normal(0.0, 0.5, DRAWS)
    return Agents.from_fit(fit_of(log_cost=log_cost), Greedy(), n=n)


def test_acts_are_in_the_shares_of_log_prob_inside_a_users_own_scan():
    agents = fishers(50)
    seen = {"own": jnp.linspace(0, 3, 50), "seen": jnp.asarray(3.0), "began": jnp.ones(())}

    @jax.jit
    def run(key):
        def week(stock, key):
            actions = agents.act(key, {**seen, "seen": stock}, "big")
            log_p = agents.log_prob({**seen, "seen": stock}, "big")
            return 0.5 * stock + 0.1 * agents.grid("big")[actions].mean(), (actions, log_p)

        return jax.lax.scan(week, jnp.asarray(6.0), jax.random.split(key, 10))[1]

    actions, log_p = jax.vmap(run)(jax.random.split(jax.random.key(1), 40))
    assert actions.shape == (40, 10, 50) and log_p.shape == (40, 10, 50, 4)
    assert largest_z(actions.reshape(-1), log_p.reshape(-1, 4)) < MOST
    assert largest_z(actions.reshape(-1), jax.nn.log_softmax(1.3 * log_p.reshape(-1, 4))) > MOST
    one = Greedy().log_prob((0, jax.tree.map(lambda x: x[7] if x.ndim else x, seen)), agents.cost[7], None, None, None)
    np.testing.assert_allclose(agents.log_prob(seen)[7], one, atol=1e-5)
    assert agents.log_prob(seen, "small").shape == (50, 2)


def test_numbers_that_change_from_round_to_round_are_not_compiled_anew():
    traced = []

    class Traced(Greedy):
        def log_prob(self, *given):
            traced.append(1)
            return super().log_prob(*given)

    agents = Agents.from_fit(fit_of(log_cost=MEAN), Traced(), n=4)
    for week in range(5):
        agents.act(jax.random.key(week), {"own": np.full(4, week), "seen": float(week), "began": int(week > 0)})
    assert len(traced) == 1


def test_agents_may_be_passed_as_arguments_and_changed_as_any_pytree():
    agents = fishers(5)
    seen = {"own": jnp.zeros(()), "seen": jnp.asarray(3.0), "began": jnp.zeros(())}
    richer = eqx.tree_at(lambda a: a.cost, agents, agents.cost * 100)
    spread = eqx.filter_jit(lambda a: jnp.exp(a.log_prob(seen)).max(axis=1))
    assert (spread(richer) < spread(agents)).all()


BAD_AGENTS = {
    "none": ({"n": 0}, {}, "n is 0"),
    "no populations": ({"populations": 0}, {}, "populations is 0"),
    "another kind": ({"resample": "ghosts"}, {}, "ghosts"),
    "nobody observed": ({"resample": "people"}, {}, "nobody can be resampled"),
    "a parameter that is not": ({"params": {"tax": 1.0}}, {}, "names tax"),
    "another fit": ({"fit": fit_of(mean=MEAN)}, {}, "has no log_cost"),
    "another population": ({"policy": PRIVATE}, {}, "has no log_mean"),
    "a role that is not": ({}, {"role": "huge"}, "big, small"),
    "nothing seen": ({}, {"observation": None}, "what is seen is own, seen, began|what is seen is"),
    "something missing": ({}, {"observation": {"own": 1.0, "seen": 1.0}}, "has own, seen"),
    "a wrong number": ({}, {"observation": {"own": np.zeros(4), "seen": 1.0, "began": 1.0}}, r"\(3,\), one row"),
}


@pytest.mark.parametrize("name", BAD_AGENTS)
def test_bad_agents(name):
    made, asked, word = BAD_AGENTS[name]
    given = {"fit": fit_of(log_cost=MEAN), "policy": Greedy(), "n": 3} | made
    with pytest.raises(bc.InputError, match=word):
        Agents.from_fit(**given).log_prob(**{"observation": {"own": 1.0, "seen": 1.0, "began": 1.0}} | asked)


@pytest.mark.slow
def test_costs_of_a_fit_outside_a_learned_policys_box_are_refused():
    with pytest.raises(bc.InputError, match="outside the trained domain"):
        Agents.from_fit(fit_of(log_cost=np.full(DRAWS, 9.0)), LEARNED, n=3)


@pytest.mark.slow
def test_from_decisions_to_agents():
    """The fit's own posterior: the observed groups, and new ones."""
    cost = np.repeat(np.random.default_rng(7).lognormal(0.0, 0.5, 8)[:, None], 2, axis=1)
    policy = bc.ExactPolicy(SELTEN)
    table = simulate(policy, cost=cost, groups=8, rounds=150, seed=1)
    decisions = bc.Decisions.from_table(table, {"selten-chmura-01": SELTEN})
    nuts = bc.NUTS(draws=200, warmup=200, chains=2)
    fit = bc.infer(bc.build_model(policy, bc.populations.Homogeneous(), decisions, by="group"), nuts)
    agents = Agents.from_fit(fit, policy, n=400, resample="people")
    estimated = agents.table().groupby("person")["cost"].agg(["mean", "std"]).to_numpy()
    assert np.all(np.abs(estimated[:, 0] - cost[:, 0]) < 4 * estimated[:, 1])
    new = Agents.from_fit(fit, policy, n=400)
    assert np.log(new.cost).std() > np.log(agents.cost).std() * 0.8
