"""The learned policy: one network answers for every cost, population, prior and game of its domain.

The network predicts values, not choices. With own cost lambda, prior q_psi and predicted values Q,

    pi(a | o) = q_psi(a | o) · exp(Q(a) / lambda) / Z,

so an infinite cost gives the prior and a vanishing one the best action, whatever the weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal._types import Actions, AnyArray, Costs, Observation, Parameters, RoleActions, Scalar
from bayescal.domain import Domain
from bayescal.environments.base import Environment, OneShot
from bayescal.errors import InputError
from bayescal.policies.learned import LearnedPolicy, Others, to_unit, trained_for
from bayescal.policies.network import Network
from bayescal.populations.base import Population
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

Roles = Literal["shared", "embedded", "separate"]
Unit = Literal["payoff", "cost"]


class AmortisedPolicy(LearnedPolicy):
    """A network, the box of values that it answers for, and the game that it was trained on.

    Args:
        environments: the game, or the games that differ in their number of players.
        domain: the box of values that it answers for, by name: "cost"; "phi.NAME" and "psi.NAME" for parameters of the
            population and of the prior; "params.NAME" for parameters of the game (others stay at the game's own).
        prior: what people fall back on.
        population: others' costs are private and drawn from it; None where everybody knows everybody's cost.
        width, depth: of the network.
        roles: one network for all roles that is given the role ("embedded") or not ("shared": right where
            `Environment.stakes` puts a role's own payoffs first), or one for each ("separate").
        others: games over time of several people with private costs: whom people believe they meet. In every state the
            population's average, whose costs are drawn anew ("average"); or the same people all game long, so that what
            was seen says something about their costs ("persistent").
        unit: what the network's numbers are in: the spread of payoffs, or ("cost", the default in one-shot games
            where costs are known) the own cost where that is smaller, which resolves mixed equilibria at small costs.

    Example:
        >>> import bayescal as bc
        >>> policy = bc.AmortisedPolicy(
        ...     bc.get_game("stag-hunt"), {"cost": (0.1, 10.0)}, width=8, depth=1
        ... )
        >>> policy.domain.names
        ('cost',)
        >>> play = policy.log_prob_all(1.0, None, None, None)  # untrained, but probabilities all the same
        >>> play.shape
        (2, 2)
    """

    network: Network
    environment: Environment
    variants: tuple[Environment, ...]
    prior: Prior
    population: Population | None
    domain: Domain = eqx.field(static=True)
    own_box: Domain | None = eqx.field(static=True)
    roles: Roles = eqx.field(static=True)
    unit: Unit = eqx.field(static=True)
    others: Others = eqx.field(static=True)

    def __init__(
        self,
        environments: Environment | Sequence[Environment],
        domain: Domain | Mapping[str, Sequence[float]],
        *,
        prior: Prior = Uniform(),  # noqa: B008 - frozen
        population: Population | None = None,
        width: int = 64,
        depth: int = 2,
        roles: Roles = "embedded",
        unit: Unit | None = None,
        others: Others = "average",
    ):
        variants = (environments,) if isinstance(environments, Environment) else tuple(environments)
        vars(self).update(trained_for(variants, domain, prior, population))
        self.roles = roles
        self.unit = unit or ("cost" if isinstance(self.environment, OneShot) and not self.private else "payoff")
        if others not in get_args(Others):
            raise InputError(f"AmortisedPolicy: others is {others!r}; choose one of {', '.join(get_args(Others))}.")
        self.others = others
        inputs = jax.eval_shape(lambda: self.network_inputs(0, *_example(self))).shape[0]
        network = Network.of(inputs, self.environment.mask.shape[1], width, depth)
        self.network = network.by_role(self.environment.roles) if roles == "separate" else network

    def fresh(self, key: PRNGKeyArray) -> Network:
        return self.network.fresh_by_role(key) if self.roles == "separate" else self.network.fresh(key)

    @property
    def architecture(self) -> dict[str, Any]:
        layers = [list(w.shape) for w in self.network.weights]
        facts = {"roles": self.roles, "unit": self.unit, "layers": layers, **self.rescaled}
        return {**facts, "others": self.others} if self.meets_people else facts

    @property
    def meets_people(self) -> bool:
        """Whether it matters whom people believe they meet: over time, several of them, with private costs."""
        return self.private and self.environment.players > 1 and not isinstance(self.environment, OneShot)

    @property
    def sees_cost(self) -> bool:
        """Whether values depend on one's own cost. In a single decision against people who do not know it they
        do not; later decisions are the person's own."""
        return not (self.private and isinstance(self.environment, OneShot))

    def values_of(
        self,
        role: int,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        """Q of every action of one role, in money. `cost` is one's own, or everybody's (by role) if known."""
        params = self.all_params(params)
        return self.values_at(role, self.network_inputs(role, observation, cost, phi, psi, params), cost, params)

    def values_at(
        self, role: int, inputs: Float[AnyArray, " inputs"], cost: Costs | None, params: Parameters
    ) -> Actions:
        """`values_of` from the network's inputs, for trainers that keep them."""
        dtype = jnp.result_type(float)
        net = self.network.of_role(role) if self.roles == "separate" else self.network
        scale = self.environment.stake_scale(params, role).astype(dtype)
        if self.unit == "cost" and self.sees_cost:
            # Small where cost is, so that choices between near equals stay resolved; bounded where it is large.
            own = jnp.clip(self._costs(cost)[role], self.cost_interval.low, self.cost_interval.high)
            scale = own * scale / (own + scale)
        return scale * net(jnp.asarray(inputs, dtype))

    def values(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """Q of every role of a one-shot game."""
        params, became = self.all_params(params), None
        # Of trained networks: one trained with another prior has learned the names of actions, even where that is flat.
        if isinstance(self.prior, Uniform):
            params, became = self.environment.relabel(params)
        q = super().values(cost, phi, psi, params)
        return q if became is None else jnp.take_along_axis(q, became, axis=1)

    def network_inputs(
        self,
        role: int,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters,
    ) -> Float[Array, " inputs"]:
        """What the network is given for one decision: numbers of order one."""
        env = self.environment
        boxes = dict(self.input_box.intervals)
        cost = None if cost is None else jnp.asarray(cost) / self.unit_of(params)
        phi, params = self.in_own_unit(phi, params)
        psi = psi or self.prior.defaults
        seen: list[Scalar | AnyArray] = [env.see(observation, params)]
        costs = None
        if self.sees_cost:
            # Zero and infinite costs are outside every box; the nearest values inside are good enough there.
            costs = jnp.clip(self._costs(cost), boxes["cost"].low, boxes["cost"].high)
        stakes = env.stakes(params, role, None if self.private else costs)
        if costs is not None and (self.private or stakes is None):
            order = np.array([role] if self.private else [(role + k) % env.roles for k in range(env.roles)])
            seen.append(to_unit(costs[order], boxes["cost"]))
            seen.append(jnp.log(costs[order] / env.payoff_scale(params)) / 4)
        if self.population is not None:
            nodes, weights = self.population.quadrature(phi or {})
            log_cost = jnp.log(nodes / env.payoff_scale(params))
            mean = jnp.dot(weights, log_cost)
            seen += [mean / 4, jnp.sqrt(jnp.dot(weights, (log_cost - mean) ** 2) + 1e-12)]
        for kind, values in (("phi", phi), ("psi", psi), ("params", params if stakes is None else {})):
            for name, x in (values or {}).items():
                if box := boxes.get(f"{kind}.{name}"):
                    seen.append(to_unit(x, box))
        if stakes is not None:
            seen.append(stakes)
        if self.roles == "embedded" and env.roles > 1:
            seen.append(np.eye(env.roles)[role])
        if len(self.variants) > 1:
            most = max(v.players for v in self.variants)
            seen += [env.players / most, 1 / env.players]
        return jnp.concatenate([jnp.ravel(jnp.asarray(x, jnp.result_type(float))) for x in seen])


def _example(policy: AmortisedPolicy) -> tuple[Observation, Array | None, Parameters, Parameters, Parameters]:
    """(observation, cost, phi, psi, params) at one end of the domain."""
    middle = {n: jnp.asarray(box.high, float) for n, box in policy.domain.intervals}
    env = policy.environment
    pick = lambda kind: {n.split(".", 1)[1]: x for n, x in middle.items() if n.startswith(f"{kind}.")}
    params = {n: jnp.broadcast_to(pick("params").get(n, x), np.shape(x)) for n, x in env.params.items()}
    key = jax.random.key(0)
    observation = 0 if isinstance(env, OneShot) else env.observe(env.reset(key, params), 0)
    cost = None if policy.private and isinstance(env, OneShot) else middle["cost"]
    return observation, cost, pick("phi"), policy.prior.defaults | pick("psi"), params
