"""The gain of a best reply: a reply to the fixed policy is trained, and both are played.

Net of the cost of information this is the soft exploitability of the policy. The trained reply may miss some of the
possible gain, so the figure is a lower bound; for an equilibrium it is zero up to its standard error.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import ABSENT
from bayescal.training.rounds import Game, begin_games, known_costs, roles_of
from bayescal.training.soft_q import SoftQ
from bayescal.training.train import train

_ROUNDS = 100  # played of games without an end


def best_reply_gain(policy: AmortisedPolicy, *, steps: int = 3000, games: int = 256, seed: int = 0) -> dict[str, float]:
    """Mean gain per game of a trained best reply over the policy, as a share of the stakes, and its standard error.

    The reply starts from the policy itself and is trained in small steps.

    Args:
        steps: number of training steps of the reply.
        games: number of simulated games. In each, every player in turn plays the reply and the others the policy, with
            common random numbers.
    """
    learner = SoftQ(policy, steps=steps, games=64, tries=16, everyone=False, others=policy, learning_rate=1e-3)
    learned = train(learner, seed=seed + 1).policy
    assert isinstance(learned, AmortisedPolicy)
    reply = learned
    begin, go = jax.random.split(jax.random.key(seed))
    started = begin_games(policy, begin, games)

    def gain(game: Game, key: PRNGKeyArray) -> Float[Array, ""]:
        players = range(policy.environment.players)
        each = [earned(reply, policy, i, game, key) - earned(policy, policy, i, game, key) for i in players]
        return jnp.mean(jnp.stack(each))

    gains = np.asarray(jax.jit(jax.vmap(gain))(started, jax.random.split(go, games)))
    return {"mean": float(f"{gains.mean():.3g}"), "standard error": float(f"{gains.std() / np.sqrt(games):.3g}")}


def earned(
    own: AmortisedPolicy, others: AmortisedPolicy, player: int, game: Game, key: PRNGKeyArray
) -> Float[Array, ""]:
    """The discounted payoff of `player` in a game net of the cost of information, as a share of its stakes."""
    env, point = own.environment, game.point
    roles = roles_of(own)

    def go(carry: tuple[PyTree, Array], key: PRNGKeyArray) -> tuple[tuple[PyTree, Array], Array]:
        state, weight = carry
        act, noise = jax.random.split(key)
        joint, paid = [], jnp.zeros(())
        for i, role in enumerate(roles):
            policy = own if i == player else others
            known = known_costs(own, game, i)
            seen = env.observe(state, i)
            log_q = policy.log_prior_of(role, point.psi, seen)
            q = policy.values_of(role, seen, known, point.phi, point.psi, point.params)
            log_p = jax.nn.log_softmax(log_q + q / game.costs[i])
            joint.append(jax.random.categorical(jax.random.fold_in(act, i), log_p))
            if i == player:
                possible = log_q > ABSENT / 2
                paid = game.costs[i] * jnp.sum(jnp.where(possible, jnp.exp(log_p) * (log_p - log_q), 0.0))
        state, payoffs, done = env.step(noise, state, jnp.stack(joint).astype(jnp.int32), point.params)
        gained = weight * (payoffs[player] - paid)
        return (state, weight * env.discount * jnp.where(done, 0.0, 1.0)), gained

    rounds = _ROUNDS if env.discount < 1 else env.horizon
    _, gained = jax.lax.scan(go, (game.state, jnp.ones(())), jax.random.split(key, rounds))
    return jnp.sum(gained) / env.stake_scale(point.params, roles[player])
