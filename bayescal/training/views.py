"""The inputs of networks and rewards at a decision, computed once when a game is played."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from bayescal.environments.base import OneShot
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.network import Network
from bayescal.training.points import Points
from bayescal.training.rounds import roles_of


class View(NamedTuple):
    """Players at a decision, as inputs of the networks and the reward; leading dimensions as played."""

    x: Float[Array, "*rows players inputs"]
    log_q: Float[Array, "*rows players actions"]
    tilt: Float[Array, "*rows players"]  # logits per unit of the network's output
    place: Float[Array, "*rows players"]  # the own cost as the critic sees it, in [-1, 1]
    charge: Float[Array, "*rows players"]  # the own cost in units of the stakes
    scale: Float[Array, "*rows players"]  # the stakes, in money


def look_all(policy: AmortisedPolicy, worlds: PyTree, games: Points) -> View:
    """`look` at many games."""
    return jax.vmap(lambda world, game: look(policy, world, game))(worlds, games)


def look(policy: AmortisedPolicy, world: PyTree, game: Points) -> View:
    """The players of one game at a decision: logits are log_q + tilt · network(x), as in the policy itself."""
    env = policy.environment
    roles = np.array(roles_of(policy))
    own = game.cost if policy.private else game.cost[roles]
    scale = jnp.stack([env.stake_scale(game.params, role) for role in range(env.roles)])[roles]
    box = policy.cost_interval
    place = 2 * jnp.log(own / box.low) / np.log(box.high / box.low) - 1
    tilt = scale / (own + scale) if policy.unit == "cost" and policy.sees_cost else scale / own
    rows = [look_role(policy, role, world, game) for role in range(env.roles)]
    x, log_q = (jnp.concatenate(parts) for parts in zip(*rows, strict=True))
    return jax.tree.map(lambda a: a.astype(jnp.float32), View(x, log_q, tilt, place, own / scale, scale))


def look_role(
    policy: AmortisedPolicy, role: int, world: PyTree, game: Points
) -> tuple[Float[Array, "members inputs"], Float[Array, "members actions"]]:
    """(network inputs, log prior) of the players of a role."""
    env = policy.environment
    members = [i for i, r in enumerate(roles_of(policy)) if r == role]

    def one(observation: PyTree, cost: Float[Array, "..."] | None) -> tuple[Array, Array]:
        x = policy.network_inputs(role, observation, cost, game.phi, game.psi, game.params)
        return x, policy.log_prior_of(role, game.psi, observation)

    if isinstance(env, OneShot):  # all observe the same, and private costs are not observed
        pair = one(role, None if policy.private else game.cost)
        x, log_q = (jnp.broadcast_to(a, (len(members), *a.shape)) for a in pair)
        return x, log_q
    seen = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[env.observe(world, i) for i in members])
    if policy.private:
        return jax.vmap(one)(seen, game.cost[np.array(members)])
    return jax.vmap(lambda o: one(o, game.cost))(seen)


def log_policy(policy: AmortisedPolicy, actor: Network, view: View) -> Float[Array, "*rows players actions"]:
    """Log-probabilities of everybody's actions under the actor's weights."""
    return jax.nn.log_softmax(view.log_q + view.tilt[..., None] * on_rows(policy, actor, view.x))


def value_of(policy: AmortisedPolicy, critic: Network, view: View) -> Float[Array, "*rows players"]:
    """The value of the rest of the game, in units of the stakes. The network's output is an average per round."""
    x = jnp.concatenate([view.x, view.place[..., None]], axis=-1)
    return discounted_rounds(policy) * on_rows(policy, critic, x)[..., 0]


def discounted_rounds(policy: AmortisedPolicy) -> float:
    """The present value of a payoff of one in every round."""
    env = policy.environment
    return float(np.sum(float(env.discount) ** np.arange(env.horizon)))


def on_rows(
    policy: AmortisedPolicy, network: Network, x: Float[Array, "*rows players inputs"]
) -> Float[Array, "*rows players outputs"]:
    """The network on many rows: one matrix product per layer (and player, if roles have their own weights)."""
    if policy.roles == "separate":
        roles = np.array(roles_of(policy))
        by_player = jax.tree.map(lambda w: w[roles], network)
        y = jax.vmap(forward)(by_player, jnp.moveaxis(x, -2, 0).reshape(len(roles), -1, x.shape[-1]))
        return jnp.moveaxis(y.reshape(len(roles), *x.shape[:-2], -1), 0, -2)
    return forward(network, x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


def forward(network: Network, x: Float[Array, "rows inputs"]) -> Float[Array, "rows outputs"]:
    *hidden, last = zip(network.weights, network.biases, strict=True)
    for w, b in hidden:
        x = jax.nn.silu(x @ w.T + b)
    return x @ last[0].T + last[1]
