"""Noise floors against exact expectations: every outcome of a few decisions is listed, with its probability."""

from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np
import pandas as pd
import pytest
from scipy.special import digamma
from scipy.stats import binom, multinomial

import bayescal as bc
from bayescal.comparison.noise_floor import (
    Done,
    bias_of_entropy,
    done_by,
    entropy,
    floor_of_known,
    floor_of_unknown,
    noise_floor,
)

LAWS = [(0.5, 0.5), (0.8, 0.2), (0.95, 0.05), (0.6, 0.3, 0.1), (0.4, 0.4, 0.15, 0.05), (1.0, 0.0)]


def true_entropy(p):
    p = np.asarray(p)[np.asarray(p) > 0]
    return -float(p @ np.log(p))


def outcomes(n, p):
    """(all counts of n decisions, their probabilities)."""
    grid = np.stack(np.meshgrid(*[np.arange(n + 1)] * (len(p) - 1), indexing="ij"), axis=-1).reshape(-1, len(p) - 1)
    grid = grid[grid.sum(axis=1) <= n]
    counts = np.column_stack([grid, n - grid.sum(axis=1)])
    return counts, multinomial.pmf(counts, n, p)


@pytest.mark.parametrize("p", LAWS)
@pytest.mark.parametrize("n", [2, 5, 10, 21, 40])
def test_its_bias_is_the_one_that_is_stated(n, p):
    counts, weight = outcomes(n, p)
    bias = weight @ entropy(counts) - true_entropy(p)
    assert bias == pytest.approx(bias_of_entropy(np.array(p), n), abs=1e-10)
    assert -0.29 * len(p) / n <= bias <= 1e-12
    plugged = counts / n
    with np.errstate(divide="ignore", invalid="ignore"):
        plug_in = -np.where(counts > 0, plugged * np.log(plugged), 0).sum(axis=1)
    assert weight @ plug_in <= weight @ entropy(counts) + 1e-12  # closer than shares put into the formula


def test_a_coin_is_not_more_than_a_coin():
    """The estimator of before was for a number of decisions that is random itself."""
    counts, weight = outcomes(21, (0.5, 0.5))
    assert weight @ entropy(counts) == pytest.approx(np.log(2), abs=1e-7)
    safe = np.maximum(counts, 1)
    sign = np.where(counts % 2 == 0, 1.0, -1.0)
    g = digamma(safe) + 0.5 * sign * (digamma((safe + 1) / 2) - digamma(safe / 2))
    before = np.log(21) - np.where(counts > 0, counts * g, 0.0).sum(axis=1) / 21
    assert weight @ before == pytest.approx(0.7171, abs=1e-4)


def crowds(people, each, laws):
    """Every multiset of what people chose of two actions, whose laws are drawn with equal chances: (counts of each
    person, probability)."""
    chance = np.mean([binom.pmf(np.arange(each + 1), each, p) for p in laws], axis=0)
    for firsts in combinations_with_replacement(range(each + 1), people):
        times = np.bincount(firsts, minlength=each + 1)
        orders = factorial(people) / prod(map(factorial, times.tolist()))
        yield np.array([[k, each - k] for k in firsts]), orders * prod(chance[k] for k in firsts)


def expectation(estimates, weights):
    mean, se = np.array([(e.mean, e.se) for e in estimates]).T
    weights = np.array(weights)
    assert weights.sum() == pytest.approx(1)
    centre = weights @ mean
    return centre, np.sqrt(weights @ (mean - centre) ** 2), np.sqrt(weights @ se**2)


def test_of_people_who_differ_the_floor_and_its_error_are_right():
    """Eight people, five decisions each. Half choose the first action with 0.1, half with 0.5."""
    true = true_entropy((0.3, 0.7))
    known, alone, weights = [], [], []
    for counts, weight in crowds(8, 5, (0.1, 0.5)):
        nobody = np.zeros(8, int)
        known.append(floor_of_unknown(Done(counts, nobody, np.arange(8))))
        alone.append(floor_of_unknown(Done(counts.sum(axis=0)[None], nobody[:1], None)))
        weights.append(weight)
    centre, sd, se = expectation(known, weights)
    assert centre == pytest.approx(-true, abs=0.002) and 0.9 < se / sd < 1.15
    # Decisions counted as if each were of another person: too near to zero, and too sure.
    centre, sd, se = expectation(alone, weights)
    assert centre > -true + 0.008 and se < 0.8 * sd


def test_of_decisions_by_unknown_people_the_error_is_right():
    counts, weight = outcomes(24, (0.7, 0.2, 0.1))
    found = [floor_of_unknown(Done(c[None], np.zeros(1, int), None)) for c in counts]
    centre, sd, se = expectation(found, weight)
    assert centre == pytest.approx(-true_entropy((0.7, 0.2, 0.1)), abs=0.012) and 0.85 < se / sd < 1.15


def test_a_person_who_is_known_is_predicted_better():
    """Four people, twelve decisions each."""
    found, weights = [], []
    for counts, weight in crowds(4, 12, (0.2, 0.7)):
        found.append(floor_of_known(Done(counts, np.zeros(4, int), np.arange(4))))
        weights.append(weight)
    centre, sd, se = expectation(found, weights)
    own = (true_entropy((0.2, 0.8)) + true_entropy((0.7, 0.3))) / 2
    bias = (bias_of_entropy(np.array([0.2, 0.8]), 12) + bias_of_entropy(np.array([0.7, 0.3]), 12)) / 2
    assert centre == pytest.approx(-own - bias, abs=1e-9) and abs(bias) < 0.004
    assert 0.85 < se / sd < 1.15
    assert centre > -true_entropy((0.45, 0.55)) + 0.1


def test_what_cannot_be_estimated_is_not():
    few = Done(np.array([[3, 3], [4, 5]]), np.array([0, 1]), np.array([0, 0]))
    assert floor_of_unknown(few) is None and floor_of_known(few) is None
    assert floor_of_known(Done(np.array([[30, 30]]), np.array([0]), None)) is None
    one = floor_of_unknown(Done(np.array([[30, 30]]), np.array([0]), np.array([0])))
    assert one is not None and one.mean == pytest.approx(-np.log(2), abs=0.01)


def test_situations_are_roles_and_what_was_seen():
    game = bc.get_game("selten-chmura-01")
    rows = [(f"{r}{i}", r, a) for r, acts in (("row", ("Up", "Down")), ("column", ("Left", "Right")))
            for i in range(3) for a in [acts[0]] * (4 * i) + [acts[1]] * (12 - 4 * i)]  # fmt: skip
    decisions = bc.Decisions.from_table(pd.DataFrame(rows, columns=["participant", "role", "action"]), {"g": game})
    done = done_by(decisions)
    assert sorted(map(tuple, done.counts.tolist())) == sorted([(0, 12), (4, 8), (8, 4)] * 2)
    assert len(set(done.situation)) == 2 and done.person is not None and len(set(done.person)) == 6
    found = noise_floor(decisions)
    assert found.known is not None and found.unknown is not None and found.known.mean > found.unknown.mean
    dilemma = bc.repeated_dilemma()
    rows = [(f"p{i}", f"player {1 + i % 2}", t, ("cooperate", "defect")[(i + t) % 2], s)
            for i in range(2) for t, s in enumerate([1, 1, 2, 4, 1, 2])]  # fmt: skip
    table = pd.DataFrame(rows, columns=["participant", "role", "round", "action", "state"])
    done = done_by(bc.Decisions.from_table(table, {"d": dilemma}))
    assert done.counts.sum() == 12 and done.counts.sum(axis=1).max() == 3  # one person in one state
