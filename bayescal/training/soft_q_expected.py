"""SoftQ for one-shot games: exact expectations over the others' play, and Newton targets.

The expectation over the others' mixtures p is exact, so the target of a value has no noise: it is the payoff U(a; p) of
each own action. Its derivative is the change of the target with the network's output Q. With the gap g = U(p(Q)) - Q
and J = dU/dp · dp/dQ, the equilibrium is, to first order, at

    Q + (I - J)^-1 g.

The network is regressed on this Newton step. If replies are steep (a 2x2 game at a cost of a hundredth of its payoffs)
regression on the plain target U(p(Q)) cycles; with the Newton step it converges.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from bayescal._types import Parameters
from bayescal.environments.base import OneShot
from bayescal.errors import InputError
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.learned import replace_environment, with_network
from bayescal.policies.network import Network
from bayescal.training.base import Info, example_policy
from bayescal.training.mixtures import choice_loss, private_looks, replies, types_of, values_at_point
from bayescal.training.points import Points, sample_points
from bayescal.training.regression import Learner, Regression


class Targets(NamedTuple):
    """Games, and the values that a step moves the network towards."""

    variant: Int[Array, ""]  # which of the skeleton's games is played
    points: Points
    looks: Float[Array, "batch roles looks"]  # the own costs at which choices are compared
    values: Float[Array, "batch roles actions"]
    gap: Float[Array, " batch"]


class SoftQExpected(Regression):
    """SoftQ with exact expectations over the others and Newton targets.

    Args:
        skeleton: the policy to be trained; only the shape of its weights is used.
        steps, batch, learning_rate: the number of updates, the games in each, and the optimiser's peak rate.
        looks: how many own costs each game's choices are compared at (private costs).
        newton: whether targets are Newton steps, or plain replies to the network's own mixtures.
        stride: the longest Newton step that is taken, in logits at a typical cost.
        curriculum: the share of the steps over which the lowest known cost falls from the highest to its final value,
            so that equilibria at low costs are followed along the branch that begins at the prior.
        outlier: divergences above this many nats count only logarithmically: where the equilibrium jumps from one
            game to the next no network can follow, and those games must not dominate the loss.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.AmortisedPolicy(
        ...     bc.get_game("stag-hunt"), {"cost": (0.1, 10.0)}, width=8, depth=1
        ... )
        >>> trainer = bc.SoftQExpected(policy, steps=2000)  # bc.train(trainer) learns it
        >>> trainer.steps, trainer.skeleton is policy
        (2000, True)
    """

    skeleton: AmortisedPolicy
    steps: int = eqx.field(static=True, default=10_000)
    batch: int = eqx.field(static=True, default=256)
    learning_rate: float = eqx.field(static=True, default=5e-3)
    looks: int = eqx.field(static=True, default=4)
    newton: bool = eqx.field(static=True, default=True)
    stride: float = eqx.field(static=True, default=2.0)
    curriculum: float = eqx.field(static=True, default=0.0)
    outlier: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        if not isinstance(self.skeleton.environment, OneShot):
            raise InputError(
                f"SoftQExpected needs expected payoffs, which {type(self.skeleton.environment).__name__} (a game over "
                "time) does not have: use SoftQ."
            )

    @classmethod
    def example(cls) -> "SoftQExpected":
        return cls(example_policy(), steps=300, batch=32)

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
        which, draw, look = jax.random.split(key, 3)
        points = self._ease(sample_points(self.skeleton, draw, self.batch), state.count)
        variant = jax.random.randint(which, (), 0, len(self.skeleton.variants))
        values, gap = self._in_variant(variant, self._targets, state.network, points)
        return state, Targets(variant, points, self._looks(look, points), values, gap)

    def loss(self, weights: Network, data: Targets) -> tuple[Float[Array, ""], Info]:
        return self._in_variant(data.variant, self._loss, weights, data)

    def gradient(self, weights: Network, data: Targets) -> tuple[tuple[Float[Array, ""], Info], Network]:
        slope = lambda policy, *rest: jax.value_and_grad(partial(self._loss, policy), has_aux=True)(*rest)
        return self._in_variant(data.variant, slope, weights, data)

    def _in_variant(self, variant: Int[Array, ""], f: Callable, *args: PyTree) -> PyTree:
        """f(policy, *args) for the policy in one of its games. Games with different numbers of players have
        separate code, of which one branch runs."""
        branches = [partial(f, replace_environment(self.skeleton, env)) for env in self.skeleton.variants]
        return branches[0](*args) if len(branches) == 1 else jax.lax.switch(variant, branches, *args)

    def _ease(self, points: Points, count: Int[Array, ""]) -> Points:
        if self.curriculum <= 0 or self.skeleton.private:
            return points
        box = self.skeleton.cost_interval
        low = box.high * (box.low / box.high) ** jnp.minimum(1.0, count / (self.curriculum * self.steps))
        share = jnp.log(points.cost / box.low) / jnp.log(box.high / box.low)
        return points._replace(cost=low * (box.high / low) ** share)

    def _looks(self, key: PRNGKeyArray, points: Points) -> Float[Array, "batch roles looks"]:
        """Own costs at which choices are compared: the known ones, or private ones spread over the domain."""
        if not self.skeleton.private:
            return points.cost[:, :, None]
        return private_looks(self.skeleton, key, self.batch, self.looks)

    def _targets(
        self, policy: AmortisedPolicy, network: Network, points: Points
    ) -> tuple[Float[Array, "batch roles actions"], Float[Array, " batch"]]:
        policy = with_network(policy, network)

        def one(point: Points) -> tuple[Float[Array, "roles actions"], Float[Array, ""]]:
            game = policy.environment
            assert isinstance(game, OneShot)
            costs, weights = types_of(policy, point)
            q, log_q = values_at_point(policy, point), policy.log_prior(point.psi)
            values, gap = aim(game, q, log_q, costs, weights, point.params, newton=self.newton, stride=self.stride)
            return values, gap / game.payoff_scale(point.params)

        return jax.vmap(one)(points)

    def _loss(self, policy: AmortisedPolicy, network: Network, data: Targets) -> tuple[Float[Array, ""], Info]:
        policy = with_network(policy, network)
        one = lambda point, target, looks: choice_loss(policy, point, target, looks, self.outlier)
        errors = jax.vmap(one)(data.points, data.values, data.looks)
        return jnp.mean(errors), {"gap": jnp.mean(data.gap)}


def aim(
    environment: OneShot,
    q: Float[Array, "roles actions"],
    log_q: Float[Array, "roles actions"],
    costs: Float[Array, "roles types"],
    weights: Float[Array, " types"],
    params: Parameters,
    *,
    newton: bool,
    stride: float,
) -> tuple[Float[Array, "roles actions"], Float[Array, ""]]:
    """(target values, the largest gap between a value and the payoff that it predicts)."""
    reply, p, by_type = replies(environment, q, log_q, costs, weights, params)
    mask = jnp.asarray(environment.mask)
    centred = lambda u: jnp.where(mask, u - jnp.sum(p * u, axis=1, keepdims=True), 0.0)
    gap = centred(reply - q)
    size = jnp.max(jnp.abs(gap))
    if newton:
        # The derivative of a role's mixture is the covariance of its choices, averaged over its types.
        tilts = weights / costs
        spread = -jnp.einsum("rk,rka,rkb->rab", tilts, by_type, by_type)
        spread += jnp.eye(p.shape[1]) * jnp.einsum("rk,rka->ra", tilts, by_type)[:, None, :]
        slopes = jnp.where(mask[:, :, None, None], environment.payoff_slopes(p, params), 0.0)
        jacobian = jnp.einsum("iakb,kbc->iakc", slopes, spread).reshape(p.size, p.size)
        system = jnp.eye(p.size) - jacobian
        sign, _ = jnp.linalg.slogdet(system)
        step = centred(jnp.linalg.solve(system, gap.reshape(p.size)).reshape(p.shape))
        # A Newton step is only useful near an equilibrium. Far away its direction is arbitrary, and beyond a fold it
        # leads to the unstable equilibrium. From there plain replies approach the stable one.
        typical = jnp.exp(jnp.einsum("k,rk->r", weights, jnp.log(costs)))[:, None]
        near = jnp.max(jnp.abs(step) / typical) <= stride
        gap = jnp.where((sign > 0) & near, step, gap)
    return q + gap, size
