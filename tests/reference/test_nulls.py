"""Models without payoffs, and people who differ: against quadrature and closed forms in NumPy and SciPy.

Nothing here uses the package's nodes, sums over types, or weights.
"""

from functools import cache

import jax
import numpy as np
import pandas as pd
import pytest
from numpyro import handlers
from scipy.integrate import quad
from scipy.special import betaln, expit, gammaln, logsumexp
from scipy.stats import norm

import bayescal as bc
from bayescal.comparison.closed_form import left_out_shares, shares_of
from bayescal.comparison.loo import psis, units_of_rows
from bayescal.comparison.pointwise import Pointwise
from bayescal.comparison.rivals import rivals
from bayescal.policies.level_costs import LevelCostsPolicy
from bayescal.policies.level_k import LevelKPolicy
from bayescal.study.load import Study

GAMES = {"small": bc.VolunteersDilemma(2), "large": bc.VolunteersDilemma(6)}
ROUNDS = 6
WAITED = {"small": (0, 2, 3, 6, 6) * 3, "large": (1, 4, 6, 6, 6) * 3}  # times that each person waited


def study(rows, games):
    return Study("s", "S", bc.Decisions.from_table(pd.DataFrame(rows), games), games)


@pytest.fixture(scope="module")
def volunteers():
    rows = [
        {"game": g, "participant": f"{g}{i:02d}", "action": "wait" if t < n else "volunteer"}
        for g, waited in WAITED.items()
        for i, n in enumerate(waited)
        for t in range(ROUNDS)
    ]
    return study(rows, GAMES)


def by_person(model, *values):
    """Log-likelihood of each person at values of the sites, in the order of names, for ordered decisions."""

    @jax.jit
    def run(values):
        trace = handlers.trace(handlers.substitute(handlers.seed(model, 0), data=values)).get_trace()
        return trace["decisions"]["fn"].log_prob(0.0)

    with jax.enable_x64(True):
        return [np.asarray(run(at)) - model.integrated.likelihood.data.ways for at in values]


def people():
    """(game, times that somebody waited), in the order of names: of games, and in them of people."""
    return [(g, n) for g in sorted(GAMES) for n in WAITED[g]]


def first_is_wait():
    return GAMES["small"].action_labels[0][0] == "wait"


def decided(n):
    """(times that the first action was taken, times that the second was)."""
    return (n, ROUNDS - n) if first_is_wait() else (ROUNDS - n, n)


def test_choice_shares_are_multinomial(volunteers):
    model = rivals(volunteers, only=["choice shares"]).models["choice shares"]
    shares = np.array([[0.3, 0.7], [0.85, 0.15]])
    games = [x.partition(" ")[0] for x in model.coords["place_of_2"]]
    found, swapped = by_person(model, {"share_of_2": shares}, {"share_of_2": shares[::-1]})
    p = dict(zip(games, shares, strict=True))
    expected = [np.dot(decided(n), np.log(p[g])) for g, n in people()]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.abs(swapped - expected).max() > 0.5  # planted: the shares of the other game


@pytest.mark.parametrize("unit", ["participant", "game"])
def test_left_out_shares_are_beta_integrals(volunteers, unit):
    """A unit's decisions in their order, of which the others' shares have a Beta distribution."""
    model = rivals(volunteers, only=["choice shares"]).models["choice shares"]
    names = [f"{g}{i:02d}" for g in sorted(GAMES) for i in range(len(WAITED[g]))]
    of = dict(zip(names, names if unit == "participant" else [g for g, _ in people()], strict=True))
    units = list(dict.fromkeys(of.values()))
    expected, alone = [], []
    log_density = lambda p, a, b, c, d: (a + c - 1) * np.log(p) + (b + d - 1) * np.log1p(-p) - betaln(c, d)
    integral = lambda *n: quad(lambda p: np.exp(log_density(p, *n)), 0, 1, epsabs=0)[0]
    for u in units:
        game = next(g for name, (g, _) in zip(names, people(), strict=True) if of[name] == u)
        there = [(of[name], decided(n)) for name, (g, n) in zip(names, people(), strict=True) if g == game]
        a, b = np.sum([n for v, n in there if v == u], axis=0)
        c, d = np.sum([(1, 1), *(n for v, n in there if v != u)], axis=0)
        expected.append(np.log(integral(a, b, c, d)))
        alone.append(np.log(integral(a, b, 1, 1)))
    found = left_out_shares(shares_of(model), units_of_rows(model, unit, of, tuple(units)), len(units))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    planted = np.abs(np.array(alone) - expected).max()  # as if nothing were known of the others
    assert planted > 0.5 if unit == "participant" else planted == 0


def test_a_logit_of_people_who_differ_is_a_normal_integral(volunteers):
    name = "logit without payoffs, by game, people differ"
    model = rivals(volunteers, only=[name]).models[name]
    games = [x.partition(" ")[0] for x in model.coords["place"]]
    spreads = (0.05, 1.2, 4.0)
    at = {"lean": np.array([-0.4]), "game_sd": 0.7, "game_effect": np.array([1.1, -0.6])}
    found = by_person(model, *(at | {"person_sd": sd} for sd in spreads))

    @cache
    def brute(g, n, sd):
        a, b = decided(n)
        middle = -0.4 + 0.7 * dict(zip(games, at["game_effect"], strict=True))[g]
        density = lambda e: norm.pdf(e, 0, sd) * expit(-middle - e) ** a * expit(middle + e) ** b
        return np.log(quad(density, -9 * sd, 9 * sd, epsabs=0, epsrel=1e-11, limit=400, points=[0.0])[0])

    for sd, log_m in zip(spreads, found, strict=True):
        np.testing.assert_allclose(log_m, [brute(g, n, sd) for g, n in people()], atol=2e-6)
        wider = [brute(g, n, 1.5 * sd + 0.3) for g, n in people()]
        assert np.abs(log_m - wider).max() > 1e-2  # planted


def test_a_logit_on_a_grid_has_a_location_for_each_person():
    game = bc.BeautyContest(4, guesses=np.linspace(0, 100, 21))
    guesses = {"a": (0.0, 5.0, 5.0), "b": (45.0, 50.0, 60.0), "c": (100.0, 95.0, 80.0)}
    rows = [{"participant": p, "action": x} for p, all_of in guesses.items() for x in all_of]
    name = "logit without payoffs, people differ"
    model = rivals(study(rows, {"game": game}), only=[name]).models[name]
    assert sorted(model.hyperpriors) == ["bonus_10", "lean", "person_sd", "width"]  # all of the grid is multiples of 5
    at = {"lean": np.array([0.1]), "width": 0.3, "bonus_10": 0.8, "person_sd": 0.6}
    (found,) = by_person(model, at)
    grid = np.linspace(0, 100, 21)

    def density(e, guessed, sd=0.6):
        log_p = -0.5 * ((grid / 50 - 1 - 0.1 - e) / 0.3) ** 2 + 0.8 * (grid % 10 == 0)
        return norm.pdf(e, 0, sd) * np.exp(sum(log_p[np.searchsorted(grid, x)] - logsumexp(log_p) for x in guessed))

    brute = lambda sd: [np.log(quad(density, -5, 5, (x, sd), epsabs=0, limit=400)[0]) for x in guesses.values()]
    np.testing.assert_allclose(found, brute(0.6), atol=1e-5)
    assert np.abs(found - brute(0.4)).max() > 1e-2  # planted


def left_out(values):
    """elpd of each person by smoothed weights."""
    n = values.shape[1]
    ones = np.ones(n, int)
    return psis(Pointwise(tuple(map(str, range(n))), ones, values, np.zeros(n), 1.0, ones)).elpd


def test_a_person_left_out_of_choice_shares_is_predicted_as_by_polya(volunteers):
    """The posterior predictive of a flat prior is a ratio of beta functions of what the others did."""
    model = rivals(volunteers, only=["choice shares"]).models["choice shares"]
    games = [x.partition(" ")[0] for x in model.coords["place_of_2"]]
    counts = {g: np.sum([decided(n) for n in WAITED[g]], axis=0) for g in GAMES}
    rng = np.random.default_rng(0)
    draws = np.stack([rng.dirichlet(1 + counts[g], size=40_000) for g in games], axis=1)  # the known posterior
    likelihood = model.integrated.likelihood
    with jax.enable_x64(True):
        one = lambda shares: likelihood.by_person({"params.share_of_2": shares})[:, 0]
        values = np.asarray(jax.jit(jax.vmap(one))(draws))

    def polya(g, n):
        a, b = counts[g] - np.array(decided(n))
        own_a, own_b = decided(n)
        return betaln(1 + a + own_a, 1 + b + own_b) - betaln(1 + a, 1 + b)

    expected = np.array([polya(g, n) for g, n in people()])
    assert np.abs(left_out(values) - expected).max() < 0.05
    # Planted: a null that has seen the person who is left out predicts too well, by more than the tolerance.
    seen = logsumexp(values, axis=0) - np.log(len(values))
    assert (seen - expected).max() > 0.3 and (seen - expected).sum() > 1


def test_a_person_left_out_of_a_logit_is_predicted_by_quadrature(volunteers):
    """Against a posterior without the person on a grid of its two parameters, with personal effects summed in NumPy."""
    name = "logit without payoffs, people differ"
    model = rivals(volunteers, only=[name]).models[name]
    lean, sd = np.meshgrid(np.linspace(-5, 5, 161), np.linspace(0.02, 8, 160), indexing="ij")
    lean, sd = lean.ravel(), sd.ravel()
    log_prior = norm.logpdf(lean, 0, 1.5) + norm.logpdf(sd, 0, 2.0)  # half-normal but for a constant
    e, w = np.polynomial.hermite_e.hermegauss(61)
    middle = lean[:, None] + sd[:, None] * e
    brute = np.stack(
        [
            logsumexp(np.log(w / w.sum()) - a * np.logaddexp(0, middle) - b * np.logaddexp(0, -middle), axis=1)
            for a, b in (decided(n) for _, n in people())
        ],
        axis=1,
    )
    posterior = log_prior + brute.sum(axis=1)
    without = posterior[:, None] - brute
    expected = logsumexp(posterior) - logsumexp(without, axis=0)
    rng = np.random.default_rng(1)
    chosen = rng.choice(len(lean), 4000, p=np.exp(posterior - logsumexp(posterior)))
    likelihood = model.integrated.likelihood

    def one(at):
        shared = {"params.lean": at[:1], "params.person_sd": at[1]}
        return jax.nn.logsumexp(likelihood.by_person(shared) + likelihood.log_shares(shared), axis=1)

    with jax.enable_x64(True):
        values = np.asarray(jax.jit(jax.vmap(one))(np.stack([lean[chosen], sd[chosen]], axis=1)))
    assert np.abs(left_out(values) - expected).max() < 0.1
    seen = logsumexp(values, axis=0) - np.log(len(values))  # planted: the person is among those who are fitted
    assert (seen - expected).sum() > 0.5


def test_people_of_habit_differ_by_a_normal_tilt(volunteers):
    name = "prior only, people differ"
    model = rivals(volunteers, only=[name]).models[name]
    (found,) = by_person(model, {"psi_tilt": 0.3, "spread": 0.9})

    @cache
    def brute(n, spread):
        a, b = decided(n)
        density = lambda z: norm.pdf(z) * expit(-2 * (0.3 + spread * z)) ** a * expit(2 * (0.3 + spread * z)) ** b
        return np.log(quad(density, -9, 9, epsabs=0, epsrel=1e-11, limit=400)[0])

    np.testing.assert_allclose(found, [brute(n, 0.9) for _, n in people()], atol=2e-6)
    assert np.abs(found - [brute(n, 0.6) for _, n in people()]).max() > 1e-2  # planted


def test_levels_of_people_whose_costs_differ_reply_to_average_play():
    """A hierarchy by hand: replies at 400 costs, averaged before the next level replies to them."""
    game, levels = GAMES["large"], 3
    policy = LevelCostsPolicy(game, highest=levels, information=50.0)
    phi = {"tau": 1.4, "log_mean": np.log(0.15), "log_sd": 0.8}
    with jax.enable_x64(True):
        log_p = np.asarray(jax.jit(lambda: policy.log_prob_by_level(None, phi, None, None))())[:, 0]
        log_w = np.asarray(policy.log_shares(phi))
        one = LevelKPolicy(game, levels=levels)
        alike = np.asarray(jax.jit(lambda: one.log_prob_by_level(0.15, phi, None, None))())[:, 0]
        narrow = phi | {"log_sd": 1e-9}
        same = np.asarray(jax.jit(lambda: policy.log_prob_by_level(None, narrow, None, None))())[:, 0]
    volunteer = game.action_labels[0].index("volunteer")
    z = np.linspace(-8, 8, 400)
    costs, share = np.exp(phi["log_mean"] + 0.8 * z), norm.pdf(z) / norm.pdf(z).sum()
    weight = 1.4 ** np.arange(levels + 1) / np.exp(gammaln(np.arange(levels + 1) + 1))
    chance = [0.5]  # of volunteering, by level
    for k in range(1, levels + 1):
        others = np.dot(weight[:k], chance) / weight[:k].sum()
        nobody = (1 - others) ** (game.players - 1)
        gain = (1.0 - 0.2) - (1.0 * (1 - nobody) + 0.2 * nobody)  # of volunteering, in dollars
        chance.append(float(share @ expit(gain / costs)))
    by_level = np.split(log_p[1:], levels)
    found = [np.exp(log_p[0, volunteer])]
    shares = np.exp(log_w[1:].reshape(levels, -1) - logsumexp(log_w[1:].reshape(levels, -1), axis=1)[:, None])
    found += [float(shares[k] @ np.exp(rows[:, volunteer])) for k, rows in enumerate(by_level)]
    np.testing.assert_allclose(found, chance, atol=1e-6)
    np.testing.assert_allclose(np.exp(log_w).sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(same[1 :: len(shares[0])], alike[1:], atol=1e-6)  # people who differ in nothing
    assert np.abs(np.array(found) - np.exp(alike[:, volunteer])).max() > 0.01  # planted: one cost for all is not that


def test_nulls_know_no_payoffs():
    """Stakes a hundred times as high, or the other way round, change no number."""
    rows = [{"participant": p, "role": "player 1", "action": a} for p in "ab" for a in "01"]
    payoffs = np.random.default_rng(0).normal(size=(2, 2, 2))
    names = ["choice shares", "logit without payoffs, people differ"]

    def likelihoods(payoffs):
        found = rivals(study(rows, {"g": bc.NormalForm(payoffs)}), only=names).models

        def run():
            traces = {n: handlers.trace(handlers.seed(m, 3)).get_trace() for n, m in found.items()}
            return {n: trace["decisions"]["fn"].log_prob(0.0) for n, trace in traces.items()}

        with jax.enable_x64(True):
            return jax.jit(run)()

    low, high = likelihoods(payoffs), likelihoods(-100 * payoffs)
    assert list(low) == names
    for name in low:
        np.testing.assert_array_equal(low[name], high[name])


@pytest.mark.slow
def test_a_game_left_out_of_choice_shares_is_predicted_from_nothing():
    """Its shares are its own: its density is that of a flat prior, a ratio of factorials.

    From a flat prior to a thousand decisions is a long way for a bridge: it was off by at most 1.1 nats a game.
    """
    counts = {"a": (300, 700), "b": (900, 100), "c": (20, 980), "d": (480, 520), "e": (600, 400), "f": (10, 990)}
    payoffs = np.random.default_rng(0).normal(size=(2, 2, 2))
    games = {g: bc.NormalForm(payoffs, name=g) for g in counts}
    rows = [
        {"game": g, "role": "player 1", "action": str(k), "n": n}
        for g, both in counts.items()
        for k, n in enumerate(both)
    ]
    _, found = bc.compare_study(study(rows, games), only=["choice shares"], unit="game", draws=500, warmup=300)
    expected = np.array([betaln(1 + a, 1 + b) for a, b in counts.values()])
    apart = found.pointwise["choice shares"].loc[list(counts)].to_numpy() - expected
    assert np.abs(apart).max() < 1.5 and abs(apart.sum()) < 1.5 and str(found.table["how"].iloc[0]) != "psis"
    # Planted: by importance weights, of which k-hat does not always warn, a game is predicted too well.
    rng = np.random.default_rng(1)
    draws = np.stack([rng.beta(1 + a, 1 + b, 2000) for a, b in counts.values()], axis=1)
    ones = np.array(list(counts.values()))
    weighted = left_out(ones[:, 0] * np.log(draws) + ones[:, 1] * np.log1p(-draws))
    assert (weighted - expected).min() > 1.9
