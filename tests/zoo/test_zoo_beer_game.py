"""The beer game's network: whole, base-stock-like where information is cheap, with a bullwhip where it is not."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.environments.base_stock import best_base_stock, rounds_that_count
from bayescal.environments.supply_chain import SupplyChain
from bayescal.resources import resource_path
from bayescal.training.train import train
from tests.unit import shops

LOW = 0.5  # the smallest cost of the box
MOST = 0.04  # nats a decision
KL = 0.005  # nats a decision
UNIFORM, CHASING = {"pull_0": 0.0, "pull_1": 0.0}, {"pull_0": 0.0, "pull_1": 12.0}


@pytest.fixture(scope="module")
def policy():
    return bc.load_model("beer-game")


@pytest.fixture(scope="module")
def played(policy):
    """(cost, psi, games, weeks) -> a table of play in which everybody has about this cost."""
    low, high = next((i.low, i.high) for n, i in policy.domain.intervals if n == "phi.log_mean")

    def run(cost, psi, groups=100, rounds=None):
        phi = {"log_mean": float(np.clip(np.log(cost), low, high)), "log_sd": 0.1}
        return bc.simulate(policy, cost=cost, phi=phi, psi=psi, groups=groups, rounds=rounds, seed=1)

    return run


def order_sd(table):
    """By role, upstream: the standard deviation of orders over the weeks of a game, once the start is over."""
    late = table[table["round"] > 6].assign(order=lambda t: t["action"].astype(float))
    by = late.groupby(["role", "group"])["order"].std().groupby("role").mean()
    return by[["retailer", "wholesaler", "distributor", "factory"]].to_numpy()


def test_its_certificate():
    """In the middle of the box no reply that was found gains more than a little, in any role and at any cost."""
    certificate = json.loads((resource_path("models", "beer-game") / "certificate.json").read_text())
    assert certificate["oracle"] is None
    surely = lambda x: x["mean"] - 2 * x["standard error"]
    middle = [c for c in certificate["cells"] if c["at"] == "middle"]
    assert {c["role"] for c in middle} == {"retailer", "wholesaler", "distributor", "factory"}
    assert max(max(surely(c["gain"]), surely(c["played"])) for c in middle) < MOST


@pytest.mark.slow
def test_who_pays_little_does_about_as_well_as_the_best_base_stock(policy, played):
    env = policy.environment
    best = best_base_stock(env)
    rounds = rounds_that_count(env)
    table = played(LOW, UNIFORM, groups=256, rounds=rounds)
    weight = env.discount ** (table["round"] - 1)
    paid = (table["payoff"] * weight).groupby(table["group"]).sum() / env.players
    error = np.hypot(paid.std() / np.sqrt(len(paid)), best.standard_error)
    assert paid.mean() > 1.25 * best.payoff - 3 * error


@pytest.mark.slow
def test_cheap_information_is_base_stock_like(played):
    """Orders fall as the inventory position rises: at the ends of the chain about as those of a shop that is always
    supplied, which is solved exactly; less in between, where part of what is on order will be late."""
    exact = slope_and_correlation(*weeks_of_a_shop(LOW))
    assert exact == pytest.approx((-0.78, -0.81), abs=0.02)
    table = played(LOW, UNIFORM)
    late = table[table["round"] > 6]
    for role, own in late.groupby("role"):
        position = (own["inventory"] - own["backlog"] + own["supply_line"]).to_numpy()
        found = slope_and_correlation(position, own["action"].astype(float).to_numpy())
        if role in ("retailer", "factory"):
            assert found == pytest.approx(exact, abs=0.15), role
        assert found[0] < -0.3 and found[1] < -0.6, role


def slope_and_correlation(position, order):
    return np.cov(position, order)[0, 1] / position.var(), np.corrcoef(position, order)[0, 1]


def weeks_of_a_shop(cost):
    """(inventory positions, orders) of shops of one echelon that choose as the exact solution does."""
    chances = shops.choices(SupplyChain(1), cost)
    rng, position, seen = np.random.default_rng(0), np.full(300, 20), []
    for _ in range(36):
        order = np.array([rng.choice(21, p=chances[x + 300]) for x in position])
        seen.append((position, order))
        position = position + order - rng.integers(0, 9, 300)
    return (np.concatenate(x) for x in zip(*seen[6:], strict=True))


def test_orders_swing_more_where_information_is_dear_and_demand_chasing_makes_a_bullwhip(played):
    sds = np.stack([order_sd(played(c, UNIFORM)) for c in (0.5, 5.0, 50.0)])
    assert np.all(np.diff(sds, axis=0) > 0)  # at every place
    chasing = order_sd(played(50.0, CHASING))
    assert np.all(np.diff(chasing) > -0.05)  # along the chain, but for the noise of a hundred chains
    assert chasing[-1] > chasing[0] + 0.2


@pytest.mark.slow
def test_one_echelon_is_learned_as_it_is_solved():
    """Wherever the learned policy leads, it chooses as the exact one does. A worth that is off by a twentieth of the
    payoffs' spread is seen."""
    env = SupplyChain(1)
    skeleton = bc.StagedPolicy(env, {"cost": (0.3, 15.0)}, width=32)
    policy = train(bc.LookAhead(skeleton, steps=2500, games=64, tries=7, horizon=12)).policy
    params = jax.tree.map(jnp.asarray, env.params)

    @eqx.filter_jit
    def run(policy, key, cost):
        def week(state, key):
            seen = env.observe(state, 0)
            log_p = policy.log_prob((0, seen), cost, None, None, None)
            act, chance = jax.random.split(key)
            state, *_ = env.step(chance, state, jax.random.categorical(act, log_p)[None], params)
            return state, (seen["inventory"] + seen["supply_line"], log_p)

        begin, go = jax.random.split(key)
        return jax.lax.scan(week, env.reset(begin, params), jax.random.split(go, 36))[1]

    def divergence(policy, cost):
        keys = jax.random.split(jax.random.key(2), 64)
        position, log_p = jax.vmap(lambda k: run(policy, k, jnp.asarray(cost)))(keys)
        exact = shops.choices(env, cost)[np.asarray(position, int).ravel() + 300]
        kl = np.sum(exact * (np.log(np.maximum(exact, 1e-300)) - np.asarray(log_p).reshape(exact.shape)), axis=1)
        return kl.mean()

    found = {cost: divergence(policy, cost) for cost in (0.5, 2.0, 8.0)}
    assert max(found.values()) < KL, found
    tilt = policy.network.worth.biases[-1].at[:, 1].add(0.5)  # 1.5 money from one end of the grid to the middle
    off = eqx.tree_at(lambda p: p.network.worth.biases, policy, (*policy.network.worth.biases[:-1], tilt))
    assert divergence(off, 2.0) > KL
