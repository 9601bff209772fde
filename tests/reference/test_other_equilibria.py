"""Sampling, impulse balance, Luce and noisy introspection against sums that list every sample in NumPy.

The twelve games of Selten & Chmura (2008) and some with ties are played at once, as games of three actions against two:
the third action of the row players of the twelve never pays, so that nobody takes it.
"""

import itertools
import json
import math
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import bayescal as bc
from bayescal.environments.newsvendor import Newsvendor
from bayescal.errors import InputError
from bayescal.policies.payoff_sampling import PayoffSamplingPolicy
from bayescal.policies.samples import Samples, samples_of
from bayescal.study.load import Study

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "selten_chmura_data.json"
PUBLISHED = list(json.loads(GOLDEN.read_text())["games"].values())
TWELVE = np.array([g["payoffs"] for g in PUBLISHED])
RNG = np.random.default_rng(5)
WITH_TIES = RNG.integers(0, 5, size=(4, 2, 3, 2)).astype(float)
MU, STEP = 0.3, 1e-4


def with_a_third_action(payoffs):
    """The row player's third action pays next to nothing (and the column player much, whatever the column)."""
    third = np.stack([np.full((len(payoffs), 1, 2), 1e-3), np.full((len(payoffs), 1, 2), 30.0)], axis=1)
    return np.concatenate([payoffs + 1.0, third], axis=2)


GAMES = np.concatenate([with_a_third_action(TWELVE), WITH_TIES + 1.0])
GAME = bc.NormalForm(GAMES[0])
VOLUNTEERS = bc.VolunteersDilemma(4)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def in_all_games(play):
    """`play` of payoffs in every game."""
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(play))(GAMES))


@cache
def sampled(cls):
    """The mixtures (games, sizes, roles, actions)."""
    return np.exp(in_all_games(lambda u: cls(GAME).log_prob_by_level(None, None, None, {"payoffs": u})))


def samples(chances, n):
    """(counts, probability) of every unordered sample of n draws."""
    for drawn in itertools.combinations_with_replacement(range(len(chances)), n):
        counts = np.bincount(drawn, minlength=len(chances))
        ways = math.factorial(n) / np.prod([math.factorial(c) for c in counts])
        yield counts, ways * np.prod(chances**counts)


def shared_best(totals):
    best = np.isclose(totals, totals.max(), rtol=0, atol=1e-9)
    return best / best.sum()


def action_reply(table, chances, n):
    return sum(p * shared_best(table @ counts) for counts, p in samples(chances, n))


def payoff_reply(table, chances, n):
    out = np.zeros(len(table))
    for tried in itertools.product(list(samples(chances, n)), repeat=len(table)):
        totals = np.array([row @ counts for row, (counts, _) in zip(table, tried, strict=True)])
        out += np.prod([p for _, p in tried]) * shared_best(totals)
    return out


def imbalance(table, chances, p, aversion=2.0):
    """Impulses towards each action less those away from it."""
    security = table.min(axis=1).max()
    felt = np.where(table > security, security + (table - security) / aversion, table)
    missed = [[np.maximum(felt[b] - felt[a], 0) @ chances for b in range(len(table))] for a in range(len(table))]
    rates = np.array(missed)
    return p @ rates - p * rates.sum(axis=1)


def tables(payoffs):
    """The payoffs of each role, own actions first."""
    return payoffs[0], payoffs[1].T


def replies_to_itself(mixtures, payoffs, reply, atol=5e-6):
    """One action in a million is random, so that play is its own reply up to that."""
    own = [mixtures[0], mixtures[1, :2]]
    for role, table in enumerate(tables(payoffs)):
        np.testing.assert_allclose(reply(table, own[1 - role]), own[role], atol=atol)


@pytest.mark.parametrize("n", [1, 4, 12])
def test_action_sampling_is_the_best_reply_to_every_sample(n):
    for payoffs, mixtures in zip(GAMES, sampled(bc.ActionSamplingPolicy), strict=True):
        replies_to_itself(mixtures[n - 1], payoffs, lambda t, q: action_reply(t, q, n))


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 4])
def test_payoff_sampling_is_the_action_that_paid_most(n):
    for payoffs, mixtures in zip(GAMES, sampled(bc.PayoffSamplingPolicy), strict=True):
        replies_to_itself(mixtures[n - 1], payoffs, lambda t, q: payoff_reply(t, q, n))


def test_another_size_or_another_kind_of_sample_is_caught():
    mixtures = sampled(bc.ActionSamplingPolicy)[2, 3]
    replies_to_itself(mixtures, GAMES[2], lambda t, q: action_reply(t, q, 4))
    for wrong in (lambda t, q: action_reply(t, q, 5), lambda t, q: payoff_reply(t, q, 4)):
        with pytest.raises(AssertionError):
            replies_to_itself(mixtures, GAMES[2], wrong)


def nats(mixtures):
    """Negative log-likelihood a decision of the choices in the twelve games."""
    p = mixtures[:12, :, :2]
    counts = np.array([[g["counts_up_down"], g["counts_left_right"]] for g in PUBLISHED])
    return -(counts * np.log(p)).sum() / counts.sum()


@pytest.mark.parametrize(
    ("cls", "size", "expected"),
    [
        (bc.ActionSamplingPolicy, 12, 0.5748),
        pytest.param(bc.PayoffSamplingPolicy, 6, 0.5755, marks=pytest.mark.slow),
    ],
)
def test_samples_predict_selten_and_chmura_as_well_as_is_known(cls, size, expected):
    """The sizes that they find best are the best here too."""
    by_size = [nats(p) for p in np.moveaxis(sampled(cls), 1, 0)]
    assert np.argmin(by_size) + 1 == size
    assert round(min(by_size), 4) == expected


def test_samples_among_several_others_are_of_what_they_do_together():
    """Against three others waiting pays less only if all of them wait."""
    found = np.exp(bc.ActionSamplingPolicy(VOLUNTEERS).log_prob_by_level(None, None, None, None))
    p = found[4, 0]
    table = np.array([[0.8, 0.8], [1.0, 0.2]])  # volunteer, wait; somebody volunteers, nobody does
    np.testing.assert_allclose(action_reply(table, np.array([1 - p[1] ** 3, p[1] ** 3]), 5), p, atol=2e-6)
    two = np.array([1 - p[1] ** 2, p[1] ** 2])  # one other fewer would be seen
    assert np.abs(action_reply(table, two, 5) - p).max() > 0.01


@pytest.mark.slow
def test_impulses_balance_and_losses_count_double():
    """Solved together: the games, and the games with one payoff moved a little."""
    policy, moved = bc.ImpulseBalancePolicy(GAME), np.zeros_like(GAME.params["payoffs"])
    moved[0, 0, 0] = 1.0
    play = lambda u: jax.jvp(lambda u: policy.log_prob_all(None, None, None, {"payoffs": u}), (u,), (moved,))
    both, slopes = jax.tree.map(np.asarray, jax.jit(jax.vmap(play))(np.concatenate([GAMES, GAMES + STEP * moved])))
    (log_p, shifted), slope = np.split(both, 2), slopes[: len(GAMES)]
    p = np.exp(log_p)
    for payoffs, mixtures in zip(GAMES, p, strict=True):
        own = [mixtures[0], mixtures[1, :2]]
        for role, table in enumerate(tables(payoffs)):
            np.testing.assert_allclose(imbalance(table, own[1 - role], own[role]), 0, atol=2e-5)
    row, column = p[0, 0], p[0, 1, :2]
    assert np.abs(imbalance(GAMES[0, 0], column, row, aversion=1.0)).max() > 0.01  # a wrong one is seen
    assert round(nats(p), 4) == 0.5771
    chosen = np.s_[:12, :, :2]
    np.testing.assert_allclose((shifted[chosen] - log_p[chosen]) / STEP, slope[chosen], rtol=2e-3, atol=1e-4)


@pytest.mark.slow
def test_luce_is_a_power_of_payoffs_whatever_their_unit():
    policy, n = bc.LucePolicy(GAME), len(GAMES)
    play = lambda u, mu: jax.jvp(
        lambda mu: policy.log_prob_all(None, {"mu": mu}, None, {"payoffs": u}), (mu,), (jnp.ones_like(mu),)
    )
    payoffs, mu = np.concatenate([GAMES, 100 * GAMES, GAMES + 5, GAMES]), np.repeat([MU, MU, MU, MU + STEP], n)
    log_p, slopes = jax.tree.map(np.asarray, jax.jit(jax.vmap(play))(payoffs, mu))
    p, cents, richer, _ = np.split(np.exp(log_p), 4)
    for payoffs, mixtures in zip(GAMES, p, strict=True):
        weigh = lambda t, q: (w := (t @ q) ** (1 / MU)) / w.sum()
        replies_to_itself(mixtures, payoffs, weigh, atol=1e-9)
    with pytest.raises(AssertionError):
        replies_to_itself(p[0], GAMES[0], lambda t, q: (w := np.exp(t @ q / MU)) / w.sum())
    np.testing.assert_allclose(cents, p, atol=1e-9)
    assert np.abs(richer - p).max() > 0.05
    on = np.isfinite(log_p[:n])
    rise = log_p[3 * n :][on] - log_p[:n][on]
    np.testing.assert_allclose(rise / STEP, slopes[:n][on], rtol=5e-3, atol=5e-3)


def test_noisy_introspection_is_telescoped_replies():
    policy = bc.NoisyIntrospectionPolicy(GAME, depth=6)
    play = lambda u, cost, growth: policy.log_prob_all(cost, {"growth": growth}, None, {"payoffs": u})
    found = np.exp(in_all_games(lambda u: jnp.stack([play(u, 0.7, 0.5), play(u, 0.7, 1e12), play(u + 5, 0.7, 0.5)])))

    def by_hand(payoffs, costs):
        own = [np.full(3, 1 / 3), np.full(2, 1 / 2)]
        for cost in costs:
            worth = [table @ own[1 - role] / cost for role, table in enumerate(tables(payoffs))]
            own = [np.exp(u - u.max()) / np.exp(u - u.max()).sum() for u in worth]
        return own

    costs = 0.7 * 1.5 ** np.arange(5, -1, -1.0)
    for payoffs, (p, once, richer) in zip(GAMES, found, strict=True):
        for role, (all_, one) in enumerate(zip(by_hand(payoffs, costs), by_hand(payoffs, [0.7]), strict=True)):
            np.testing.assert_allclose(p[role, : len(all_)], all_, atol=1e-12)
            np.testing.assert_allclose(once[role, : len(one)], one, atol=1e-9)
        np.testing.assert_allclose(richer, p, atol=1e-12)  # logit replies: a sum added to payoffs changes nothing
    assert np.abs(by_hand(GAMES[0], costs)[0] - by_hand(GAMES[0], costs[::-1])[0]).max() > 0.01  # the order is seen


@pytest.mark.slow
def test_many_payoffs_of_each_action_tell_which_is_best():
    table, chances = jnp.array([[3.0, 1.0], [2.0, 2.5]]), jnp.array([0.3, 0.7])  # 1.6 against 2.35
    few, many = samples_of([2], 2), samples_of([150], 2)
    at = lambda s, n: PayoffSamplingPolicy._replies(table, Samples(*(x[0] for x in s)), n)(chances)
    assert float(at(few, 2)[1]) < 0.9 < 0.999 < float(at(many, 150)[1])


def test_a_size_between_two_whole_numbers_mixes_their_people():
    shares = np.exp(bc.ActionSamplingPolicy(GAME).log_shares({"sample_size": 11.25}))
    np.testing.assert_allclose(shares, np.eye(15)[10] * 0.75 + np.eye(15)[11] * 0.25, atol=1e-12)


OVER_TIME = Newsvendor(discount=0.0, rounds=2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: bc.ActionSamplingPolicy(OVER_TIME), "is a game over time"),
        (lambda: bc.PayoffSamplingPolicy(GAME, size=0), "the sample has 0 draws; it has at least 1"),
        (
            lambda: bc.ActionSamplingPolicy(bc.request_game(), size=12),
            "samples of 12 draws to be listed: give at most 6",
        ),
        (lambda: bc.ActionSamplingPolicy(bc.BeautyContest(12)), "too many outcomes for samples"),
        (lambda: bc.ImpulseBalancePolicy(OVER_TIME), "is a game over time"),
        (lambda: bc.ImpulseBalancePolicy(GAME, aversion=0.5), "aversion to losses is 0.5; it is at least 1"),
        (
            lambda: bc.LucePolicy(bc.NormalForm(GAMES[0] - 5)),
            "has a payoff of -4.999; powers need payoffs of 0 or more",
        ),
        (lambda: bc.LucePolicy(bc.NormalForm([[[1, 0], [0, 0]], [[1, 1], [1, 1]]])), "an action that never pays"),
        (lambda: bc.NoisyIntrospectionPolicy(OVER_TIME), "is a game over time"),
        (lambda: bc.NoisyIntrospectionPolicy(GAME, depth=0), "0 beliefs are nested"),
    ],
)
def test_what_a_concept_does_not_answer_for_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def reasons(game, action, *names):
    table = pd.DataFrame([{"participant": "a", "role": game.role_names[0], "action": action}])
    decisions = bc.Decisions.from_table(table, {"game": game})
    return bc.rivals(Study("small", "Small", decisions, {"game": game}), only=names).left_out


def test_rivals_refuse_games_in_a_sentence():
    guesses = reasons(bc.BeautyContest(12), 30, "action sampling", "payoff sampling", "impulse balance")
    assert "differences between payoffs of one role" in guesses.pop("impulse balance")
    assert all("too many outcomes for samples of 3 or more" in reason for reason in guesses.values())
    losing = bc.NormalForm(GAMES[0] - 5, name="losing")
    assert "losing has a payoff of -4.999" in reasons(losing, "0", "Luce")["Luce"]
