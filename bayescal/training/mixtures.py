"""Mixed strategies in a one-shot game when choices follow given values, and the payoffs against them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal._types import Parameters
from bayescal.environments.base import OneShot
from bayescal.policies.learned import LearnedPolicy
from bayescal.training.points import Points


def types_of(policy: LearnedPolicy, point: Points) -> tuple[Float[Array, "roles types"], Float[Array, " types"]]:
    """Possible costs of the players of a game, and their probabilities."""
    if policy.population is None:
        return point.cost[:, None], jnp.ones(1)
    costs, weights = policy.population.quadrature(point.phi)
    return jnp.broadcast_to(costs, (policy.environment.roles, costs.shape[0])), weights


def values_at_point(policy: LearnedPolicy, point: Points) -> Float[Array, "roles actions"]:
    """The values that the policy predicts in one game."""
    return policy.values(None if policy.private else point.cost, point.phi, point.psi, point.params)


def replies(
    environment: OneShot,
    q: Float[Array, "roles actions"],
    log_q: Float[Array, "roles actions"],
    costs: Float[Array, "roles types"],
    weights: Float[Array, " types"],
    params: Parameters,
) -> tuple[Float[Array, "roles actions"], Float[Array, "roles actions"], Float[Array, "roles types actions"]]:
    """(payoff of each action when everybody plays as the values say, everybody's mixture, and by type)."""
    by_type = jax.nn.softmax(log_q[:, None, :] + q[:, None, :] / costs[:, :, None])
    p = jnp.einsum("k,rka->ra", weights, by_type)
    return jnp.where(jnp.asarray(environment.mask), environment.expected_payoffs(p, params), 0.0), p, by_type


def private_looks(
    policy: LearnedPolicy, key: PRNGKeyArray, batch: int, looks: int
) -> Float[Array, "batch roles looks"]:
    """Own costs at which choices are compared: spread over the domain, the same for all roles."""
    box = policy.cost_interval
    even = (jnp.arange(looks) + jax.random.uniform(key, (batch, looks))) / looks
    cost = box.low * (box.high / box.low) ** even
    return jnp.broadcast_to(cost[:, None, :], (batch, policy.environment.roles, looks))


def choice_loss(
    policy: LearnedPolicy,
    point: Points,
    target: Float[Array, "roles actions"],
    looks: Float[Array, "roles looks"],
    outlier: float,
) -> Float[Array, ""]:
    """The divergence of the policy's choices from those that the target values imply, over all own costs looked at.
    Above `outlier` nats it counts only logarithmically."""
    log_q = policy.log_prior(point.psi)
    choices = lambda values: jax.nn.log_softmax(log_q[:, None, :] + values[:, None, :] / looks[:, :, None])
    log_t, log_p = choices(target), choices(values_at_point(policy, point))
    kl = jnp.sum(jnp.exp(log_t) * (log_t - log_p), axis=-1)
    return jnp.mean(outlier * jnp.log1p(kl / outlier))
