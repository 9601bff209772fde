"""Repeated Cournot competition: profits, what is seen, and replayed markets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from markets import assert_replays, assert_same, played

from bayescal.environments.cournot import Cournot
from bayescal.environments.cournot_repeated import RepeatedCournot
from bayescal.errors import InputError
from bayescal.training.check import check_environment


def test_it_is_fit_to_be_played():
    check_environment(RepeatedCournot())
    check_environment(RepeatedCournot(4, range(0, 61, 5), 3, slope=2.0))


def test_a_round_is_a_game_of_cournot():
    with jax.enable_x64(True):
        game = RepeatedCournot(3, intercept=90.0, slope=0.7, cost=2.0)
        params = jax.tree.map(jnp.asarray, game.params)
        market, rng = Cournot(3, intercept=90.0, slope=0.7, cost=2.0), np.random.default_rng(0)
        state = game.reset(jax.random.key(0), params)
        for _ in range(4):
            joint = jnp.asarray(rng.integers(0, 60, 3))
            state, profits, _ = game.step(jax.random.key(1), state, joint, params)
            np.testing.assert_allclose(profits, market.payoffs(joint, params), rtol=1e-12)
        seen, joint, profits = jax.tree.map(np.asarray, (game.observe(state, 1), joint, profits))
    assert float(seen["own"]) == joint[1]
    assert float(seen["seen"]) == (joint[0] + joint[2]) / 2
    np.testing.assert_allclose(seen["price"], max(90 - 0.7 * float(joint.sum()), 0))
    np.testing.assert_allclose(seen["profit"], profits[1])
    np.testing.assert_allclose(game.payoff_scale(game.params), market.payoff_scale(market.params))


@pytest.mark.parametrize("firms", [2, 3])
def test_nash_quantities_of_huck_normann_and_oechssler(firms):
    game = RepeatedCournot(firms, np.arange(0, 100.01, 0.25))
    nash = {2: 33.0, 3: 24.75}[firms]
    q = np.arange(0, 100.01, 0.25)
    profits = (np.maximum(100 - q - (firms - 1) * nash, 0) - 1) * q
    assert q[np.argmax(profits)] == nash
    joint = jnp.full(firms, int(nash / 0.25))
    params = jax.tree.map(jnp.asarray, game.params)
    _, payoffs, _ = game.step(jax.random.key(0), game.reset(jax.random.key(0), params), joint, params)
    np.testing.assert_allclose(payoffs, nash**2, rtol=1e-5)


def test_replay():
    game = RepeatedCournot(3, range(0, 41, 2), rounds=6)
    table, seen = assert_replays(game, checked=["price", "profit"], optional=["price", "profit"])
    bare = game.replay(table.drop(columns=["price", "profit"]))
    assert bare.known.all()
    assert_same(bare, seen)
    wrong = table.copy()
    wrong.loc[10, "value"] += 6  # not what the market's price and profits say
    assert {table["round"][f.row] for f in game.replay(wrong).faults} == {table["round"][10]}
    assert {f.column for f in RepeatedCournot(3, range(0, 41, 2), rounds=5).replay(table).faults} == {"round"}


def test_replay_with_gaps():
    """A rival's row is missing: what the others sold follows from a price that is not zero."""
    game = RepeatedCournot(3, range(0, 41, 2), rounds=6)
    table, seen = played(game)
    gone = np.flatnonzero((table["participant"] == "1.2") & (table["round"] == 3))
    keep = np.setdiff1d(np.arange(len(table)), gone)
    holed = table.iloc[keep].reset_index(drop=True)
    own = ((holed["participant"] == "1.2") & (holed["round"] == 4)).to_numpy()
    market = ((holed["group"] == "1") & (holed["round"] == 4)).to_numpy()
    found = game.replay(holed)
    zero = table["price"][gone[0]] == 0
    np.testing.assert_array_equal(found.known, ~(market if zero else own))
    assert not zero
    assert not found.faults
    assert_same(found, {n: x[keep] for n, x in seen.items()}, atol=1e-3)
    blind = game.replay(holed.drop(columns="price"))
    np.testing.assert_array_equal(blind.known, ~market)
    assert not blind.faults
    assert_same(blind, {n: x[keep] for n, x in seen.items()}, atol=1e-3)


def test_impossible_markets_are_refused_in_words():
    with pytest.raises(InputError, match="at least two"):
        RepeatedCournot(1)
    with pytest.raises(InputError, match="equal steps"):
        RepeatedCournot(2, [0, 1, 5])
    with pytest.raises(InputError, match="at least one"):
        RepeatedCournot(2, rounds=0)
