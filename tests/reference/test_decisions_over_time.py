"""People with costs of their own in decision problems over time, against NumPy: one by one given their costs, and with
their costs integrated out; with habits, lapses and learning."""

import jax
import numpy as np
import pandas as pd
import pytest
from numpyro.infer import log_likelihood
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

import bayescal as bc
from bayescal.environments.markov import MarkovGame

PEOPLE, ROUNDS = 3, 4
POPULATION = bc.populations.LogNormal()
RNG = np.random.default_rng(8)
TIME = np.arange(ROUNDS) / (ROUNDS - 1)
LAPSE, DRIFT = 0.07, -0.6

# --- A shop whose orders have no consequences later: what they are worth is the same in every round ---

ORDERS = np.arange(0.0, 101.0, 20.0)
SHOP = bc.Newsvendor(orders=range(0, 101, 20), rounds=ROUNDS, discount=0.0)
PROFIT = np.array([np.mean([12 * min(q, d) - 3 * q for d in range(1, 101)]) for q in ORDERS])
HABITS = bc.priors.Product((bc.priors.Previous(), bc.priors.Centre()))
ORDERED = RNG.integers(0, 6, (PEOPLE, ROUNDS))


def shop():
    rows = [
        {"participant": f"p{i}", "round": t + 1, "action": int(ORDERS[ORDERED[i, t]]), "demand": 10 + 7 * t + i}
        for i in range(PEOPLE)
        for t in range(ROUNDS)
    ]
    return bc.Decisions.from_table(pd.DataFrame(rows), {"shop": SHOP})


def shop_log_probs(person, log_cost, drift, lapse):
    """Of a person's decisions at some costs: (costs, rounds)."""
    out = []
    for t in range(ROUNDS):
        habit = -0.8 * np.hypot((ORDERS - 50) / 100, 0.01)
        if t:
            habit = habit - 1.5 * np.hypot((ORDERS - ORDERS[ORDERED[person, t - 1]]) / 100, 0.01)
        cost = np.exp(log_cost + drift * TIME[t])[:, None]
        out.append(log_softmax(habit + PROFIT / cost, axis=1)[:, ORDERED[person, t]])
    return np.logaddexp(np.log1p(-lapse) + np.stack(out, axis=1), np.log(lapse / 6))


# --- A machine that wears out: two states, of which one's decision moves the next ---

MONEY, MOVES = np.array([[1.0, 0.2], [-0.5, 0.4]]), RNG.dirichlet(np.ones(2), size=(2, 2))
MACHINE = MarkovGame(MONEY[:, None], MOVES, 0.8, name="machine", action_labels=[("run", "mend")])
STATE, DONE = RNG.integers(0, 2, (PEOPLE, ROUNDS)), RNG.integers(0, 2, (PEOPLE, ROUNDS))


def machine():
    rows = [
        {"participant": f"p{i}", "round": t + 1, "action": ("run", "mend")[DONE[i, t]], "state": STATE[i, t]}
        for i in range(PEOPLE)
        for t in range(ROUNDS)
    ]
    return bc.Decisions.from_table(pd.DataFrame(rows), {"machine": MACHINE})


def machine_log_probs(person, log_cost, drift, lapse):
    out = []
    for t in range(ROUNDS):
        cost, v = np.exp(log_cost + drift * TIME[t])[:, None, None], np.zeros((len(log_cost), 2))
        for _ in range(200):
            q = MONEY + 0.8 * np.einsum("sat,kt->ksa", MOVES, v)
            v = cost[..., 0] * (logsumexp(q / cost, axis=2) - np.log(2))
        out.append(log_softmax(q / cost, axis=2)[:, STATE[person, t], DONE[person, t]])
    return np.logaddexp(np.log1p(-lapse) + np.stack(out, axis=1), np.log(lapse / 2))


# --- Both ---

GAMES = {
    "shop": (shop, shop_log_probs, bc.ExactPolicy(SHOP, HABITS), {"log_mean": 3.5, "log_sd": 0.7},
             {"prior_parameters": True}, {"psi_pull_0": 1.5, "psi_pull_1": 0.8}),
    "machine": (machine, machine_log_probs, bc.ExactPolicy(MACHINE), {"log_mean": -0.3, "log_sd": 0.7}, {}, {}),
}  # fmt: skip


def by_model(name, method, values, **options):
    """The log-likelihood of the one observed site."""
    table, _, policy, _, habits, psi = GAMES[name]
    with jax.enable_x64(True):
        model = bc.build_model(policy, POPULATION, table(), method=method, **habits, **options)
        draw = {n: np.asarray(x, float)[None] for n, x in (values | psi).items()}
        (found,) = jax.jit(lambda draw: log_likelihood(model, draw))(draw).values()
    return np.asarray(found)[0]


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("learning", [True, False])
def test_costs_are_integrated_out(name, learning):
    _, by_hand, _, phi, _, _ = GAMES[name]
    values = phi | {"lapse": LAPSE} | ({"drift": DRIFT} if learning else {})
    found = by_model(name, "marginal", values, lapse=True, learning=learning)
    x = np.linspace(phi["log_mean"] - 6, phi["log_mean"] + 6, 1201)
    density = norm.logpdf(x, phi["log_mean"], phi["log_sd"]) + np.log(x[1] - x[0])
    curves = [by_hand(i, x, DRIFT if learning else 0.0, LAPSE).sum(axis=1) for i in range(PEOPLE)]
    np.testing.assert_allclose(found, [logsumexp(c + density) for c in curves], atol=1e-4)


@pytest.mark.parametrize("name", GAMES)
def test_decisions_one_by_one_at_known_costs(name):
    _, by_hand, _, phi, _, _ = GAMES[name]
    log_cost = phi["log_mean"] + np.array([0.4, -0.7, 0.1])
    values = phi | {"log_cost": log_cost, "lapse": LAPSE, "drift": DRIFT}
    found = by_model(name, "joint", values, lapse=True, learning=True, centred=True)
    expected = [by_hand(i, log_cost[i : i + 1], DRIFT, LAPSE)[0] for i in range(PEOPLE)]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-8)
