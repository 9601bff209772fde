"""SoftQ for one-shot games: the others integrated out, and targets that know how they move.

Where the others' mixtures p can be integrated out, the target of a value has no noise: it is the payoff
U(a; p) of each own action. And its derivative says how the target itself moves with the network's answer Q: with
gap g = U(p(Q)) - Q and J = dU/dp · dp/dQ, the equilibrium is, to first order, at

    Q + (I - J)^-1 g.

That Newton step is what the network is regressed on. It neither circles nor forgets where replies are steep
(a 2x2 game at a hundredth of its payoffs), where the plain target U(p(Q)) does both.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from bayescal.environments.base import OneShot
from bayescal.errors import InputError
from bayescal.policies.amortised import AmortisedPolicy, replace_environment, with_network
from bayescal.training.base import Info, Trainer
from bayescal.training.optimiser import average, fresh_network, optimiser
from bayescal.training.points import Points, sample_points


class State(NamedTuple):
    """What training changes: weights, their running average (the policy that is kept), the optimiser's memory."""

    network: Any
    average: Any
    memory: Any
    count: Int[Array, ""]


class SoftQExpected(Trainer):
    """SoftQ with exact expectations over the others and Newton targets.

    Args:
        skeleton: the policy to be trained; its weights are only the shape of what is trained.
        steps, batch, learning_rate: how many updates, games in each, and the peak rate of the optimiser.
        looks: own costs at which each game's choices are compared with their target (private costs).
        newton: whether targets are Newton steps, or plain replies to the network's own mixtures.
        stride: the longest Newton step that is believed, in logits at a typical cost.
        curriculum: the share of the steps over which the lowest known cost falls from the highest to its own, so
            that equilibria at low costs grow out of the branch that begins at the prior.
        outlier: divergences above this many nats count only logarithmically: where the equilibrium jumps from one
            game to the next no network can follow, and those games must not drown the others.

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

    def init(self, key: PRNGKeyArray) -> State:
        network: Any = fresh_network(self.skeleton, key)
        return State(network, network, self._optimiser.init(network), jnp.zeros((), jnp.int32))

    def policy(self, state: State) -> AmortisedPolicy:
        return with_network(self.skeleton, state.average)

    def step(self, key: PRNGKeyArray, state: State) -> tuple[State, Info]:
        which, draw, look = jax.random.split(key, 3)
        points = self._ease(sample_points(self.skeleton, draw, self.batch), state.count)
        looks = self._looks(look, points)
        # Games that differ in their number of players have code of their own; one of them runs.
        branches = [lambda n, p, c, env=env: self._slope(env, n, p, c) for env in self.skeleton.variants]
        if len(branches) == 1:
            (loss, gap), slope = branches[0](state.network, points, looks)
        else:
            chosen = jax.random.randint(which, (), 0, len(branches))
            (loss, gap), slope = jax.lax.switch(chosen, branches, state.network, points, looks)
        updates, memory = self._optimiser.update(slope, state.memory, state.network)
        network: Any = optax.apply_updates(state.network, updates)
        kept = average(state.average, network, state.count, self.steps)
        return State(network, kept, memory, state.count + 1), {"loss": loss, "gap": gap}

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        return optimiser(self.learning_rate, self.steps)

    def _ease(self, points: Points, count: Any) -> Points:
        if self.curriculum <= 0 or self.skeleton.private:
            return points
        box = self.skeleton.cost_interval
        low = box.high * (box.low / box.high) ** jnp.minimum(1.0, count / (self.curriculum * self.steps))
        share = jnp.log(points.cost / box.low) / jnp.log(box.high / box.low)
        return points._replace(cost=low * (box.high / low) ** share)

    def _looks(self, key: PRNGKeyArray, points: Points) -> Float[Array, "batch roles looks"]:
        """Own costs to compare choices at: the known ones, or private ones spread over the box."""
        if not self.skeleton.private:
            return points.cost[:, :, None]
        box, n = self.skeleton.cost_interval, self.looks
        even = (jnp.arange(n) + jax.random.uniform(key, (self.batch, n))) / n
        cost = box.low * (box.high / box.low) ** even
        return jnp.broadcast_to(cost[:, None, :], (self.batch, self.skeleton.environment.roles, n))

    def _slope(self, environment: Any, network: Any, points: Points, looks: Any) -> Any:
        """((loss, gap), gradient) over a batch of games."""
        skeleton = replace_environment(self.skeleton, environment)

        def loss(network):
            policy = with_network(skeleton, network)
            errors, gaps = jax.vmap(lambda p, c: self._error(policy, p, c))(points, looks)
            return jnp.mean(errors), jnp.mean(gaps)

        return jax.value_and_grad(loss, has_aux=True)(network)

    def _error(self, policy: AmortisedPolicy, point: Points, looks: Any) -> tuple[Any, Any]:
        cost = None if policy.private else point.cost
        log_q = policy.log_prior(point.psi)
        q = policy.values(cost, point.phi, point.psi, point.params)
        costs, weights = types(policy, point)
        target, gap = aim(
            policy.environment, jax.lax.stop_gradient(q), log_q, costs, weights, point.params,
            newton=self.newton, stride=self.stride,
        )  # fmt: skip

        def divergence(q, target, log_q, costs):
            def at(cost):
                log_t = jax.nn.log_softmax(log_q + target / cost)
                log_p = jax.nn.log_softmax(log_q + q / cost)
                return jnp.sum(jnp.exp(log_t) * (log_t - log_p))

            return jax.vmap(at)(costs)

        kl = jax.vmap(divergence)(q, target, log_q, looks)
        scale = policy.environment.payoff_scale(point.params)
        return jnp.mean(self.outlier * jnp.log1p(kl / self.outlier)), gap / scale


def types(policy: AmortisedPolicy, point: Points) -> tuple[Float[Array, "roles types"], Float[Array, " types"]]:
    """The costs that the players of a game may have, and their probabilities."""
    if policy.population is None:
        return point.cost[:, None], jnp.ones(1)
    costs, weights = policy.population.quadrature(point.phi)
    return jnp.broadcast_to(costs, (policy.environment.roles, costs.shape[0])), weights


def replies(
    environment: Any, q: Any, log_q: Any, costs: Any, weights: Any, params: Any
) -> tuple[Float[Array, "roles actions"], Float[Array, "roles actions"], Float[Array, "roles types actions"]]:
    """(payoff of each action when everybody plays as the values say, everybody's mixture, and by type)."""
    by_type = jax.nn.softmax(log_q[:, None, :] + q[:, None, :] / costs[:, :, None])
    p = jnp.einsum("k,rka->ra", weights, by_type)
    return jnp.where(jnp.asarray(environment.mask), environment.expected_payoffs(p, params), 0.0), p, by_type


def aim(
    environment: Any, q: Any, log_q: Any, costs: Any, weights: Any, params: Any, *, newton: bool, stride: float
) -> tuple[Float[Array, "roles actions"], Float[Array, ""]]:
    """The values to aim at, and the largest gap between a value and the payoff that it predicts."""
    reply, p, by_type = replies(environment, q, log_q, costs, weights, params)
    mask = jnp.asarray(environment.mask)
    centred = lambda u: jnp.where(mask, u - jnp.sum(p * u, axis=1, keepdims=True), 0.0)
    gap = centred(reply - q)
    size = jnp.max(jnp.abs(gap))
    if newton:
        # A role's mixture moves by the covariance of its choices, averaged over its types.
        tilts = weights / costs
        spread = -jnp.einsum("rk,rka,rkb->rab", tilts, by_type, by_type)
        spread += jnp.eye(p.shape[1]) * jnp.einsum("rk,rka->ra", tilts, by_type)[:, None, :]
        slopes = jnp.where(mask[:, :, None, None], environment.payoff_slopes(p, params), 0.0)
        jacobian = jnp.einsum("iakb,kbc->iakc", slopes, spread).reshape(p.size, p.size)
        system = jnp.eye(p.size) - jacobian
        sign, _ = jnp.linalg.slogdet(system)
        step = centred(jnp.linalg.solve(system, gap.reshape(p.size)).reshape(p.shape))
        # Newton's method is for near an equilibrium. Far from one its step is anything, and beyond a fold it is
        # drawn to the unstable equilibrium; plain replies lead near, and away from there.
        typical = jnp.exp(jnp.einsum("k,rk->r", weights, jnp.log(costs)))[:, None]
        near = jnp.max(jnp.abs(step) / typical) <= stride
        gap = jnp.where((sign > 0) & near, step, gap)
    return q + gap, size
