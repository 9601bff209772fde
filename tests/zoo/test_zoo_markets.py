"""The networks of markets over time: against the exact newsvendor, and against what is known of low and high costs."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.policies.base import tilt
from bayescal.resources import resource_path
from bayescal.training.certificate.exact_reply import reply_gains
from bayescal.training.points import corner_points, sample_points

NAMES = ["newsvendor", "cobweb", "cournot-repeated"]


def certificate(name):
    return json.loads((resource_path("models", name) / "certificate.json").read_text())


@pytest.fixture(scope="module")
def policies():
    return {name: bc.load_model(name) for name in NAMES}


def play(policy, cost, phi, psi, params=None, games=32, seed=0):
    """What `games` groups of people of one cost choose, (games, rounds, players), in the grid's units."""
    params = policy.environment.params | (params or {})
    given = jax.tree.map(jnp.asarray, (cost, phi, policy.prior.defaults | psi, params))
    return jax.tree.map(np.asarray, all_games(policy, *given, jax.random.split(jax.random.key(seed), games)))


@eqx.filter_jit
def all_games(policy, cost, phi, psi, params, keys):
    env = policy.environment
    grid = jnp.asarray(env.action_values[0])

    def game(key):
        def round_(state, key):
            act, go = jax.random.split(key)
            log_p = jnp.stack(
                [policy.log_prob((0, env.observe(state, i)), cost, phi, psi, params) for i in range(env.players)]
            )
            joint = jax.random.categorical(act, log_p).astype(jnp.int32)
            after, _, _ = env.step(go, state, joint, params)
            return after, (grid[joint], jax.tree.map(lambda x: x, env.record(state, joint, after, params)))

        first, rest = jax.random.split(key)
        return jax.lax.scan(round_, env.reset(first, params), jax.random.split(rest, env.horizon))[1]

    return jax.vmap(game)(keys)


@pytest.mark.slow
def test_the_newsvendor_is_the_exact_one(policies):
    """Where play leads at 20 points of the domain, seen by people who decide by habit alone; the median and the mean
    of 600 decisions within what the certificate says of its own, with room for 20 points instead of its own."""
    policy = policies["newsvendor"]
    env, prior = policy.environment, policy.prior
    points = sample_points(policy, jax.random.key(11), 20)
    rng = np.random.default_rng(0)
    orders, demand = rng.integers(20, 90, (20, 30)).astype(float), rng.integers(1, 101, (20, 30)).astype(float)
    own, seen = (np.c_[np.zeros(20), x[:, :-1]] for x in (orders, demand))
    usual = np.c_[np.zeros(20), (np.cumsum(orders, axis=1) / np.arange(1, 31))[:, :-1]]
    round_ = np.tile(np.arange(30), (20, 1))
    history = {"own": own, "seen": seen, "usual": usual, "began": (round_ > 0).astype(float), "round": round_}

    @jax.jit
    def divergence(point, history):
        cost = jnp.ravel(point.cost)[0]

        def one(observation):
            log_q = policy.log_prior_of(0, point.psi, observation)
            exact = tilt(log_q, env.exact_values(observation, cost, point.psi, point.params, prior), cost)
            learned = policy.log_prob((0, observation), cost, None, point.psi, None)
            return jnp.sum(jnp.exp(exact) * (exact - learned))

        return jax.vmap(one)(history)

    pick = lambda x, i: jax.tree.map(lambda leaf: jnp.asarray(leaf[i]), x)
    kl = np.stack([np.asarray(divergence(pick(points, i), pick(history, i))) for i in range(20)])
    assert np.all(kl > -1e-4)
    assert np.median(kl) < 1e-3
    assert kl.mean() < 2e-2
    assert certificate("newsvendor")["kl"]["median"] < 1e-3


def test_no_reply_gains_in_the_middle_of_the_cobweb():
    surely = lambda x: x["mean"] - 2 * x["standard error"]
    cells = certificate("cobweb")["cells"]
    gains = {where: [max(surely(c["gain"]), surely(c["played"])) for c in cells if where in c["at"]] for where in
             ("middle", "corner")}  # fmt: skip
    assert len(gains["middle"]) >= 10 and len(gains["corner"]) >= 8
    assert max(gains["middle"]) < 0.002
    assert max(gains["corner"]) < 0.4  # where others are all but random and supply is steep


@pytest.mark.slow
def test_the_rational_price_comes_true_in_the_stable_market(policies):
    policy = policies["cobweb"]
    low = {"log_mean": float(np.log(100.0)), "log_sd": 0.1}
    forecasts, kept = play(policy, 60.0, low, {"gain": 1.0, "pull": 10.0}, {"kappa": 0.22})
    price = kept["price"][:, 10:, 0]
    rational = policy.environment.rational_price(0.22)
    assert abs(price.mean() - rational) < 0.1
    assert abs(forecasts[:, 10:].mean() - rational) < 0.15
    # Next to nothing but noise: its variance is 0.25.
    assert price.var() < 0.35


@pytest.mark.slow
def test_habit_makes_unstable_markets_swing_and_information_calms_them(policies):
    policy = policies["cobweb"]
    naive = {"gain": 1.0, "pull": 40.0}
    variance = {}
    for what, cost, mean in (("habit", 10_000.0, np.log(3000.0)), ("informed", 60.0, np.log(100.0))):
        phi = {"log_mean": float(mean), "log_sd": 0.1}
        variance[what] = [
            play(policy, cost, phi, naive, {"kappa": kappa})[1]["price"][:, 10:, 0].var() for kappa in (0.22, 0.5, 2.0)
        ]
    stable, unstable, strongly = variance["habit"]
    assert stable < unstable < strongly
    assert variance["informed"][2] < 0.5 * strongly


@pytest.mark.slow
def test_informed_duopolists_end_at_nash_quantities(policies):
    """In the last round, which is a game of its own, at a cost of next to nothing: 33 each."""
    phi = {"log_mean": float(np.log(50.0)), "log_sd": 0.1}
    quantities, _ = play(policies["cournot-repeated"], 10.0, phi, {"pull_0": 0.0, "pull_1": 0.0})
    assert abs(quantities[:, -1].mean() - 33) < 2
    assert abs(quantities[:, 5:].mean() - 33) < 2.5


@pytest.mark.slow
def test_exact_replies_gain_no_more_than_the_certificate_says(policies):
    """In the middle of the box and at two corners. A network whose values are off by a fifth is caught."""
    policy, written = policies["cournot-repeated"], certificate("cournot-repeated")
    costs = sorted(map(float, written["best_reply_nats"]))
    worst = max(max(g["max"] for g in where.values()) for where in written["best_reply_nats"].values())
    assert worst <= written["limit"]
    gains = eqx.filter_jit(lambda policy, point: reply_gains(policy, point, jnp.asarray(costs), nodes=24).nats)
    some = jax.tree.map(lambda *x: jnp.concatenate(x), sample_points(policy, jax.random.key(5), 1), corners_of(policy))
    found = [np.asarray(gains(policy, jax.tree.map(lambda x, i=i: x[i], some))) for i in range(len(some.cost))]
    assert np.max(found) <= 1.2 * worst  # float32, and fewer nodes
    off = eqx.tree_at(lambda p: p.network.shapes, policy, 1.2 * policy.network.shapes)
    assert np.max(gains(off, jax.tree.map(lambda x: x[-1], some))) > written["limit"]


def corners_of(policy):
    return jax.tree.map(lambda x: x[::16], corner_points(policy, 32))
