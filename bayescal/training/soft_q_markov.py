"""SoftQ in decision problems with finitely many states: every state and action at once, no play.

Values of a far-sighted person (a discount of 0.9999) cannot be learned from one month to the next: the target would
move by a ten-thousandth at a time. Instead the policy that the network's values imply is valued exactly, a linear
system, and what each action brings under it is the target: a Newton step of the soft Bellman equation (soft policy
iteration), as in the exact solver. Only differences between actions are learned: they are all that choices depend on.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bayescal.environments.markov import Markov
from bayescal.errors import InputError
from bayescal.policies.amortised import AmortisedPolicy, with_network
from bayescal.solvers.policy_iteration import value_policy
from bayescal.training.base import Info, Trainer
from bayescal.training.optimiser import average, fresh_network, optimiser
from bayescal.training.points import Points, sample_points


class State(NamedTuple):
    """Weights, their running average (the policy that is kept), the optimiser's memory, and steps done."""

    network: Any
    average: Any
    memory: Any
    count: Int[Array, ""]


class SoftQMarkov(Trainer):
    """SoftQ for a Markov environment of one player.

    Args:
        skeleton: the policy to be trained; its weights are only the shape of what is trained.
        steps, learning_rate: of the optimiser.
        batch: decision problems in each step, in all their states.
        outlier: divergences well above it count by their logarithm.

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

    def init(self, key: PRNGKeyArray) -> State:
        network: Any = fresh_network(self.skeleton, key)
        return State(network, network, self._optimiser.init(network), jnp.zeros((), jnp.int32))

    def policy(self, state: State) -> AmortisedPolicy:
        return with_network(self.skeleton, state.average)

    def step(self, key: PRNGKeyArray, state: State) -> tuple[State, Info]:
        points = sample_points(self.skeleton, key, self.batch)

        def loss(network):
            policy = with_network(self.skeleton, network)
            return jnp.mean(jax.vmap(lambda p: self._error(policy, p))(points))

        error, slope = jax.value_and_grad(loss)(state.network)
        updates, memory = self._optimiser.update(slope, state.memory, state.network)
        network: Any = optax.apply_updates(state.network, updates)
        kept = average(state.average, network, state.count, self.steps)
        return State(network, kept, memory, state.count + 1), {"loss": error}

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        return optimiser(self.learning_rate, self.steps)

    def _error(self, policy: AmortisedPolicy, point: Points) -> Float[Array, " states"]:
        env: Any = policy.environment
        states, cost = jnp.arange(env.states), point.cost[0]
        values = lambda s: policy.values_of(0, {"state": s}, point.cost, None, point.psi, point.params)
        prior = lambda s: policy.log_prior_of(0, point.psi, {"state": s})
        q, log_q = jax.vmap(values)(states), jax.vmap(prior)(states)
        log_p = jax.nn.log_softmax(log_q + q / cost, axis=1)
        payoffs, transitions = env.payoff_table(point.params)[:, 0], env.transition_table(point.params)
        now = jax.lax.stop_gradient(log_p)
        v, _ = value_policy(now, payoffs, transitions, log_q, cost, env.discount)
        target = jax.nn.log_softmax(log_q + (payoffs + env.discount * transitions @ v) / cost, axis=1)
        kl = jnp.sum(jnp.exp(target) * (target - log_p), axis=1)
        return self.outlier * jnp.log1p(kl / self.outlier)
