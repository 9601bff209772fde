"""PPO with the log-ratio in the reward: against exact solutions, and its parts one by one."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.environments.base import role_of_player
from bayescal.errors import DomainError, InputError
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.training.kl_ppo import KLPPO, advantages
from bayescal.training.points import new_games
from bayescal.training.views import log_policy, look_all, on_rows

PENNIES = bc.NormalForm([[[9, 0], [0, 1]], [[0, 9], [1, 0]]], role_names=("row", "column"))
QUANTITIES = (0.0, 12.0, 24.0, 36.0, 48.0)
MARKET = bc.Cournot(3, QUANTITIES)
SPREAD = {"cost": (30.0, 1000.0), "phi.log_mean": (4.0, 6.0), "phi.log_sd": (0.2, 1.0)}


class Idle(bc.NormalForm):
    """Nothing that is done matters, and a unit of money is the unit of everything."""

    def __init__(self):
        super().__init__(np.zeros((2, 4, 4)), action_values=[range(4)] * 2)

    def stake_scale(self, params, role):
        return jnp.ones(())


class Doors(bc.Environment):
    """Two players who have nothing to do with each other: going in costs 1, and inside it pays 2 to do the right
    thing. Outside nothing pays."""

    name: str = eqx.field(static=True, default="doors")
    role_names: tuple[str, ...] = eqx.field(static=True, default=("guest",))
    role_counts: tuple[int, ...] = eqx.field(static=True, default=(2,))
    action_values: tuple[tuple[float, ...], ...] = eqx.field(static=True, default=((0.0, 1.0),))
    action_labels: tuple[tuple[str, ...], ...] = eqx.field(static=True, default=(("no", "yes"),))
    ordered: bool = eqx.field(static=True, default=True)
    horizon: int = eqx.field(static=True, default=2)
    discount: float = eqx.field(static=True, default=0.9)

    @property
    def params(self):
        return {"pay": np.asarray(1.0)}

    def reset(self, key, params):
        return jnp.zeros((), jnp.int32), jnp.zeros(2)

    def step(self, key, state, joint_action, params):
        time, inside = state
        chosen = joint_action.astype(inside.dtype)
        payoffs = params["pay"] * jnp.where(time == 0, -chosen, 2 * inside * chosen)
        return (time + 1, chosen), payoffs, time + 1 >= self.horizon

    def observe(self, state, player):
        return state[0], state[1][player]

    def replay(self, table):
        raise NotImplementedError

    def payoff_scale(self, params):
        return 2 * jnp.asarray(params["pay"])


def begun(trainer, key):
    return jax.jit(lambda key: trainer.init(key))(jax.random.key(key))


def run(trainer, key=0, state=None):
    """A whole training, compiled."""
    key = jax.random.key(key)

    def train(state):
        state = trainer.init(key) if state is None else state
        return jax.lax.scan(lambda s, k: trainer.step(k, s), state, jax.random.split(key, trainer.steps))

    return jax.jit(train)(state)


def small(skeleton, **settings: Any):
    settings = {"steps": 3, "games": 4, "rollout": 4, "epochs": 2, "minibatches": 2} | settings
    return KLPPO(skeleton, **settings)


@pytest.mark.parametrize("roles", ["embedded", "separate"])
@pytest.mark.slow
def test_it_finds_the_equilibrium_of_a_two_by_two_game(roles):
    skeleton = AmortisedPolicy(PENNIES, {"cost": (1.0, 4.0)}, width=16, depth=1, roles=roles)
    trainer = KLPPO(skeleton, steps=200, games=128, rollout=4, learning_rate=5e-3)
    state, info = run(trainer)
    policy = trainer.policy(state)
    # Three seeds left 0.003 to 0.023; uniform play, where training begins, is at least twice as far as is allowed.
    for cost in (jnp.array([1.2, 1.2]), jnp.array([3.0, 1.5])):
        exact = bc.ExactPolicy(PENNIES).solve(cost).strategies
        learned = jnp.exp(policy.log_prob_all(cost, None, None, None))
        away = lambda p, exact=exact: np.max(0.5 * np.sum(np.abs(p - exact), axis=1))
        assert away(learned) < 0.03
        assert away(np.full((2, 2), 0.5)) > 0.06
    assert info["kl"].shape == (200,) and np.all(np.isfinite(info["loss"]))


@pytest.mark.slow
def test_it_finds_the_equilibrium_of_a_market_with_private_costs():
    population = bc.populations.LogNormal(8)
    skeleton = AmortisedPolicy(MARKET, SPREAD, population=population, width=16, depth=1)
    trainer = KLPPO(skeleton, steps=100, games=128, rollout=4, learning_rate=5e-3)
    policy = trainer.policy(run(trainer)[0])
    phi = {"log_mean": jnp.asarray(5.0), "log_sd": jnp.asarray(0.5)}
    exact = bc.ExactPolicy(MARKET, population=population).solve(phi=phi).strategies
    learned = jnp.exp(policy.log_prob_all(None, phi, None, None))
    # Three seeds left 0.009 to 0.016; uniform play is 0.35 away.
    assert 0.5 * np.sum(np.abs(learned - exact)) < 0.05


def test_later_decisions_are_charged_for_too():
    """Over time, the value of what comes later is net of its information: V = cost · log sum q exp(Q / cost)."""
    skeleton = AmortisedPolicy(Doors(), {"cost": (0.8, 1.25)}, width=16, depth=1)
    trainer = KLPPO(skeleton, steps=120, games=128, rollout=4, learning_rate=5e-3)
    policy = trainer.policy(run(trainer)[0])
    yes = lambda seen: float(jnp.exp(policy.log_prob((0, seen), 1.0, None, None, None))[1])
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    net = 0.9 * np.log((np.exp(2) + 1) / 2) - 1
    gross = 0.9 * 2 * sigmoid(2) - 1  # where the divergence is in the loss only
    # Four seeds left up to 0.005; the wrong fixed point is 0.07 away.
    assert abs(yes((1, 1.0)) - sigmoid(2)) < 0.025
    assert abs(yes((1, 0.0)) - 0.5) < 0.025
    assert abs(yes((0, 0.0)) - sigmoid(net)) < 0.025 < 0.06 < abs(sigmoid(net) - sigmoid(gross))


def test_plain_ppo_is_rational():
    """Going in for 1 and earning 0.9 x 2 is worth it to those who pay nothing for information."""
    skeleton = AmortisedPolicy(Doors(), {"cost": (0.8, 1.25)}, width=16, depth=1)
    trainer = KLPPO(skeleton, steps=60, games=128, rollout=4, learning_rate=1e-2, plain=True)
    policy = trainer.policy(run(trainer)[0])
    yes = lambda seen: float(jnp.exp(policy.log_prob((0, seen), 0.8, None, None, None))[1])
    # Three seeds left 0.9999 and more.
    assert yes((0, 0.0)) > 0.9 and yes((1, 1.0)) > 0.9
    with pytest.raises(DomainError):  # it knows nothing of other costs
        policy.log_prob((0, (0, 0.0)), 1.0, None, None, None)


def test_generalised_advantages_equal_a_loop():
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(2, 5, 3, 2))
    last, done = rng.normal(size=(3, 2)), rng.random((5, 3)) < 0.3
    expected = np.zeros((5, 3, 2))
    for game in range(3):
        ahead, following = np.zeros(2), last[game]
        for t in reversed(range(5)):
            if done[t, game]:
                ahead, following = np.zeros(2), np.zeros(2)
            surprise = rewards[t, game] + 0.9 * following - values[t, game]
            ahead = expected[t, game] = surprise + 0.9 * 0.8 * ahead
            following = values[t, game]
    found = advantages(*map(jnp.asarray, (rewards, values, done, last)), 0.9, 0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # float32


@pytest.mark.parametrize("plain", [False, True])
def test_the_log_ratio_is_in_the_reward(plain):
    """Where nothing matters, a player who is made to begin elsewhere goes back to the prior, unless plain."""
    anchored = bc.priors.Anchored()
    domain = {"cost": (0.5, 2.0), "psi.anchor": (0.0, 0.2), "psi.pull": (2.0, 3.0)}
    skeleton = AmortisedPolicy(Idle(), domain, prior=anchored, width=16, depth=1)
    # Plain PPO, which nothing pulls back, walks at random by what the learning rate allows.
    settings: dict[str, Any] = {"steps": 30, "learning_rate": 2e-3} if plain else {"steps": 60, "learning_rate": 1e-2}
    trainer = KLPPO(skeleton, games=128, rollout=2, plain=plain, **settings)
    state = begun(trainer, 0)
    if not plain:
        pushed = jnp.array([-4.0, -2.0, 0.0, 2.0])
        actor = eqx.tree_at(lambda n: n.biases[-1], state.networks.actor, pushed)
        state = state._replace(networks=state.networks._replace(actor=actor), average=actor)
    cost = trainer.student.cost_interval.low
    psi = None if plain else {"anchor": jnp.asarray(0.1), "pull": jnp.asarray(2.5)}
    mixture = lambda state: np.exp(trainer.policy(state).log_prob_all(cost, None, psi, None))
    prior = np.exp(skeleton.log_prior({"anchor": 0.1, "pull": 2.5}))
    before, after = mixture(state), mixture(run(trainer, state=state)[0])
    away = lambda p, q: np.max(0.5 * np.sum(np.abs(p - q), axis=1))
    # The prior is 0.29 from uniform play, and the push 0.55 from the prior. Three seeds left 0.005 to 0.009 of it; the
    # random walk went 0.02 to 0.05.
    if plain:
        assert away(after, np.full((2, 4), 0.25)) < 0.1
    else:
        assert away(before, prior) > 0.5
        assert away(after, prior) < 0.03


@pytest.mark.parametrize("roles", ["embedded", "separate"])
@pytest.mark.parametrize(
    ("environment", "domain", "population", "unit"),
    [
        (PENNIES, {"cost": (1.0, 4.0), "params.payoffs": (0.0, 9.0)}, None, "cost"),
        (PENNIES, {"cost": (1.0, 4.0)}, None, "payoff"),
        (MARKET, SPREAD, bc.populations.LogNormal(8), "payoff"),
        (Doors(), {"cost": (0.1, 4.0), "params.pay": (1.0, 2.0)}, None, "cost"),
        (Doors(), SPREAD, bc.populations.LogNormal(8), "cost"),
    ],
)
def test_it_plays_as_the_policy_says(environment, domain, population, unit, roles):
    """What is sampled from is `policy.log_prob` at the players' own costs, whatever is known of them."""
    skeleton = AmortisedPolicy(environment, domain, population=population, width=8, depth=1, roles=roles, unit=unit)
    trainer = small(skeleton)
    one_shot = isinstance(environment, bc.OneShot)

    @jax.jit  # also since the standard names that games are played under are no part of the policy's box
    def both():
        state = trainer.init(jax.random.key(3))
        worlds, games = new_games(skeleton, jax.random.key(1), 4)
        found = log_policy(skeleton, state.networks.actor, look_all(skeleton, worlds, games))
        policy = trainer.policy(state)

        def expected(world, game):
            each = []
            for i, role in enumerate(role_of_player(environment.role_counts)):
                cost = game.cost[i] if population else game.cost
                seen = role if one_shot else (role, environment.observe(world, i))
                each.append(policy.log_prob(seen, cost, game.phi, game.psi, game.params))
            return jnp.stack(each)

        return found, jax.vmap(expected)(worlds, games)

    np.testing.assert_allclose(*both(), rtol=1e-4, atol=1e-4)  # float32, other order of sums


def test_private_costs_are_drawn_for_each_player():
    skeleton = AmortisedPolicy(MARKET, SPREAD, population=bc.populations.LogNormal(8), width=8, depth=1)
    _, games = new_games(skeleton, jax.random.key(0), 5)
    assert games.cost.shape == (5, 3)
    assert len(np.unique(np.asarray(games.cost))) > 12  # a few may lie on the ends of the box
    assert np.all((games.cost >= 30) & (games.cost <= 1000))


def test_games_over_time_begin_anew():
    skeleton = AmortisedPolicy(Doors(), {"cost": (0.1, 0.2)}, width=8, depth=1)
    trainer = small(skeleton, rollout=7)
    state = begun(trainer, 1)
    experience = jax.jit(lambda *given: trainer.experience(*given))
    clocks = [np.asarray(state.worlds[0])]
    for key in jax.random.split(jax.random.key(0), 3):
        state, _ = experience(key, state)
        clocks.append(np.asarray(state.worlds[0]))
    # Games of two decisions, seven decisions at a time: each ends within its decisions and begins again.
    assert np.array_equal(clocks, [[0] * 4, [1] * 4, [0] * 4, [1] * 4])


def test_one_key_gives_one_state():
    skeleton = AmortisedPolicy(PENNIES, {"cost": (1.0, 4.0)}, width=4, depth=1)
    trainer = small(skeleton, steps=1, games=2, rollout=2, epochs=1)
    key = jax.random.key(5)
    step = lambda: jax.jit(lambda: trainer.step(key, trainer.init(jax.random.key(0)))[0])  # each traced anew
    first = step()
    for a, b, c in zip(*map(jax.tree.leaves, (first(), first(), step()())), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


def test_seeds_may_be_mapped_over():
    skeleton = AmortisedPolicy(Doors(), {"cost": (0.1, 4.0)}, width=4, depth=1)
    trainer = small(skeleton)
    keys = jax.random.split(jax.random.key(0), 3)
    states = jax.jit(jax.vmap(trainer.init))(keys)
    mapped, _ = jax.jit(jax.vmap(lambda key, state: trainer.step(key, state)))(keys, states)
    alone, _ = jax.jit(lambda key, state: trainer.step(key, state))(keys[1], jax.tree.map(lambda x: x[1], states))
    for a, b in zip(jax.tree.leaves(mapped), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=1e-3, atol=1e-5)  # float32, other order of sums


def test_settings_that_cannot_be_are_refused():
    skeleton = AmortisedPolicy(PENNIES, {"cost": (1.0, 4.0)}, width=4, depth=1)
    with pytest.raises(InputError, match="minibatches"):
        KLPPO(skeleton, games=3, rollout=3, minibatches=4)
    both = AmortisedPolicy([MARKET, bc.Cournot(2, QUANTITIES)], {"cost": (1.0, 4.0)}, width=4, depth=1)
    with pytest.raises(InputError, match="one game"):
        KLPPO(both)


def test_networks_on_rows_equal_the_network():
    skeleton = AmortisedPolicy(PENNIES, {"cost": (1.0, 4.0)}, width=4, depth=2, roles="separate")
    trainer = small(skeleton)
    actor = begun(trainer, 0).networks.actor
    x = np.random.default_rng(1).normal(size=(3, 2, actor.weights[0].shape[-1])).astype(np.float32)

    def both(actor, x):
        each = [jax.vmap(jax.tree.map(lambda w, r=r: w[r], actor))(x[:, r]) for r in range(2)]
        return on_rows(skeleton, actor, x), jnp.stack(each, axis=1)

    np.testing.assert_allclose(*jax.jit(both)(actor, x), rtol=1e-4, atol=1e-5)  # float32
