"""A frozen policy at play: the states that it visits, and what each own action brings there.

At a visited state each own action a is taken once, and the policy followed afterwards. All actions see the same chance,
and the same uniform numbers become the players' actions by the inverse cdf, so that nearby play stays together:

    G(a) = r_0 + sum_{0<k<h} gamma^k (r_k - lambda KL(pi_k || q_k) - [Q(o_k, a_k) - E_pi Q(o_k, .)]) + gamma^h V(o_h)

The bracket has mean zero and takes out noise of the player's own choices. That of chance and of the others' choices is
taken out likewise: each payoff with the value of the next state is replaced by its mean over redraws of both, which
helps where the values are about right. G(a) is an unbiased estimate, up to the network's
own V after h rounds, of the value of a under the policy.
"""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bayescal._types import Actions, AnyArray, Costs, Keys, Observation, Parameters
from bayescal.domain import Domain
from bayescal.environments.base import Environment
from bayescal.policies.base import ABSENT
from bayescal.populations.base import Population
from bayescal.training.rounds import soft_value

_MOST_ROUNDS = 60  # of games without an end


@runtime_checkable
class Valued(Protocol):
    """What a certificate needs of a policy: the values and the habit of every role, and the box that they hold in."""

    @property
    def environment(self) -> Environment: ...
    @property
    def domain(self) -> Domain: ...
    @property
    def population(self) -> Population | None: ...
    def log_prior_of(self, role: int, psi: Parameters | None, observation: Observation) -> Actions: ...
    def values_of(
        self,
        role: int,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions: ...


class Place(NamedTuple):
    """A point of the domain without the cost: parameters of the population, the habit and the game."""

    phi: dict[str, Float[Array, "..."]]
    psi: dict[str, Float[Array, "..."]]
    params: dict[str, Float[Array, "..."]]


class Look(NamedTuple):
    """A player at a decision: the log habit, values in nats (Q / lambda), and log-probabilities of all actions."""

    log_q: Float[Array, "*players actions"]
    q: Float[Array, "*players actions"]
    log_pi: Float[Array, "*players actions"]


class Rounds(NamedTuple):
    """Rounds of a game: the states before them, what everybody saw and did, and whether the game was still on."""

    state: PyTree
    seen: PyTree
    joint: Int[Array, "rounds players"]
    live: Bool[Array, " rounds"]


class Visited(NamedTuple):
    """States that a policy visits, of many games. `live` is false after the end of a game."""

    states: PyTree  # (games, rounds, …)
    costs: Float[Array, "games players"]
    live: Bool[Array, "games rounds"]


def rounds_of(environment: Environment) -> int:
    """How many rounds are played: all, or where the end is not announced about 80 % of the discounted weight."""
    if not 0 < environment.discount < 1:
        return environment.horizon
    return max(1, min(_MOST_ROUNDS, math.ceil(1.7 / (1 - environment.discount))))


def look(policy: Valued, role: int, seen: PyTree, cost: Float[Array, ""], place: Place) -> Look:
    log_q = policy.log_prior_of(role, place.psi, seen)
    known = cost if policy.population is not None else jnp.broadcast_to(cost, (policy.environment.roles,))
    q = policy.values_of(role, seen, known, place.phi, place.psi, place.params) / cost
    absent = log_q <= ABSENT / 2
    q = jnp.where(absent, 0.0, q)
    return Look(log_q, q, jax.nn.log_softmax(jnp.where(absent, ABSENT, log_q + q)))


def looks(policy: Valued, state: PyTree, costs: Float[Array, " players"], place: Place) -> tuple[PyTree, Look]:
    """What everybody sees, and everybody at a decision. Players of one role go through the policy together."""
    env, each = policy.environment, []
    seen = [jax.tree.map(jnp.asarray, env.observe(state, i)) for i in range(env.players)]
    seen = jax.tree.map(lambda *x: jnp.stack(x), *seen)
    first = 0
    for role, count in enumerate(env.role_counts):
        members = slice(first, first + count)
        one = lambda seen, cost, role=role: look(policy, role, seen, cost, place)
        each.append(jax.vmap(one)(jax.tree.map(lambda x, m=members: x[m], seen), costs[members]))
        first += count
    return seen, jax.tree.map(lambda *x: jnp.concatenate(x), *each)


def of_player(everybody: PyTree, player: Int[Array, ""] | int) -> PyTree:
    return jax.tree.map(lambda x: x[player], everybody)


def drawn(key: PRNGKeyArray, log_p: Float[Array, "players actions"]) -> Int[Array, " players"]:
    """Everybody's action, by the inverse cdf."""
    u = jax.random.uniform(key, (log_p.shape[0], 1), log_p.dtype)
    below = jnp.cumsum(jnp.exp(log_p), axis=1) < u * (1 - 1e-6)
    most = jnp.sum(log_p > ABSENT / 2, axis=1) - 1  # absent actions are the last
    return jnp.minimum(jnp.sum(below, axis=1), most).astype(jnp.int32)


def paid_for_information(at: Look, cost: Float[Array, "*players"]) -> Float[Array, "*players"]:
    """lambda KL(pi || q), in money."""
    p = jnp.exp(at.log_pi)
    return cost * jnp.sum(jnp.where(p > 0, p * (at.log_pi - at.log_q), 0.0), axis=-1)


def draw_costs(
    policy: Valued, key: PRNGKeyArray, place: Place, games: int, player: Int[Array, ""], cost: Float[Array, ""]
) -> Float[Array, "games players"]:
    """Everybody's costs: that of `player` is given, the others' come from the population."""
    players, box = policy.environment.players, dict(policy.domain.intervals)["cost"]
    if policy.population is None:
        return jnp.full((games, players), cost)
    population = policy.population
    sample = jax.vmap(lambda k: population.sample(k, place.phi, (players,)))(jax.random.split(key, games))
    return jnp.clip(sample, box.low, box.high).astype(jnp.result_type(float)).at[:, player].set(cost)


@eqx.filter_jit
def visit(
    policy: Valued,
    key: PRNGKeyArray,
    place: Place,
    player: Int[Array, ""],
    cost: Float[Array, ""],
    games: int,
    rounds: int,
) -> Visited:
    """Play games in which `player` has the cost `cost`."""
    env = policy.environment
    own, begin, on = jax.random.split(key, 3)
    costs = draw_costs(policy, own, place, games, player, cost)

    def game(begin: PRNGKeyArray, on: PRNGKeyArray, costs: Float[Array, " players"]) -> tuple[PyTree, Array]:
        played = play_on(policy, on, env.reset(begin, place.params), costs, place, rounds)
        return played.state, played.live

    states, live = jax.vmap(game)(jax.random.split(begin, games), jax.random.split(on, games), costs)
    return Visited(states, costs, live)


def play_on(
    policy: Valued, key: PRNGKeyArray, state: PyTree, costs: Float[Array, " players"], place: Place, rounds: int
) -> Rounds:
    """The next rounds of a game in which everybody decides by the policy."""

    def go(carry: tuple[PyTree, Array], key: PRNGKeyArray) -> tuple[tuple[PyTree, Array], Rounds]:
        state, live = carry
        act, chance = jax.random.split(key)
        seen, everybody = looks(policy, state, costs, place)
        joint = drawn(act, everybody.log_pi)
        after, _, done = policy.environment.step(chance, state, joint, place.params)
        return (after, live & ~jnp.asarray(done)), Rounds(state, seen, joint, live)

    return jax.lax.scan(go, (state, jnp.asarray(True)), jax.random.split(key, rounds))[1]


def follow(
    policy: Valued,
    key: PRNGKeyArray,
    state: PyTree,
    costs: Float[Array, " players"],
    first: Int[Array, ""],
    place: Place,
    player: Int[Array, ""] | int,
    horizon: int,
    redraws: int = 0,
) -> tuple[Float[Array, " rounds"], Float[Array, " horizon"]]:
    """What an own action brings when the policy is followed, discounted, in money: (in each round, and after the last
    one; the payoffs in each round)."""
    env, cost = policy.environment, costs[player]

    def value(state: PyTree) -> Float[Array, ""]:
        at = of_player(looks(policy, state, costs, place)[1], player)
        return soft_value(at.log_q, cost * at.q, cost)

    def go(carry: tuple[PyTree, Array], t: Int[Array, ""]) -> tuple[tuple[PyTree, Array], tuple[Array, Array]]:
        state, weight = carry
        act, chance = jax.random.split(jax.random.fold_in(key, t))
        _, everybody = looks(policy, state, costs, place)
        joint = drawn(act, everybody.log_pi)
        joint = joint.at[player].set(jnp.where(t == 0, first, joint[player]))
        own = of_player(everybody, player)
        surplus = cost * (own.q[joint[player]] - jnp.sum(jnp.exp(own.log_pi) * own.q))
        later = jnp.where(t == 0, 0.0, paid_for_information(own, cost) + surplus)
        after, payoffs, done = env.step(chance, state, joint, place.params)
        luck = jnp.zeros(())
        if redraws:
            worth = lambda after, pay, done: pay[player] + env.discount * jnp.where(done, 0.0, value(after))

            def again(key: PRNGKeyArray) -> Float[Array, ""]:
                act, chance = jax.random.split(key)
                other = drawn(act, everybody.log_pi).at[player].set(joint[player])
                return worth(*env.step(chance, state, other, place.params))

            keys = jax.random.split(jax.random.fold_in(chance, 1), redraws)
            luck = worth(after, payoffs, done) - jnp.mean(jax.vmap(again)(keys))
        paid = weight * payoffs[player]
        return (after, weight * env.discount * jnp.where(done, 0.0, 1.0)), (paid - weight * (later + luck), paid)

    (after, weight), (got, paid) = jax.lax.scan(go, (state, jnp.ones(())), jnp.arange(horizon))
    return jnp.append(got, weight * value(after)), paid


@eqx.filter_jit
def branch(
    policy: Valued,
    keys: Keys,
    states: PyTree,
    costs: Float[Array, "states players"],
    tried: Int[AnyArray, "states tries"],
    place: Place,
    player: Int[Array, ""],
    horizon: int,
    redraws: int,
    chunk: int,
) -> Float[Array, "states tries"]:
    """G of each tried action at each state, in nats.

    Args:
        keys: one a state; all actions of a state share it.
        redraws: of chance and the others' actions in each round; 0 for none.
        chunk: states per batch, for memory.
    """

    def at_state(x: tuple[PyTree, Array, Array, PRNGKeyArray]) -> Float[Array, " tries"]:
        state, costs, tried, key = x
        one = lambda a: jnp.sum(follow(policy, key, state, costs, a, place, player, horizon, redraws)[0])
        return jax.vmap(one)(tried) / costs[player]

    return jax.lax.map(at_state, (states, costs, jnp.asarray(tried), keys), batch_size=chunk)


@eqx.filter_jit
def looks_at(
    policy: Valued, states: PyTree, costs: Float[Array, "states players"], place: Place, player: Int[Array, ""]
) -> tuple[PyTree, Look]:
    """(observations, looks) of one player at many states."""
    return jax.vmap(lambda state, costs: of_player(looks(policy, state, costs, place), player))(states, costs)


def chosen_rounds(
    live: Bool[np.ndarray, "games rounds"], discount: float, per_game: int, seed: int
) -> tuple[Int[np.ndarray, " states"], Int[np.ndarray, " states"]]:
    """(game, round) of `per_game` different decisions of each game, more often early ones where the future is
    discounted. Games that end before have fewer."""
    rng = np.random.default_rng(seed)
    weights = discount ** np.arange(live.shape[1]) if 0 < discount < 1 else np.ones(live.shape[1])
    # The largest of log(weight) + Gumbel noise are a sample without replacement.
    scores = np.where(live, np.log(weights) + rng.gumbel(size=live.shape), -np.inf)
    best = np.argsort(-scores, axis=1)[:, : min(per_game, live.shape[1])]
    games = np.repeat(np.arange(len(live)), best.shape[1])
    rounds = best.ravel()
    kept = live[games, rounds]
    return games[kept], rounds[kept]


def spread_actions(log_pi: Float[np.ndarray, "states actions"], tries: int) -> Int[np.ndarray, "states tries"]:
    """`tries` actions of each state: both ends of the grid, and the others at equal steps of a tempered policy."""
    size = log_pi.shape[1]
    if tries >= size:
        return np.broadcast_to(np.arange(size), log_pi.shape)
    tempered = np.exp((log_pi - log_pi.max(axis=1, keepdims=True)) / 4)
    tempered = 0.8 * tempered / tempered.sum(axis=1, keepdims=True) + 0.2 / size
    steps = (np.arange(tries - 2) + 0.5) / (tries - 2)
    cdf = np.cumsum(tempered, axis=1)
    inner = np.sum(cdf[:, None, :] < steps[None, :, None], axis=2)
    order = np.arange(tries - 2)
    # All different: not before the action's place in the list, nor so late that the rest finds no room.
    inner = np.maximum.accumulate(np.maximum(inner - order, 1), axis=1) + order
    return np.concatenate(
        [
            np.zeros((len(inner), 1), int),
            np.minimum(inner, size - 1 - (tries - 2) + order),
            np.full((len(inner), 1), size - 1),
        ],
        axis=1,
    )


def interpolated(
    x: Float[np.ndarray, "states tries"], tried: Int[np.ndarray, "states tries"], size: int
) -> Float[np.ndarray, "states actions"]:
    """From the tried actions to all, linear in between."""
    if tried.shape[1] == size:
        return x
    actions = np.arange(size)
    left = np.sum(tried[:, None, :] <= actions[None, :, None], axis=2) - 1
    left = np.clip(left, 0, tried.shape[1] - 2)
    take = lambda values, at: np.take_along_axis(values, at, axis=1)
    low, high = take(tried, left), take(tried, left + 1)
    share = (actions[None] - low) / (high - low)
    return take(x, left) * (1 - share) + take(x, left + 1) * share
