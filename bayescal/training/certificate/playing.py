"""Replies played against a policy: what a person gains who plays the reply where everybody else plays the policy."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from bayescal.environments.base import Environment, role_of_player
from bayescal.training.replies.base import Decision, Reply
from bayescal.training.rollouts import (
    Place,
    Valued,
    draw_costs,
    drawn,
    looks,
    of_player,
    paid_for_information,
    rounds_of,
)


class BestReply(NamedTuple):
    """The best reply that was found, and its gain in nats a decision in games that it was not chosen by."""

    name: str
    gain: float
    error: float


class Several(Reply):
    """Several replies as one, so that they are compiled together; the first number of a setting says which."""

    replies: tuple[Reply, ...]

    @property
    def name(self) -> str:
        return "several"

    def settings(self, environment: Environment, role: int, params: PyTree) -> Float[np.ndarray, "versions numbers"]:
        each = [r.settings(environment, role, params) for r in self.replies]
        most = max(x.shape[1] for x in each)
        rows = [np.pad(x, ((0, 0), (0, most - x.shape[1]))) for x in each]
        return np.concatenate([np.concatenate([np.full((len(x), 1), k), x], axis=1) for k, x in enumerate(rows)])

    def log_choices(
        self, environment: Environment, role: int, at: Decision, setting: Float[Array, " numbers"]
    ) -> Float[Array, " actions"]:
        one = lambda reply: lambda at: reply.log_choices(environment, role, at, setting[1:])
        return jax.lax.switch(setting[0].astype(jnp.int32), [one(r) for r in self.replies], at)


@eqx.filter_jit
def gains(
    policy: Valued,
    reply: Reply,
    setting: Float[Array, " numbers"],
    key: PRNGKeyArray,
    place: Place,
    player: Int[Array, ""],
    role: int,
    cost: Float[Array, ""],
    games: int,
) -> Float[Array, " games"]:
    """Gain of one version of a reply in each game, in money a decision: payoffs less the cost of information, with
    common random numbers.

    Args:
        role: one with the same actions as the player's.
    """
    env, rounds = policy.environment, rounds_of(policy.environment)
    own, begin, on = jax.random.split(key, 3)
    costs = draw_costs(policy, own, place, games, player, cost)

    def difference(begin: PRNGKeyArray, on: PRNGKeyArray, costs: Float[Array, " players"]) -> tuple[Array, Array]:
        """(the discounted gain, the sum of the discount factors) of a game."""

        def earned(
            carry: tuple[PyTree, Array], key: PRNGKeyArray, replies: Array
        ) -> tuple[tuple[PyTree, Array], tuple[Array, Array]]:
            state, weight = carry
            act, chance = jax.random.split(key)
            seen, everybody = looks(policy, state, costs, place)
            mine = of_player(everybody, player)
            choices = reply.log_choices(env, role, Decision(of_player(seen, player), place.params, *mine), setting)
            mine = mine._replace(log_pi=jnp.where(replies, choices, mine.log_pi))
            joint = drawn(act, everybody.log_pi.at[player].set(mine.log_pi))
            after, payoffs, done = env.step(chance, state, joint, place.params)
            got = weight * (payoffs[player] - paid_for_information(mine, cost))
            return (after, weight * env.discount * jnp.where(done, 0.0, 1.0)), (got, weight)

        def go(carry: PyTree, key: PRNGKeyArray) -> tuple[PyTree, tuple[Array, Array]]:
            carry, (got, weights) = jax.vmap(earned, (0, None, 0))(carry, key, jnp.array([True, False]))
            return carry, (got[0] - got[1], weights[1])

        start = (env.reset(begin, place.params), jnp.ones(()))
        twice = jax.tree.map(lambda x: jnp.stack([x, x]), start)
        gained, weights = jax.lax.scan(go, twice, jax.random.split(on, rounds))[1]
        return jnp.sum(gained), jnp.sum(weights)

    gained, weights = jax.vmap(difference)(jax.random.split(begin, games), jax.random.split(on, games), costs)
    return gained / jnp.mean(weights)


def best_reply(
    policy: Valued,
    replies: Sequence[Reply],
    key: PRNGKeyArray,
    place: Place,
    player: int,
    cost: float,
    *,
    games: int = 32,
    blocks: int = 8,
) -> BestReply:
    """The best version of several replies by `games` games, played again in `blocks` times as many other ones."""
    env, several = policy.environment, Several(tuple(replies))
    role = env.action_values.index(env.action_values[role_of_player(env.role_counts)[player]])
    dtype = jnp.result_type(float)
    settings = jnp.asarray(several.settings(env, role, place.params), dtype)
    at = (place, jnp.asarray(player), role, jnp.asarray(cost, dtype), games)
    each = [float(np.mean(gains(policy, several, s, jax.random.fold_in(key, 0), *at))) for s in settings]
    best = settings[int(np.argmax(each))]
    fresh = [gains(policy, several, best, jax.random.fold_in(key, k + 1), *at) for k in range(blocks)]
    gained = np.concatenate([np.asarray(x, float) for x in fresh]) / cost
    error = float(gained.std(ddof=1) / np.sqrt(len(gained)))
    return BestReply(replies[int(best[0])].name, float(gained.mean()), error)
