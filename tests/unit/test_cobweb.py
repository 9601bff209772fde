"""The cobweb market: its rational prices, its slopes, its three treatments, and replayed forecasts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from markets import assert_replays, assert_same, played

from bayescal.environments.cobweb import TREATMENTS, Cobweb, cobweb
from bayescal.errors import InputError
from bayescal.priors import Naive
from bayescal.training.check import check_environment

PUBLISHED = {"stable": (5.574, -0.872), "unstable": (5.732, -1.965), "strongly unstable": (5.910, -7.748)}


def by_hand(forecasts, kappa, noise):
    price = (13.8 - np.sum(np.tanh(kappa * (forecasts - 6)) + 1)) / 1.5 + noise
    return price, np.maximum(1300 - 260 * (price - forecasts) ** 2, 0)


def test_it_is_fit_to_be_played():
    for treatment in TREATMENTS:
        check_environment(cobweb(treatment))
    check_environment(Cobweb(players=1, window=1, rounds=1, noise=0.0))


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_rational_prices_and_slopes(treatment):
    game = cobweb(treatment)
    price, slope = PUBLISHED[treatment]
    assert abs(game.rational_price() - price) < 5e-4
    assert abs(game.naive_slope() - slope) < 5e-4
    # Forecast by all, the rational price comes true, and the slope is that of what naive people do.
    next_price = lambda p: by_hand(np.full(6, p), game.kappa, 0.0)[0]
    np.testing.assert_allclose(next_price(game.rational_price()), game.rational_price(), atol=1e-9)
    p = game.rational_price()
    np.testing.assert_allclose((next_price(p + 1e-5) - next_price(p - 1e-5)) / 2e-5, game.naive_slope(), rtol=1e-5)
    assert Cobweb().rational_price(game.kappa) == p


def test_prices_and_points_are_those_of_the_experiment():
    with jax.enable_x64(True):
        game, rng = cobweb("unstable"), np.random.default_rng(0)
        params = jax.tree.map(jnp.asarray, game.params)
        state = game.reset(jax.random.key(0), params)
        step = jax.jit(game.step)
        past = []
        for i in range(5):
            joint = rng.integers(0, 101, 6)
            state, payoffs, _ = step(jax.random.key(i), state, jnp.asarray(joint), params)
            price, points = by_hand(0.1 * joint, 0.5, float(state.noise))
            past.append((price, 0.1 * joint))
            np.testing.assert_allclose(state.prices[0], price, rtol=1e-12)
            np.testing.assert_allclose(payoffs, points, rtol=1e-9)
        seen = jax.tree.map(np.asarray, game.observe(state, 4))
    np.testing.assert_allclose(seen["prices"], [p for p, _ in past[:1:-1]])
    np.testing.assert_allclose(seen["forecasts"], [f[4] for _, f in past[:1:-1]])
    assert (float(seen["own"]), float(seen["seen"])) == (seen["forecasts"][0], seen["prices"][0])


def test_noise_is_normal_and_common_to_all():
    game = cobweb("stable")
    table, _ = played(game, games=60)
    table = table.drop_duplicates(["group", "round"])
    n = len(table)
    assert n == 3000
    assert abs(table["noise"].mean()) < 4 * 0.5 / np.sqrt(n)
    assert abs(table["noise"].std() - 0.5) < 4 * 0.5 / np.sqrt(2 * n)


def test_other_numbers_of_forecasters_have_the_same_rational_price():
    few, many = Cobweb(0.5, players=2), Cobweb(0.5, players=12)
    assert few.rational_price() == many.rational_price() == Cobweb(0.5).rational_price()


def simulate(game, pull, games=200, seed=0):
    """Prices (games, rounds) of people who play the naive habit, as at an infinite cost of information."""
    params, prior = jax.tree.map(jnp.asarray, game.params), Naive()
    grid = jnp.asarray(game.action_values[0])

    def one(key):
        def round_(state, key):
            act, go = jax.random.split(key)
            rows = [
                prior.log_prob(game.observe(state, i), {"pull": pull}, role=0, action_values=grid)
                for i in range(game.players)
            ]
            joint = jax.random.categorical(act, jnp.stack(rows))
            state, _, _ = game.step(go, state, joint, params)
            return state, state.prices[0]

        first, rest = jax.random.split(key)
        return jax.lax.scan(round_, game.reset(first, params), jax.random.split(rest, game.horizon))[1]

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(seed), games)))


def test_naive_people_make_unstable_markets_swing():
    """The variance of prices rises from treatment to treatment, in every comparison by far more than its error."""
    variances = {}
    for treatment in TREATMENTS:
        prices = simulate(cobweb(treatment), pull=40.0)[:, 10:]
        variances[treatment] = prices.var(axis=1)
    means = [variances[t].mean() for t in TREATMENTS]
    errors = [variances[t].std() / np.sqrt(200) for t in TREATMENTS]
    for i in range(2):
        assert means[i + 1] - means[i] > 10 * np.hypot(errors[i], errors[i + 1])


def test_naive_people_swing_around_the_rational_price():
    prices = simulate(cobweb("stable"), pull=40.0)[:, 10:]
    assert abs(prices.mean() - cobweb("stable").rational_price()) < 0.15


def test_replay():
    game = Cobweb(0.5, rounds=8)
    table, seen = assert_replays(game, checked=["price", "noise"], optional=["noise"])
    # Prices follow from forecasts and noise.
    without = game.replay(table.drop(columns="price"))
    assert without.known.all()
    assert_same(without, seen)
    # Without either, only first rounds are known.
    blind = game.replay(table.drop(columns=["price", "noise"]))
    np.testing.assert_array_equal(blind.known, table["round"] == 1)


def test_replay_with_gaps():
    game = Cobweb(0.5, rounds=8)
    table, seen = played(game)
    # One person's row is missing: what she forecast is unknown to her window, the price is known to all.
    gone = np.flatnonzero((table["participant"] == "1.2") & (table["round"] == 3))
    keep = np.setdiff1d(np.arange(len(table)), gone)
    holed = game.replay(table.iloc[keep].reset_index(drop=True))
    blind = ((table["participant"] == "1.2") & table["round"].between(4, 6)).to_numpy()[keep]
    np.testing.assert_array_equal(holed.known, ~blind)
    assert not holed.faults
    assert_same(holed, {n: x[keep] for n, x in seen.items()})
    # A whole round of a market is missing.
    gone = np.flatnonzero((table["group"] == "1") & (table["round"] == 3))
    keep = np.setdiff1d(np.arange(len(table)), gone)
    holed = game.replay(table.iloc[keep].reset_index(drop=True))
    blind = ((table["group"] == "1") & table["round"].between(4, 6)).to_numpy()[keep]
    np.testing.assert_array_equal(holed.known, ~blind)
    assert_same(holed, {n: x[keep] for n, x in seen.items()})


def test_prices_that_no_noise_explains_are_reported():
    """Six standard deviations where noise is not recorded; the tolerance where it is."""
    game = Cobweb(0.5, rounds=6)
    table, _ = played(game)
    of_round = (table["group"] == "2") & (table["round"] == 4)
    shifted = table.assign(price=table["price"] + 0.2 * of_round)
    faults = game.replay(shifted).faults
    assert sorted(f.row for f in faults) == np.flatnonzero(of_round).tolist()
    np.testing.assert_allclose([f.found - f.expected for f in faults], 0.2, atol=1e-4)
    assert not game.replay(shifted, tolerance=0.3).faults
    assert not game.replay(shifted.drop(columns="noise")).faults
    far = table.drop(columns="noise").assign(price=table["price"] + 5.0 * of_round)
    assert sorted(f.row for f in game.replay(far).faults) == np.flatnonzero(of_round).tolist()
    # A forecast that was not what is recorded makes another price.
    wrong = table.copy()
    wrong.loc[np.flatnonzero(of_round)[0], "value"] = 10 - wrong.loc[np.flatnonzero(of_round)[0], "value"]
    assert sorted(f.row for f in game.replay(wrong).faults) == np.flatnonzero(of_round).tolist()
    assert {f.column for f in Cobweb(0.5, rounds=5).replay(table).faults} == {"round"}


def test_impossible_markets_are_refused_in_words():
    with pytest.raises(InputError, match="no cobweb treatment 'wild': choose one of stable"):
        cobweb("wild")
    with pytest.raises(InputError, match="kappa is 0 and the standard deviation of noise"):
        Cobweb(0.0)
    with pytest.raises(InputError, match="each must be at least 1"):
        Cobweb(window=0)
    with pytest.raises(InputError, match="rising numbers"):
        Cobweb(forecasts=[1.0])
