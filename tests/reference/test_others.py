"""Whom people believe they meet: each concept against brute force in NumPy, and what SoftQ learns against each."""

from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

import bayescal as bc
from bayescal.diagnostics.oracle import exact_twin
from bayescal.precision import double_precision

GRID = np.array([20.0, 40.0])
COSTS, WEIGHTS = np.array([20.0, 200.0]), np.array([0.5, 0.5])
PULL = 3.0
PAY = (100 - GRID[:, None] - GRID[None] - 1) * GRID[:, None]  # by own and other quantity
PEOPLE = bc.populations.Discrete(COSTS, WEIGHTS)


class Imitation(bc.priors.Naive):
    @property
    def defaults(self):
        return {"pull": PULL}


def market(rounds):
    return bc.RepeatedCournot(2, quantities=GRID, rounds=rounds)


def exact(others, rounds=2):
    return bc.ExactPolicy(market(rounds), Imitation(), PEOPLE, others=others)


def log_habit(rival, began):
    """log q after the rival's action; flat at first."""
    x = -began * PULL * np.sqrt(((GRID - rival) / (GRID[1] - GRID[0])) ** 2 + 1e-4)
    return x - np.log(np.exp(x).sum())


def by_hand(others):
    """Probabilities (cost, action) in the first and (cost, own last, rival's last, action) in the second of two rounds,
    by iteration. In the second round what a rival did in the first says something of its cost, or nothing."""
    first, second = np.full((2, 2), 0.5), np.full((2, 2, 2, 2), 0.5)
    for _ in range(2000):
        before, worth, later = first, np.zeros((2, 2, 2)), np.zeros_like(second)
        for c, i, j in product(range(2), repeat=3):
            belief = WEIGHTS * (first[:, j] if others == "persistent" else 1.0)
            met = sum(belief[k] / belief.sum() * second[k, j, i] for k in range(2))
            logits = log_habit(GRID[j], 1.0) + PAY @ met / COSTS[c]
            later[c, i, j] = softmax(logits)
            worth[c, i, j] = COSTS[c] * (logits.max() + np.log(np.exp(logits - logits.max()).sum()))
        met = WEIGHTS @ first
        now = np.array([softmax(log_habit(0.0, 0.0) + (PAY + worth[c]) @ met / COSTS[c]) for c in range(2)])
        change = max(np.abs(now - first).max(), np.abs(later - second).max())
        first, second = (before + now) / 2, (second + later) / 2
        if change < 1e-13:
            break
    return first, second


def observations(rounds):
    """Before the first round, and all four outcomes before each later one."""
    later = list(product(range(1, rounds), GRID, GRID))
    played, own, seen = (np.array(x) for x in zip((0, 0.0, 0.0), *later, strict=True))
    shown = market(rounds).seen_after(own, seen, played.astype(int), market(rounds).params)
    return {n: np.asarray(x) for n, x in shown.items()}


def tables(policy, rounds=2):
    """Log-probabilities (cost, observation, action)."""
    seen = observations(rounds)
    with double_precision():
        ask = jax.jit(lambda costs: policy.tables_at(seen, costs, {}, None, None))
        return np.asarray(ask(jnp.asarray(COSTS)))


@pytest.fixture(scope="module")
def solutions():
    return {others: tables(exact(others)) for others in ("average", "persistent")}


def in_one_table(first, second):
    return np.concatenate([first[:, None], second.reshape(2, 4, 2)], axis=1)


@pytest.mark.parametrize("others", ["average", "persistent"])
def test_solutions_are_those_of_brute_force(others, solutions):
    np.testing.assert_allclose(np.exp(solutions[others]), in_one_table(*by_hand(others)), atol=1e-9)


def test_the_two_concepts_differ():
    """In nats a decision, on the path of play: what one concept loses where people follow the other."""
    average, (first, second) = by_hand("average"), by_hand("persistent")
    kl = lambda p, q: np.sum(p * np.log(p / q), axis=-1)
    reach = np.einsum("ci,j->cij", first, WEIGHTS @ first)
    nats = WEIGHTS @ (kl(first, average[0]) + np.sum(reach * kl(second, average[1]), axis=(1, 2))) / 2
    assert nats > 0.0025


def test_three_rounds_with_the_same_rival_are_an_equilibrium():
    """Every history is listed: beliefs, and the values of actions given what is observed, are then sums over it."""
    play = np.exp(tables(exact("persistent", 3), 3))
    at = lambda t, i, j: 0 if t == 0 else 1 + 4 * (t - 1) + 2 * i + j
    value = np.zeros((2, 2, 2, 4))  # cost, own last, rival's last, round
    for t, c in product((2, 1, 0), range(2)):
        chance = np.zeros((2, 2, 2))  # own last, rival's last, rival's cost
        for k, *past in product(range(2), *[[(0, 0), (0, 1), (1, 0), (1, 1)]] * t):
            p, last = WEIGHTS[k], (0, 0)
            for s, (i, j) in enumerate(past):
                p *= play[c, at(s, *last), i] * play[k, at(s, *last[::-1]), j]
                last = (i, j)
            chance[(*last, k)] += p
        for i, j in product(range(2), repeat=2) if t else [(0, 0)]:
            belief = chance[i, j] / chance[i, j].sum()
            met = sum(belief[k] * play[k, at(t, j, i)] for k in range(2))
            logits = log_habit(GRID[j], float(t > 0)) + (PAY + value[c, :, :, t + 1]) @ met / COSTS[c]
            np.testing.assert_allclose(play[c, at(t, i, j)], softmax(logits), atol=1e-9)
            value[c, i, j, t] = COSTS[c] * (logits.max() + np.log(np.exp(logits - logits.max()).sum()))


def learned(others, explore):
    # Of the same rivals only their costs are drawn: that noise needs more games than the exact mean of the average.
    size = {"average": {"steps": 2000, "games": 64}, "persistent": {"steps": 3000, "games": 128}}[others]
    skeleton = bc.AmortisedPolicy(
        market(2), {"cost": (10.0, 400.0)}, prior=Imitation(), population=PEOPLE, width=32, others=others
    )
    return bc.train(bc.SoftQ(skeleton, **size, explore=explore, expected=True)).policy


@eqx.filter_jit
def choices(policy, seen, cost):
    return policy.log_prob_cells(0, seen, cost, {}, None, None)


def nats(truth, policy):
    """The largest divergence of any decision."""
    mine = np.stack([np.asarray(choices(policy, observations(2), np.asarray(c))) for c in COSTS])
    return np.sum(np.exp(truth) * (truth - mine), axis=-1).max()


@pytest.mark.slow
@pytest.mark.parametrize(("others", "explore"), [("average", 0.0), ("average", 0.5), ("persistent", 0.0)])
def test_what_is_learned_is_its_own_concept_however_much_is_explored(others, explore, solutions):
    policy = learned(others, explore)
    (other,) = {"average", "persistent"} - {others}
    assert nats(solutions[others], policy) < 1e-4
    assert nats(solutions[other], policy) > 1e-2  # the other concept would be seen


def test_a_model_says_whom_people_believe_they_meet():
    rows = [("market", person, t, "20") for t in (1, 2) for person in ("ann", "ben")]
    table = pd.DataFrame(rows, columns=["group", "participant", "round", "action"])
    decisions = bc.Decisions.from_table(table, {"cournot-repeated": market(2)})
    describe = lambda others: bc.build_model(exact(others), PEOPLE, decisions).description
    assert "the same people all game long" in describe("persistent")
    assert "all game long" not in describe("average")


def test_the_twin_has_the_same_concept():
    policy = bc.AmortisedPolicy(market(2), {"cost": (10.0, 400.0)}, population=PEOPLE, others="persistent")
    assert exact_twin(policy).others == "persistent"
    with pytest.raises(bc.InputError, match="two players and at most 12 actions"):
        bc.ExactPolicy(bc.RepeatedCournot(), population=PEOPLE, others="persistent")
    three = bc.AmortisedPolicy(bc.RepeatedCournot(3, GRID, 2), {"cost": (10.0, 400.0)}, population=PEOPLE)
    with pytest.raises(bc.InputError, match="expected is for games of two players"):
        bc.SoftQ(three, expected=True)
