"""The exact soft best reply to a policy's frozen play in a repeated game.

Against others who play as the policy says, a player faces a Markov decision problem, which backward induction solves.
What the best reply earns more than the policy itself, net of the cost of information, is zero exactly at an
equilibrium. The policy is asked for its probabilities, and that is all: nothing is iterated to a fixed point.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from bayescal.environments.repeated import Repeated
from bayescal.policies.learned import LearnedPolicy
from bayescal.policies.rounds.solve import soft_value
from bayescal.policies.rounds.stage import Continuation, action_values, chances, stage_of
from bayescal.training.points import Points

NODES = 40  # in each direction of the state


class Gains(NamedTuple):
    """By own cost: what the best reply earns more than the policy, in money and in nats a decision."""

    money: Float[Array, " costs"]
    nats: Float[Array, " costs"]


def reply_gains(policy: LearnedPolicy, point: Points, costs: Float[Array, " costs"], *, nodes: int = NODES) -> Gains:
    """Gains over a policy at a point of its domain (whose own cost does not matter), for people with these costs.

    Args:
        nodes: in how many states values are held, in each of two directions; in all of them if there are no more.
    """
    env = policy.environment
    assert isinstance(env, Repeated)
    if policy.population is None and len(costs) > 1:  # everybody has the same cost: as many games as costs
        each = jax.lax.map(lambda cost: reply_gains(policy, point, cost[None], nodes=nodes), costs)
        return jax.tree.map(lambda x: x[:, 0], each)
    params = policy.all_params(point.params)
    stage = stage_of(env, params, nodes)
    own, seen = (jnp.asarray(x, jnp.result_type(float)) for x in stage.states)
    types, weights = (costs, jnp.ones(1)) if policy.population is None else policy.population.quadrature(point.phi)

    def log_play(own: Array, seen: Array, played: Int[Array, ""], cost: Array) -> Array:
        """Log-probabilities of somebody with a cost in all of these states."""
        shown = env.seen_after(own, seen, played, params)
        one = lambda seen: policy.log_prob((0, seen), cost, point.phi, point.psi, point.params)
        return jax.vmap(one)(shown)

    def round_(later: tuple[Array, Array], own: Array, seen: Array, played: Int[Array, ""]) -> tuple[Array, Array]:
        """Values before a round, of the best reply and of the policy, from those after it."""
        mirrored = [jnp.asarray(x) for x in env.mirrored(own, seen)]
        others = jax.lax.map(
            lambda k: weights[k] * jnp.exp(log_play(*mirrored, played, types[k])), jnp.arange(len(types))
        )
        met = chances(env, jnp.sum(others, axis=0))
        shown = env.seen_after(own, seen, played, params)
        log_q = jax.vmap(lambda s: policy.log_prior_of(0, point.psi, s))(shown)
        log_p = jax.lax.map(lambda cost: log_play(own, seen, played, cost), costs)
        best, kept = (action_values(Continuation(stage, env.discount * w), met) for w in later)
        p = jnp.exp(log_p)
        paid = costs[:, None, None] * jnp.where(p > 0, log_p - log_q, 0.0)
        return soft_value(log_q, best, costs), jnp.sum(p * (kept - paid), axis=-1)

    def back(later: tuple[Array, Array], played: Int[Array, ""]) -> tuple[tuple[Array, Array], None]:
        return jax.tree.map(lambda v: v.reshape(nothing.shape), round_(later, own, seen, played)), None

    nothing = jnp.zeros((len(costs), len(stage.own.at), len(stage.seen.at)), own.dtype)
    later, _ = jax.lax.scan(back, (nothing, nothing), jnp.arange(env.horizon - 1, 0, -1))
    begin = jnp.zeros(1, own.dtype)
    best, kept = round_(later, begin, begin, jnp.zeros((), jnp.int32))
    rounds = sum(env.discount**t for t in range(env.horizon))
    money = (best - kept)[:, 0] / rounds
    return Gains(money, money / costs)
