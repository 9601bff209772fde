"""SoftQ in decision problems with finitely many states: every state and action at once, without play.

The values of a far-sighted person (a discount of 0.9999) cannot be learned by updates over one month: the target
would change by a ten-thousandth at a time. Instead the policy that the network's values imply is evaluated exactly, by
a linear system, and the values of all actions under it are the target: a Newton step of the soft Bellman equation
(soft policy iteration), as in the exact solver. Only differences between actions are learned, since choices depend on
nothing else.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal.environments.markov import Markov, MarkovGame
from bayescal.errors import InputError
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.learned import with_network
from bayescal.policies.network import Network
from bayescal.solvers.policy_iteration import value_policy
from bayescal.training.base import Info
from bayescal.training.points import Points, sample_points
from bayescal.training.regression import Learner, Regression


class Targets(NamedTuple):
    """Decision problems, and the log-probabilities that a step moves the network towards."""

    points: Points
    log_p: Float[Array, "batch states actions"]


class SoftQMarkov(Regression):
    """SoftQ for a Markov environment of one player.

    Args:
        skeleton: the policy to be trained; only the shape of its weights is used.
        steps, learning_rate: of the optimiser.
        batch: decision problems in each step, each in all its states.
        outlier: divergences well above it enter the loss by their logarithm.

    Example:
        >>> import bayescal as bc
        >>> box = {"cost": (0.5, 2.0), "params.RC": (5.0, 20.0)}
        >>> trainer = bc.SoftQMarkov(bc.AmortisedPolicy(bc.BusEngine(), box), steps=1000)
        >>> trainer.steps, trainer.skeleton.domain.names
        (1000, ('cost', 'params.RC'))
    """

    skeleton: AmortisedPolicy
    steps: int = eqx.field(static=True, default=10_000)
    batch: int = eqx.field(static=True, default=16)
    learning_rate: float = eqx.field(static=True, default=5e-3)
    outlier: float = eqx.field(static=True, default=1e-2)

    def __check_init__(self) -> None:
        env = self.skeleton.environment
        if not isinstance(env, Markov) or env.players != 1:
            raise InputError(f"SoftQMarkov is for Markov environments of one player; {env.name} is not one: use SoftQ.")

    @classmethod
    def example(cls) -> "SoftQMarkov":
        """A ring of three places with rents and a toll: stay or go on."""
        rents, toll = jnp.array([0.0, 2.0, 0.5]), 0.3
        stay, on = jnp.eye(3), jnp.roll(jnp.eye(3), 1, axis=1)
        payoffs = jnp.stack([stay @ rents, on @ rents - toll], axis=1)[:, None, :]
        game = MarkovGame(payoffs, jnp.stack([stay, on], axis=1), 0.8, name="ring")
        return cls(AmortisedPolicy(game, {"cost": (0.2, 2.0)}, width=8, depth=1), steps=300, batch=8)

    def init(self, key: PRNGKeyArray) -> Learner:
        return self.begin(self.skeleton.fresh(key))

    def policy(self, state: Learner) -> AmortisedPolicy:
        return with_network(self.skeleton, state.average)

    def weights(self, state: Learner) -> Network:
        return state.network

    def step(self, key: PRNGKeyArray, state: Learner) -> tuple[Learner, Info]:
        state, targets = self.experience(key, state)
        return self.improve(state, targets)

    def experience(self, key: PRNGKeyArray, state: Learner) -> tuple[Learner, Targets]:
        points = sample_points(self.skeleton, key, self.batch)
        policy = with_network(self.skeleton, state.network)
        return state, Targets(points, jax.vmap(lambda point: improved(policy, point))(points))

    def loss(self, weights: Network, data: Targets) -> tuple[Float[Array, ""], Info]:
        policy = with_network(self.skeleton, weights)
        log_p = jax.vmap(lambda point: choices(policy, point))(data.points)
        kl = jnp.sum(jnp.exp(data.log_p) * (data.log_p - log_p), axis=-1)
        return jnp.mean(self.outlier * jnp.log1p(kl / self.outlier)), {}


def choices(policy: AmortisedPolicy, point: Points) -> Float[Array, "states actions"]:
    """The policy's log-probabilities in every state."""
    log_q, q = prior_and_values(policy, point)
    return jax.nn.log_softmax(log_q + q / point.cost[0], axis=1)


def improved(policy: AmortisedPolicy, point: Points) -> Float[Array, "states actions"]:
    """The log-probabilities after one step of soft policy iteration."""
    env = policy.environment
    assert isinstance(env, Markov)
    log_q, q = prior_and_values(policy, point)
    cost = point.cost[0]
    payoffs, transitions = env.payoff_table(point.params)[:, 0], env.transition_table(point.params)
    v, _ = value_policy(jax.nn.log_softmax(log_q + q / cost, axis=1), payoffs, transitions, log_q, cost, env.discount)
    return jax.nn.log_softmax(log_q + (payoffs + env.discount * transitions @ v) / cost, axis=1)


def prior_and_values(
    policy: AmortisedPolicy, point: Points
) -> tuple[Float[Array, "states actions"], Float[Array, "states actions"]]:
    """(log prior, the network's values) in every state."""

    def one(state: Array) -> tuple[Float[Array, " actions"], Float[Array, " actions"]]:
        seen = {"state": state}
        values = policy.values_of(0, seen, point.cost, None, point.psi, point.params)
        return policy.log_prior_of(0, point.psi, seen), values

    env = policy.environment
    assert isinstance(env, Markov)
    return jax.vmap(one)(jnp.arange(env.states))
