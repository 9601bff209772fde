"""Staged games: parts and stage payoffs against play and against numerical integration; meetings are densities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

import bayescal as bc
from bayescal.environments.staged import Mixture
from bayescal.environments.supply_chain import beer_game
from bayescal.policies.staged import PARTS

GAMES = {
    "cobweb": bc.Cobweb(kappa=2.0),
    "two forecasters": bc.Cobweb(kappa=0.5, players=2, window=1),
    "beer game": beer_game(),
    "slow chain": bc.SupplyChain(2, orders=range(0, 13, 3), order_delay=2, shipping_delay=3, holding=0.3, backlog=2.0),
}
SOME = 3  # every third action is integrated
each_game = pytest.mark.parametrize("env", GAMES.values(), ids=GAMES)


def play(env, rounds=30, seed=0):
    """(what everybody saw before each round, actions, payoffs) of random play."""

    def go(state, key):
        act, chance = jax.random.split(key)
        joint = jax.random.randint(act, (env.players,), 0, len(env.action_values[0])).astype(jnp.int32)
        seen = jax.tree.map(lambda *x: jnp.stack(x), *[env.observe(state, i) for i in range(env.players)])
        state, payoffs, _ = env.step(chance, state, joint, env.params)
        return state, (seen, joint, payoffs)

    keys = jax.random.split(jax.random.key(seed), rounds)
    return jax.lax.scan(go, env.reset(jax.random.key(seed), env.params), keys)[1]


def pays(env, seen, own, part):
    """What an action pays by the rules, given the part."""
    if isinstance(env, bc.Cobweb):
        supplied = (np.tanh(env.kappa * (own - 6)) + 1) * 6 / env.players
        return max(1300 - 260 * (part - supplied / 1.5 - own) ** 2, 0.0)
    stock = float(seen["inventory"] + seen["supply_line"]) + own - part
    delay = env.order_delay + env.shipping_delay
    return -(env.discount**delay) * (env.holding * max(stock, 0) + env.backlog * max(-stock, 0))


@each_game
def test_the_part_that_is_seen_later_says_what_an_action_has_paid(env):
    with jax.enable_x64(True):
        seen, joint, payoffs = play(env)
        grid, rounds = np.asarray(env.action_values[0]), len(joint)
        off = []
        for t in range(rounds - max(env.shown_after, env.paid_after)):
            for i in range(env.players):
                before, later = (jax.tree.map(lambda x, s=s, i=i: x[s, i], seen) for s in (t, t + env.shown_after))
                own = grid[joint[t, i]]
                part = float(env.part(before, own, later, env.params))
                paid = env.discount**env.paid_after * float(payoffs[t + env.paid_after, i])
                off.append(pays(env, before, own, part) - paid)
    assert np.abs(off).max() < 1e-6


@each_game
@pytest.mark.parametrize(("mean", "sd"), [((4.0, 5.5), (0.5, 0.7)), ((6.0, 5.0), (1.2, 1.6))])
def test_the_stage_is_an_integral(env, mean, sd):
    """Of what the rules say that an action pays, against a mixture whose means move with the own action."""
    weight = np.array([0.3, 0.7])
    slope = np.array([0.0, 0.4]) if env.part_moves else np.zeros(2)
    with jax.enable_x64(True):
        seen = env.observe(env.reset(jax.random.key(1), env.params), 0)
        grid = np.asarray(env.action_values[0])[::SOME]
        met = Mixture(jnp.log(weight), jnp.asarray(mean), jnp.asarray(slope), jnp.asarray(sd))
        stage = np.asarray(env.stage(0, seen, met, env.params))[::SOME]
    weighed = lambda x, own: pays(env, seen, own, x) * (weight @ norm.pdf(x, np.asarray(mean) + slope * own, sd))
    ends = {"points": (2, 4, 6, 8), "limit": 2000}
    expected = np.array([quad(weighed, -15, 30, args=(own,), **ends)[0] for own in grid])
    # The cobweb's payoffs end at zero within a step of its quadrature.
    cobweb = isinstance(env, bc.Cobweb)
    np.testing.assert_allclose(stage, expected, rtol=1e-5, atol=1.5 if cobweb else 1e-5)
    if cobweb:
        assert np.abs(stage - expected)[expected > 0.7 * expected.max()].max() < 0.5


def test_a_mixture_is_a_density_of_the_part_after_an_own_action():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        draw = lambda: jnp.asarray(rng.normal(size=PARTS))
        meeting = Mixture(jax.nn.log_softmax(draw()), 3 * draw(), jax.nn.sigmoid(draw()), 0.3 + draw() ** 2)
        x = np.linspace(-60, 60, 40_001)
        for own in (0.0, 7.0):
            density = np.exp(np.asarray(jax.vmap(lambda part, own=own: meeting.log_density(part, own))(x)))
            assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-6)
            mean = float(jnp.sum(jnp.exp(meeting.log_weight) * (meeting.mean + own * meeting.slope)))
            assert np.trapezoid(x * density, x) == pytest.approx(mean, abs=1e-5)


def test_what_a_staged_policy_needs_is_said(unchecked):
    with unchecked(), pytest.raises(bc.InputError, match="use AmortisedPolicy"):
        bc.StagedPolicy(bc.Newsvendor(), {"cost": (1.0, 10.0)})
    with pytest.raises(bc.InputError, match="must come from a population"):
        bc.StagedPolicy(bc.Cobweb(), {"cost": (1.0, 10.0)})
    shop = bc.StagedPolicy(bc.SupplyChain(1), {"cost": (1.0, 10.0)}, width=4, depth=1)
    with pytest.raises(bc.InputError, match="3 rounds later; a horizon of 3"):
        bc.LookAhead(shop, horizon=3)
    with pytest.raises(bc.InputError, match="64 of 32 games"):
        bc.LookAhead(shop, horizon=5, games=32, branched=64)
