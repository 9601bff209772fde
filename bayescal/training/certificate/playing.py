"""Replies played against a policy: what a person gains who plays the reply where everybody else plays the policy."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bayescal.environments.base import role_of_player
from bayescal.training.certificate.rollouts import (
    Look,
    Place,
    Valued,
    draw_costs,
    drawn,
    looks,
    paid_for_information,
    rounds_of,
)
from bayescal.training.replies.base import Decision, Reply


class BestReply(NamedTuple):
    """The best reply that was found, and its gain in nats a decision in games that it was not chosen by."""

    name: str
    gain: float
    error: float


@eqx.filter_jit
def gains(
    policy: Valued,
    reply: Reply,
    settings: Float[Array, "versions numbers"],
    key: PRNGKeyArray,
    place: Place,
    player: int,
    cost: Float[Array, ""],
    games: int,
) -> Float[Array, "versions games"]:
    """Gain of each version of a reply in each game, in money a decision: payoffs less the cost of information, with
    common random numbers."""
    env = policy.environment
    role, rounds = role_of_player(env.role_counts)[player], rounds_of(env)
    own, begin, on = jax.random.split(key, 3)
    costs = draw_costs(policy, own, place, games, player, cost)

    def earned(
        setting: Float[Array, " numbers"] | None,
        begin: PRNGKeyArray,
        on: PRNGKeyArray,
        costs: Float[Array, " players"],
    ) -> tuple[Array, Array]:
        """(the discounted sum, the sum of the discount factors); without a setting the policy itself is played."""

        def go(carry: tuple[PyTree, Array], key: PRNGKeyArray) -> tuple[tuple[PyTree, Array], tuple[Array, Array]]:
            state, weight = carry
            act, chance = jax.random.split(key)
            everybody = looks(policy, state, costs, place)
            mine = jax.tree.map(lambda x: x[player], everybody)
            if setting is not None:
                at = Decision(env.observe(state, player), place.params, *mine)
                mine = Look(mine.log_q, mine.q, reply.log_choices(env, role, at, setting))
            joint = drawn(act, everybody.log_pi.at[player].set(mine.log_pi))
            after, payoffs, done = env.step(chance, state, joint, place.params)
            got = weight * (payoffs[player] - paid_for_information(mine, cost))
            return (after, weight * env.discount * jnp.where(done, 0.0, 1.0)), (got, weight)

        start = (env.reset(begin, place.params), jnp.ones(()))
        got, weights = jax.lax.scan(go, start, jax.random.split(on, rounds))[1]
        return jnp.sum(got), jnp.sum(weights)

    begins, ons = jax.random.split(begin, games), jax.random.split(on, games)
    base, weights = jax.vmap(lambda *x: earned(None, *x))(begins, ons, costs)
    each = jax.lax.map(lambda s: jax.vmap(lambda *x: earned(s, *x))(begins, ons, costs)[0], settings)
    return (each - base) / jnp.mean(weights)


def best_reply(
    policy: Valued,
    replies: Sequence[Reply],
    key: PRNGKeyArray,
    place: Place,
    player: int,
    cost: float,
    *,
    search: int = 32,
    games: int = 256,
) -> BestReply:
    """The best of several replies by `search` games, played again in `games` other ones."""
    env = policy.environment
    role, at = role_of_player(env.role_counts)[player], jnp.asarray(cost, jnp.result_type(float))
    found = []
    for reply in replies:
        settings = jnp.asarray(reply.settings(env, role, place.params), jnp.result_type(float))
        each = np.asarray(gains(policy, reply, settings, jax.random.fold_in(key, 0), place, player, at, search))
        best = int(np.argmax(each.mean(axis=1)))
        found.append((float(each[best].mean()), reply, settings[best : best + 1]))
    _, reply, setting = max(found, key=lambda x: x[0])
    each = np.asarray(gains(policy, reply, setting, jax.random.fold_in(key, 1), place, player, at, games))[0] / cost
    return BestReply(reply.name, float(each.mean()), float(each.std(ddof=1) / np.sqrt(games)))
