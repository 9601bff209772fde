"""Games in progress while a policy is trained or measured, and the training data of one round."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from bayescal.environments.base import role_of_player
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import ABSENT
from bayescal.policies.learned import LearnedPolicy
from bayescal.training.points import Points, new_games, private_costs


class Game(NamedTuple):
    """A game in progress: its point of the domain, all costs, its state, and who explores."""

    point: Points
    costs: Float[Array, " players"]
    state: PyTree
    explores: Bool[Array, " players"]


class Lesson(NamedTuple):
    """A player at a decision, and the values of its own actions."""

    inputs: Float[Array, " inputs"]  # of the network
    known: Float[Array, "..."]  # the costs that the player knows: its own, or everybody's by role
    cost: Float[Array, ""]  # its own
    target: Float[Array, " actions"]  # value of each action that was tried, else 0
    tried: Bool[Array, " actions"]


def roles_of(policy: LearnedPolicy) -> tuple[int, ...]:
    """The role of each player of the policy's game."""
    return role_of_player(policy.environment.role_counts)


def begin_games(policy: AmortisedPolicy, key: PRNGKeyArray, n: int, explore: float = 0.0) -> Game:
    """n new games: points of the domain, costs of the players, first states.

    Args:
        explore: the probability that a player explores.
    """
    states, points = new_games(policy, key, n)
    costs = points.cost if policy.private else points.cost[:, jnp.asarray(roles_of(policy))]
    return Game(points, costs, states, jax.random.bernoulli(jax.random.fold_in(key, 1), explore, costs.shape))


def known_costs(policy: AmortisedPolicy, game: Game, player: int) -> Float[Array, "..."]:
    """The costs that a player knows: its own if costs are private, else all costs by role."""
    return game.costs[player] if policy.private else game.point.cost


def evenly_spread_actions(key: PRNGKeyArray, size: int, tries: int | None) -> Int[Array, " tries"]:
    """`tries` of `size` actions at equal distances, from a random first one; None: all of them."""
    if tries is None or tries >= size:
        return jnp.arange(size)
    return (jax.random.randint(key, (), 0, size) + np.arange(tries) * size // tries) % size


def soft_value(
    log_q: Float[Array, " actions"], q: Float[Array, " actions"], cost: Float[Array, ""] | float
) -> Float[Array, ""]:
    """lambda · log sum_a q(a) exp(Q(a) / lambda): the value of a decision, net of the cost of information."""
    return cost * jax.nn.logsumexp(jnp.where(log_q <= ABSENT / 2, ABSENT, log_q + q / cost))


def outcome(
    target: AmortisedPolicy, key: PRNGKeyArray, game: Game, joint: Int[Array, " players"], player: int
) -> Float[Array, ""]:
    """The payoff of `player` if `joint` is played, plus the discounted value of the next state."""
    env, point, role = target.environment, game.point, roles_of(target)[player]
    after, payoffs, done = env.step(key, game.state, joint, point.params)
    if env.horizon == 1:
        return payoffs[player]
    seen = env.observe(after, player)
    q = target.values_of(role, seen, known_costs(target, game, player), point.phi, point.psi, point.params)
    log_q = target.log_prior_of(role, point.psi, seen)
    return payoffs[player] + env.discount * jnp.where(done, 0.0, soft_value(log_q, q, game.costs[player]))


def redrawn(playing: AmortisedPolicy, key: PRNGKeyArray, game: Game) -> Int[Array, " players"]:
    """What everybody would do in this state with a cost drawn anew from the population."""
    env, point = playing.environment, game.point
    draw, act = jax.random.split(key)
    costs = private_costs(playing, draw, point.phi)
    actions = []
    for i, role in enumerate(roles_of(playing)):
        seen = env.observe(game.state, i)
        q = playing.values_of(role, seen, costs[i], point.phi, point.psi, point.params)
        log_p = playing.log_prior_of(role, point.psi, seen) + q / costs[i]
        actions.append(jax.random.categorical(jax.random.fold_in(act, i), log_p))
    return jnp.stack(actions).astype(jnp.int32)


def others_chances(playing: AmortisedPolicy, game: Game, player: int) -> Float[Array, " actions"]:
    """How probable each action of the other is, in a game of two: of a person with its cost, or, where people believe
    that they meet the population's average, of one whose cost is drawn anew."""
    env, point = playing.environment, game.point
    other = 1 - player
    role, seen = roles_of(playing)[other], env.observe(game.state, other)
    log_q = playing.log_prior_of(role, point.psi, seen)

    def choice(known: Array, cost: Array) -> Array:
        return jax.nn.softmax(log_q + playing.values_of(role, seen, known, point.phi, point.psi, point.params) / cost)

    if not averages(playing):
        return choice(known_costs(playing, game, other), game.costs[other])
    assert playing.population is not None
    costs, weights = playing.population.quadrature(point.phi)
    return weights @ jax.vmap(choice)(costs, costs)


def _expected(
    value: Callable[..., Float[Array, ""]],
    chances: Float[Array, " actions"],
    other: int,
    key: PRNGKeyArray,
    joint: Int[Array, " players"],
    action: Int[Array, ""],
) -> Float[Array, ""]:
    """The mean of `value(key, joint, action)` over what `other` may do."""
    against = lambda b: value(key, joint.at[other].set(b), action)
    return jnp.dot(chances, jax.vmap(against)(jnp.arange(len(chances))))


def averages(playing: AmortisedPolicy) -> bool:
    """Whether people believe that they meet the population's average in every state."""
    return playing.meets_people and playing.others == "average"


def play_round(
    playing: AmortisedPolicy,
    target: AmortisedPolicy,
    learners: tuple[int, ...],
    key: PRNGKeyArray,
    game: Game,
    *,
    tries: int | None = None,
    draws: int = 1,
    expected: bool = False,
) -> tuple[Game, Bool[Array, ""], list[Lesson]]:
    """(the game one round on, whether it is over, one lesson for each learner).

    Everybody decides by `playing`; those who explore move the game on by their prior instead, but the others reply to
    what they would have done. What each own action would have brought is found with the same chance for all actions,
    and valued by `target`. Where people believe that they meet the population's average (`LearnedPolicy.others`), they
    reply to people whose costs are drawn anew in this round.

    Args:
        learners: the players whose actions are tried out.
        tries, draws: how many actions, and over how many draws of chance (see `SoftQ`).
        expected: whether outcomes are averaged over all that the other may do, by its probability (games of two).
    """
    env, point = playing.environment, game.point
    act, noise = jax.random.split(key)
    inputs, decided, taken = [], [], []
    for i, role in enumerate(roles_of(playing)):
        seen = env.observe(game.state, i)
        known = known_costs(playing, game, i)
        inputs.append(playing.network_inputs(role, seen, known, point.phi, point.psi, point.params))
        log_q = playing.log_prior_of(role, point.psi, seen)
        q = playing.values_at(role, inputs[i], known, point.params)
        logits = log_q + jnp.stack([q / game.costs[i], jnp.where(game.explores[i], 0.0, q / game.costs[i])])
        # The same draw: a player who does not explore takes the action that the others reply to.
        by_policy, by_player = jnp.argmax(logits + jax.random.gumbel(jax.random.fold_in(act, i), q.shape), axis=1)
        decided.append(by_policy)
        taken.append(by_player)
    joint = jnp.stack(decided).astype(jnp.int32)
    after, _, done = env.step(noise, game.state, jnp.stack(taken).astype(jnp.int32), point.params)
    noises = noise[None] if draws == 1 else jax.random.split(noise, draws)
    if averages(playing) and not expected:
        met = jax.vmap(lambda key: redrawn(playing, key, game))(
            jax.random.split(jax.random.fold_in(noise, 10**6), draws)
        )
    else:
        met = jnp.broadcast_to(joint, (draws, *joint.shape))
    lessons = []
    for i in learners:
        tried = evenly_spread_actions(jax.random.fold_in(noise, i), len(env.action_values[roles_of(playing)[i]]), tries)
        value = lambda k, others, a, i=i: outcome(target, k, game, others.at[i].set(a), i)
        if expected:
            value = partial(_expected, value, others_chances(playing, game, i), 1 - i)
        values = jnp.mean(jax.vmap(jax.vmap(value, (None, None, 0)), (0, 0, None))(noises, met, tried), axis=0)
        empty = jnp.zeros(env.mask.shape[1], values.dtype)
        lesson = Lesson(
            inputs[i], known_costs(playing, game, i), game.costs[i],
            empty.at[tried].set(values), empty.astype(bool).at[tried].set(True),
        )  # fmt: skip
        lessons.append(jax.lax.stop_gradient(lesson))
    return game._replace(state=after), jnp.asarray(done), lessons
