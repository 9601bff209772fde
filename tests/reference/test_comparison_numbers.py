"""Numbers of a comparison against closed forms: orders of counted choices, what is left out, entropies and bridges."""

from math import comb, factorial, prod

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logsumexp
from scipy.stats import norm

import bayescal as bc
from bayescal.comparison.bridge import log_mass_ratio
from bayescal.comparison.compare import judge
from bayescal.comparison.loo import LeftOut, from_mixture, parts_of, psis
from bayescal.comparison.noise_floor import done_by, entropy, noise_floor
from bayescal.comparison.pointwise import Pointwise, add_up, in_order, pointwise, ways
from bayescal.comparison.scores import Chances, score
from bayescal.comparison.stacking import stack
from bayescal.posterior.psis import smoothed_weights
from bayescal.posterior.status import Status

RNG = np.random.default_rng(4)


# --- Orders -----------------------------------------------------------------------------------------------------------


def test_the_number_of_orders_is_a_quotient_of_factorials():
    counts = np.array([[3, 1, 0], [0, 0, 5], [2, 2, 2], [0, 0, 0], [1, 0, 1]])
    expected = [np.log(factorial(sum(c)) / prod(map(factorial, c))) for c in counts.tolist()]
    np.testing.assert_allclose(ways(counts), expected, atol=1e-12)


GAME = bc.get_game("matching-pennies-asymmetric")
HEADS = {"a": 2, "b": 9, "c": 5, "d": 7}  # of twelve decisions in each role
GROUPS = {"a": "g1", "b": "g1", "c": "g2", "d": "g2"}


def heads(cost):
    """The probability of heads in both roles, where everybody's cost is this: one root of one equation."""
    a, b = np.asarray(GAME.params["payoffs"])
    row = lambda q: expit((q * (a[0, 0] - a[1, 0]) + (1 - q) * (a[0, 1] - a[1, 1])) / cost)
    column = lambda p: expit((p * (b[0, 0] - b[0, 1]) + (1 - p) * (b[1, 0] - b[1, 1])) / cost)
    p = brentq(lambda p: row(column(p)) - p, 0, 1, xtol=1e-15)
    return np.array([p, column(p)])


@pytest.fixture(scope="module")
def pennies():
    """(decisions of four people in both roles, the model of one cost, its fit, log-likelihoods of ordered decisions by
    hand at the fit's draws: (draws, people, roles))."""
    rows = [
        {"participant": p, "group": GROUPS[p], "role": r, "action": "heads" if t < k else "tails", "round": t + 12 * i}
        for p, k in HEADS.items()
        for i, r in enumerate(GAME.role_names)
        for t in range(12)
    ]
    decisions = bc.Decisions.from_table(pd.DataFrame(rows), {"pennies": GAME})
    model = bc.build_model(bc.ExactPolicy(GAME), bc.populations.Homogeneous(), decisions)
    fit = bc.infer(model, bc.Grid(points=200, draws=500))
    costs = fit.tree["posterior"]["cost"].to_numpy().reshape(-1)
    p = np.array([heads(c) for c in costs])
    k = np.array(list(HEADS.values()))[None, :, None]
    return decisions, model, fit, k * np.log(p)[:, None] + (12 - k) * np.log1p(-p)[:, None]


def test_nats_are_of_decisions_in_the_order_in_which_they_were_made(pennies):
    decisions, model, fit, by_hand = pennies
    found = pointwise(fit, "participant", decisions)
    np.testing.assert_allclose(found.values, by_hand.sum(axis=2), atol=1e-6)
    assert found.units == tuple(HEADS) and found.decisions.tolist() == [24] * 4
    orders = [2 * np.log(comb(12, k)) for k in HEADS.values()]
    np.testing.assert_allclose(found.taken_off, orders, atol=1e-9)
    grouped = pointwise(fit, "group", decisions)
    np.testing.assert_allclose(grouped.values, by_hand.sum(axis=2).reshape(-1, 2, 2).sum(axis=2), atol=1e-6)
    assert grouped.decisions.tolist() == [48, 48]
    single = pointwise(fit, "decision", decisions, model)
    assert single.copies.sum() == 96 and len(single.units) == 16
    np.testing.assert_allclose(single.values @ single.copies, by_hand.sum(axis=(1, 2)), atol=1e-6)
    p = np.exp(single.values)
    np.testing.assert_allclose(np.sort(p, axis=1).sum(axis=1), 8.0, atol=1e-6)  # heads and tails of each


def test_what_is_left_out_is_predicted_from_the_rest(pennies):
    decisions, model, fit, by_hand = pennies
    each = by_hand.sum(axis=2)
    found = bc.compare({"one": fit}, {"one": model}, decisions)
    # Weights one over each likelihood, unsmoothed: the posterior is narrow enough for them.
    expected = np.log(len(each)) - logsumexp(-each, axis=0)
    np.testing.assert_allclose(found.pointwise["one"], expected, atol=0.03)
    row = found.table.loc["one"]
    assert row["elpd"] == pytest.approx(found.pointwise["one"].sum())
    assert row["per_decision"] == pytest.approx(row["elpd"] / 96)
    first, second = found.pointwise["one"].to_numpy().reshape(2, 2).sum(axis=1)
    assert row["se"] == pytest.approx(abs(first - second))  # of two groups of two: root 2 times their sd
    # Entropies by Zhang of 4 people x 12 decisions in each role, and their jackknife over people.
    in_role = sum(HEADS.values())
    without = [zhang([in_role - k, 36 - in_role + k]) for k in HEADS.values()]
    floor = -(4 * zhang([in_role, 48 - in_role]) - 3 * np.mean(without))
    unknown, known = noise_floor(decisions).unknown, noise_floor(decisions).known
    assert unknown is not None and known is not None
    assert (unknown.mean, unknown.se) == pytest.approx((floor, 3 * np.std(without) / np.sqrt(3)), rel=1e-9)
    own = [zhang([k, 12 - k]) for k in HEADS.values()]
    assert (known.mean, known.se) == pytest.approx((-np.mean(own), np.std(own, ddof=1) / 2), rel=1e-9)
    assert found.scores.loc["one", ["floor", "floor_known_se"]].tolist() == [unknown.mean, known.se]
    assert sorted(map(tuple, done_by(decisions).counts.tolist())) == sorted([(k, 12 - k) for k in HEADS.values()] * 2)


# --- Units ------------------------------------------------------------------------------------------------------------


def test_columns_add_up_by_unit():
    units, place = in_order(np.array(["z", "a", "z", "m"]))
    assert units == ("z", "a", "m") and place.tolist() == [0, 1, 0, 2]
    values = np.arange(8.0).reshape(2, 4)
    np.testing.assert_allclose(add_up(values, place), [[2, 1, 3], [10, 5, 7]])
    np.testing.assert_allclose(add_up(values, np.array([2, 0, 3, 1])), values[:, [1, 3, 0, 2]])


def test_folds_are_of_one_size_and_change_with_the_seed():
    units = tuple(f"p{i}" for i in range(10))
    parts = [parts_of(units, {}, 3, seed) for seed in range(3)]
    assert all(sorted(np.bincount(p)) == [3, 3, 4] for p in parts)
    assert not np.array_equal(parts[0], parts[1])


# --- Leaving out ------------------------------------------------------------------------------------------------------


def normal_numbers(draws):
    """(30 numbers, their log densities at draws of the mean, the exact leave-one-out densities)."""
    y = np.random.default_rng(1).normal(0.3, 1.0, 30)
    mean = y.mean() + draws / np.sqrt(30)
    others = (y.sum() - y) / 29
    return y, norm.logpdf(y, mean[:, None], 1.0), norm.logpdf(y, others, np.sqrt(1 + 1 / 29))


def test_weights_of_draws_from_a_wider_density():
    """Draws from a normal three times as wide as the posterior, which they know."""
    z = 3 * RNG.normal(size=8000)
    _, values, exact = normal_numbers(z)
    density = norm.logpdf(z, 0, 3) - norm.logpdf(z)
    shape = (4, 2000)
    out = np.array([3, 0, 17])
    found, good = from_mixture(values.reshape(*shape, 30), density.reshape(shape), out)
    assert good.all()
    np.testing.assert_allclose(found, exact[out], atol=0.05)
    stuck = np.sort(z)  # chains that each saw a part of it
    _, values, _ = normal_numbers(stuck)
    density = norm.logpdf(stuck, 0, 3) - norm.logpdf(stuck)
    assert not from_mixture(values.reshape(*shape, 30), density.reshape(shape), out)[1].any()


def test_psis_of_units_that_are_alike():
    _, values, exact = normal_numbers(RNG.normal(size=4000))
    copies = np.arange(1, 31)
    found = psis(Pointwise(tuple(map(str, range(30))), copies, values, np.zeros(30), 1.0, copies))
    np.testing.assert_allclose(found.elpd, copies * exact, atol=0.04 * 30)
    np.testing.assert_allclose(found.elpd / copies, exact, atol=0.04)
    assert str(found.how) == "psis" and len(found.bad) == 0
    assert LeftOut(exact, np.r_[0.71, np.nan, np.inf, 0.7, np.zeros(26)]).bad.tolist() == [0, 1, 2]


def test_weights_of_few_draws():
    """Fewer than 25 have no tail: the weights are as they are, and nothing is said for them unless they are alike."""
    values = RNG.normal(size=(20, 2))
    values[:, 1] = -3.0
    log_w, k_hat = smoothed_weights(values)
    np.testing.assert_allclose(np.exp(log_w[:, 0]), np.exp(-values[:, 0]) / np.exp(-values[:, 0]).sum(), rtol=1e-10)
    assert k_hat.tolist() == [np.inf, 0.0]


@pytest.mark.parametrize(("n", "m"), [(400, 400), (250, 900)])
def test_bridges_between_two_normals(n, m):
    """x = 1.5 z: the mean of exp(x) is exp(1.125), and x is 2.25 higher on the other side. Over 120 repetitions."""
    z = RNG.normal(size=(120, n + m))
    found = np.array([log_mass_ratio(1.5 * a[:n], 2.25 + 1.5 * a[n:]) for a in z])
    error = found[:, 0].std() / np.sqrt(120)
    assert abs(found[:, 0].mean() - 1.125) < 4 * error + 0.002
    np.testing.assert_allclose(found[:, 1].mean(), found[:, 0].std(), rtol=0.3)  # an sd of 120 is known to 7 %


# --- The table --------------------------------------------------------------------------------------------------------


def test_the_numbers_of_a_table():
    copies, decisions = np.array([1, 3, 2, 1, 1]), np.array([10, 30, 20, 10, 10])
    best, other = -np.array([5.0, 15.6, 9.8, 5.5, 4.6]), -np.array([6.0, 18.3, 9.0, 6.5, 7.0])
    told = Pointwise(tuple("abcde"), decisions, np.zeros((3, 5)), np.zeros(5), 1.0, copies)
    k_hat = np.array([0.1, 0.9, 0.2, 0.8, 0.3])
    left = {"other": LeftOut(other, k_hat), "best": LeftOut(best, np.zeros(5))}
    found = judge("participant", dict.fromkeys(left, told), left, dict.fromkeys(left, Status()))
    each = lambda x: np.repeat(x / copies, copies)  # one row a copy
    assert found.best == "best" and list(found.table.index) == ["best", "other"]
    row = found.table.loc["other"]
    assert row["elpd"] == pytest.approx(other.sum()) and row["difference"] == pytest.approx((other - best).sum())
    assert row["se"] == pytest.approx(np.sqrt(8) * each(other).std(ddof=1))
    assert row["difference_se"] == pytest.approx(np.sqrt(8) * each(other - best).std(ddof=1))
    assert row["per_decision"] == pytest.approx(other.sum() / 80)
    assert (row["k_hat"], row["k_bad"]) == (0.9, 2)
    w = np.linspace(0, 1, 10_001)[:, None]
    mixed = np.log(w * np.exp(each(best)) + (1 - w) * np.exp(each(other))).sum(axis=1)
    assert found.table.loc["best", "weight"] == pytest.approx(float(w[mixed.argmax(), 0]), abs=1e-3)
    assert found.table["weight"].sum() == pytest.approx(1.0)


def test_weights_that_are_inside_and_on_the_edge():
    points = np.log(np.array([[0.6, 0.2, 0.3], [0.1, 0.7, 0.3], [0.5, 0.4, 0.3]]))
    weights = stack(points, np.array([2, 1, 1]))
    assert weights[2] == pytest.approx(0.0, abs=1e-5)
    w = np.linspace(0, 1, 20_001)
    loss = 2 * np.log(0.6 * w + 0.2 * (1 - w)) + np.log(0.1 * w + 0.7 * (1 - w)) + np.log(0.5 * w + 0.4 * (1 - w))
    assert weights[0] == pytest.approx(w[loss.argmax()], abs=1e-3)


# --- Scores -----------------------------------------------------------------------------------------------------------


def zhang(counts):
    """His entropy as it is defined: sums of unbiased estimates of p (1 - p)^v, by numbers of combinations."""
    n = sum(counts)
    return sum(k / n * comb(n - k, v) / comb(n - 1, v) / v for k in counts for v in range(1, n))


def test_entropies_are_zhangs():
    counts = [[3, 1, 0], [0, 0, 7], [10, 11, 0], [1, 1, 1], [40, 2, 9]]
    np.testing.assert_allclose(entropy(np.array(counts, float)), [zhang(c) for c in counts], rtol=1e-9, atol=1e-9)


def test_scores_by_hand():
    """Two situations with grids of different lengths; an action that was never taken costs nothing."""
    counts = np.array([[1.0, 2.0, 1.0], [4.0, 2.0, 0.0]])
    p = np.array([[0.2, 0.2, 0.6], [0.55, 0.45, 0.0]])
    values = np.array([[1.0, 5.0, 7.0], [2.0, 3.0, np.nan]])
    found = score(Chances(counts, p, values))
    assert found["share_predicted"] == pytest.approx((1 + 4) / 10)
    assert found["mean_error"] == pytest.approx((6 + 2 * 2 + 0 + 4 * 0 + 2 * 1) / 10)  # medians are 7 and 2
    log_score = (np.log(0.2) + 2 * np.log(0.2) + np.log(0.6) + 4 * np.log(0.55) + 2 * np.log(0.45)) / 10
    assert found["log_score"] == pytest.approx(log_score)
