"""The learned policy: one network answers for every cost, population, prior and game of its domain.

The network predicts values, not choices. With own cost lambda, prior q_psi and predicted values Q,

    pi(a | o) = q_psi(a | o) · exp(Q(a) / lambda) / Z,

so an infinite cost gives the prior and a vanishing one the best action, whatever the weights.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from bayescal.domain import Domain, Interval
from bayescal.environments.base import Environment, OneShot, shape_key
from bayescal.errors import DomainError, InputError
from bayescal.policies.base import ABSENT, Policy, PolicyKind, padded_log_prior, tilt
from bayescal.policies.network import Network
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

Roles = Literal["shared", "embedded", "separate"]
Unit = Literal["payoff", "cost"]


class AmortisedPolicy(Policy):
    """A network, the box that it answers for, and the game that it was trained on: one object.

    Args:
        environments: the game, or the games that differ in their number of players.
        domain: which values it answers for, by name: "cost"; "phi.NAME" and "psi.NAME" for parameters of the
            population and of the prior; "params.NAME" for parameters of the game (others stay at the game's own).
        prior: what people fall back on.
        population: others' costs are private and drawn from it; None where everybody knows everybody's cost.
        width, depth: of the network.
        roles: one network for all roles that is told which ("embedded") or not ("shared": right where
            `Environment.stakes` puts a role's own payoffs first), or one for each ("separate").
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

    policy_kind = PolicyKind.LEARNED
    network: Network
    environment: Environment
    variants: tuple[Environment, ...]
    prior: Prior
    population: Population | None
    domain: Domain = eqx.field(static=True)
    roles: Roles = eqx.field(static=True)
    unit: Unit = eqx.field(static=True)

    def __init__(
        self,
        environments: Environment | Sequence[Environment],
        domain: Domain | Mapping[str, Any],
        *,
        prior: Prior = Uniform(),  # noqa: B008 - frozen
        population: Population | None = None,
        width: int = 64,
        depth: int = 2,
        roles: Roles = "embedded",
        unit: Unit | None = None,
    ):
        self.variants = (environments,) if isinstance(environments, Environment) else tuple(environments)
        self.environment = self.variants[0]
        self.prior = prior
        self.population = None if isinstance(population, Homogeneous) else population
        self.domain = domain if isinstance(domain, Domain) else Domain.from_dict(domain)
        self.roles = roles
        self.unit = unit or ("cost" if isinstance(self.environment, OneShot) and not self.private else "payoff")
        check_domain(self)
        inputs = jax.eval_shape(lambda: self.network_inputs(0, *_example(self))).shape[0]
        network = Network.of(inputs, self.environment.mask.shape[1], width, depth)
        count = self.environment.roles
        self.network = jax.tree.map(lambda w: jnp.stack([w] * count), network) if roles == "separate" else network

    @property
    def private(self) -> bool:
        return self.population is not None

    @property
    def sees_cost(self) -> bool:
        """Whether values depend on one's own cost. In a single decision against people who do not know it they
        do not; later decisions are the person's own."""
        return not (self.private and isinstance(self.environment, OneShot))

    @property
    def cost_interval(self) -> Interval:
        return dict(self.domain.intervals)["cost"]

    def log_prior(self, psi: Any = None, observation: Any = None) -> Float[Array, "roles actions"]:
        """log q of every role over the padded grid; -1e30 stands for impossible."""
        rows = [self.log_prior_of(r, psi, r if observation is None else observation) for r in _range(self)]
        return jnp.stack(rows)

    def log_prior_of(self, role: int, psi: Any, observation: Any) -> Float[Array, " actions"]:
        return padded_log_prior(self.environment, self.prior, role, psi or self.prior.defaults, observation)

    def values_of(
        self, role: int, observation: Any, cost: Any, phi: Any, psi: Any, params: Any
    ) -> Float[Array, " actions"]:
        """Q of every action of one role, in money. `cost` is one's own, or everybody's (by role) if known."""
        params = self._params(params)
        return self.values_at(role, self.network_inputs(role, observation, cost, phi, psi, params), cost, params)

    def values_at(self, role: int, inputs: Any, cost: Any, params: Any) -> Float[Array, " actions"]:
        """`values_of` from the network's inputs, for trainers that keep them."""
        dtype = jnp.result_type(float)
        net = self.network
        if self.roles == "separate":
            net = jax.tree.map(lambda w: w[role], net)
        scale = self.environment.stake_scale(params, role).astype(dtype)
        if self.unit == "cost" and self.sees_cost:
            # Small where cost is, so that choices between near equals stay resolved; bounded where it is large.
            own = jnp.clip(self._costs(cost)[role], self.cost_interval.low, self.cost_interval.high)
            scale = own * scale / (own + scale)
        return scale * net(inputs.astype(dtype))

    def values(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "roles actions"]:
        """Q of every role of a one-shot game."""
        params, became = self._params(params), None
        if isinstance(self.prior, Uniform):  # other priors tell actions apart
            params, became = self.environment.relabel(params)
        q = jnp.stack([self.values_of(r, r, cost, phi, psi, params) for r in _range(self)])
        return q if became is None else jnp.take_along_axis(q, became, axis=1)

    def log_prob(self, observation: Any, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, " actions"]:
        """Log-probabilities of one person: `observation` is the role in a one-shot game, else (role, what was seen)."""
        self.check(cost, phi, psi, params)
        if isinstance(self.environment, OneShot):
            return self.log_prob_all(cost, phi, psi, params)[observation]
        role, seen = observation
        q = self.values_of(role, seen, cost, phi, psi, params)
        return tilt(self.log_prior_of(role, psi, seen), q, self._costs(cost)[role])

    def log_prob_all(self, cost: Any, phi: Any, psi: Any, params: Any) -> Float[Array, "roles actions"]:
        self.check(cost, phi, psi, params)
        if self.private and cost is None:
            return self.log_prob_average(phi, psi, params)
        q = self.values(cost, phi, psi, params)
        return jax.vmap(tilt)(self.log_prior(psi), q, self._costs(cost))

    def log_prob_by_type(self, phi: Any, psi: Any, params: Any) -> Float[Array, "roles types actions"]:
        """Log-probabilities of a person with each of the population's quadrature costs."""
        self.check(None, phi, psi, params)
        nodes, _ = self._population.quadrature(phi)
        q, log_q = self.values(None, phi, psi, params), self.log_prior(psi)
        return jax.vmap(lambda q, log_q: jax.vmap(lambda c: tilt(log_q, q, c))(nodes))(q, log_q)

    def log_prob_average(self, phi: Any, psi: Any, params: Any) -> Float[Array, "roles actions"]:
        """Log-probabilities of somebody of whom only the population is known."""
        by_type = self.log_prob_by_type(phi, psi, params)
        _, weights = self._population.quadrature(phi)
        log_p = jax.nn.logsumexp(jnp.maximum(by_type, ABSENT), axis=1, b=weights[None, :, None])
        return jnp.where(log_p <= ABSENT / 2, -jnp.inf, log_p)

    def play(self, environment: Environment, population: Population | None = None) -> "AmortisedPolicy":
        """This policy in one of the games that it was trained for."""
        own = None if isinstance(population, Homogeneous) else population
        if eqx.tree_equal(own, self.population) is not True:
            ours = "costs that everybody knows" if self.population is None else f"{self.population}"
            raise InputError(
                f"The policy was trained for {ours}, not for {own or 'costs that everybody knows'}: give that "
                "population, or train one for yours."
            )
        for variant in self.variants:
            if shape_key(variant) == shape_key(environment) and _statics(variant) == _statics(environment):
                self.check(None, None, None, environment.params)
                return replace_environment(self, environment)
        raise InputError(
            f"The policy was trained for {' or '.join(_in_words(v) for v in self.variants[:6])}, not for "
            f"{_in_words(environment)}: use ExactPolicy, or train one for your game."
        )

    def check(self, cost: Any, phi: Any, psi: Any, params: Any) -> None:
        """Refuse concrete values outside the box; traced ones are kept inside by the model that draws them."""
        given = {"cost": cost} if cost is not None else {}
        for kind, values in (("phi", phi), ("psi", psi), ("params", params)):
            given |= {f"{kind}.{n}": x for n, x in (values or {}).items()}
        # Costs of zero and infinity are the limits, right by construction.
        concrete = {n: np.asarray(x, float) for n, x in given.items() if x is not None and not isinstance(x, Tracer)}
        if "cost" in concrete:
            finite = concrete["cost"][(concrete["cost"] > 0) & np.isfinite(concrete["cost"])]
            if np.any(np.isnan(concrete["cost"])) or np.any(concrete["cost"] < 0):
                raise DomainError(f"cost is {concrete['cost'].tolist()}: every cost must be a positive number.")
            concrete["cost"] = finite if finite.size else np.asarray(self.cost_interval.low)
        inside = Domain(tuple((n, box) for n, box in self.domain.intervals if n in concrete))
        inside.check(concrete)
        fixed = {f"params.{n}": x for n, x in self.environment.params.items() if f"params.{n}" not in self.domain.names}
        trained = {f"params.{n}": x for n, x in self.variants[0].params.items()}
        for name, own in fixed.items():
            value = concrete.get(name, given.get(name, own))
            if isinstance(value, Tracer) or isinstance(trained[name], Tracer):
                continue  # the policy itself is being traced
            if not np.allclose(np.asarray(value), trained[name], rtol=1e-6):
                raise DomainError(
                    f"{name.removeprefix('params.')} is {np.asarray(value)}, but the policy was trained at "
                    f"{trained[name]} only: choose that, or train one with {name} in its domain."
                )

    @property
    def _population(self) -> Population:
        if self.population is None:
            raise InputError("This policy knows everybody's cost: pass cost=…, not phi.")
        return self.population

    def _params(self, params: Any) -> Any:
        return jax.tree.map(jnp.asarray, self.environment.params | dict(params or {}))

    def _costs(self, cost: Any) -> Float[Array, " roles"]:
        return jnp.broadcast_to(jnp.asarray(cost, jnp.result_type(float)), (self.environment.roles,))

    def network_inputs(
        self, role: int, observation: Any, cost: Any, phi: Any, psi: Any, params: Any
    ) -> Float[Array, " inputs"]:
        """The numbers that the network sees."""
        env = self.environment
        boxes = dict(self.domain.intervals)
        psi = psi or self.prior.defaults
        seen: list[Any] = [env.see(observation, params)]
        costs = None
        if self.sees_cost:
            # Zero and infinite costs are outside every box; the nearest values inside are good enough there.
            costs = jnp.clip(self._costs(cost), boxes["cost"].low, boxes["cost"].high)
        stakes = env.stakes(params, role, None if self.private else costs)
        if costs is not None and (self.private or stakes is None):
            order = np.array([role] if self.private else [(role + k) % env.roles for k in range(env.roles)])
            seen.append(_to_unit(costs[order], boxes["cost"]))
            seen.append(jnp.log(costs[order] / env.payoff_scale(params)) / 4)
        if self.population is not None:
            nodes, weights = self.population.quadrature(phi)
            log_cost = jnp.log(nodes / env.payoff_scale(params))
            mean = jnp.dot(weights, log_cost)
            seen += [mean / 4, jnp.sqrt(jnp.dot(weights, (log_cost - mean) ** 2) + 1e-12)]
        for kind, values in (("phi", phi), ("psi", psi), ("params", params if stakes is None else {})):
            for name, x in (values or {}).items():
                if box := boxes.get(f"{kind}.{name}"):
                    seen.append(_to_unit(x, box))
        if stakes is not None:
            seen.append(stakes)
        if self.roles == "embedded" and env.roles > 1:
            seen.append(np.eye(env.roles)[role])
        if len(self.variants) > 1:
            most = max(v.players for v in self.variants)
            seen += [env.players / most, 1 / env.players]
        return jnp.concatenate([jnp.ravel(jnp.asarray(x, jnp.result_type(float))) for x in seen])


def with_network(policy: AmortisedPolicy, network: Network) -> AmortisedPolicy:
    return eqx.tree_at(lambda p: p.network, policy, network, is_leaf=lambda x: isinstance(x, Network))


def replace_environment(policy: AmortisedPolicy, environment: Environment) -> AmortisedPolicy:
    return eqx.tree_at(lambda p: p.environment, policy, environment, is_leaf=lambda x: isinstance(x, Environment))


def check_domain(policy: AmortisedPolicy) -> None:
    """Every name in the box must mean something, and everything that varies must be in it."""
    env = policy.environment
    phi = policy.population.parameters if policy.population is not None else {}
    known = {"cost"} | {f"phi.{n}" for n in phi} | {f"psi.{n}" for n in policy.prior.parameters}
    known |= {f"params.{n}" for n in env.params}
    needed = {"cost"} | {f"phi.{n}" for n in phi}
    problems = [f"{n} is not one of {', '.join(sorted(known))}" for n in policy.domain.names if n not in known]
    problems += [f"{n} is missing" for n in sorted(needed) if n not in policy.domain.names]
    for name, box in policy.domain.intervals:
        if not (math.isfinite(box.low) and math.isfinite(box.high)):
            problems.append(f"{name} is {box}, where a network needs finite ends")
        elif name == "cost" and box.low <= 0:
            problems.append(
                f"cost begins at {box.low:g}, where it must be above zero (zero itself is right by construction)"
            )
    if len({v.roles for v in policy.variants}) > 1 or len({v.action_values for v in policy.variants}) > 1:
        problems.append("the games differ in more than their number of players")
    if problems:
        raise DomainError(f"The domain of this policy cannot be: {'; '.join(problems)}.")


def _example(policy: AmortisedPolicy) -> tuple[Any, Any, Any, Any, Any]:
    """(observation, cost, phi, psi, params) at one end of the domain."""
    middle = {n: jnp.asarray(box.high, float) for n, box in policy.domain.intervals}
    env = policy.environment
    pick = lambda kind: {n.split(".", 1)[1]: x for n, x in middle.items() if n.startswith(f"{kind}.")}
    params = {n: jnp.broadcast_to(pick("params").get(n, x), np.shape(x)) for n, x in env.params.items()}
    key = jax.random.key(0)
    observation = 0 if isinstance(env, OneShot) else env.observe(env.reset(key, params), 0)
    cost = None if policy.private and isinstance(env, OneShot) else middle["cost"]
    return observation, cost, pick("phi"), policy.prior.defaults | pick("psi"), params


def _to_unit(x: Any, box: Interval) -> Float[Array, "..."]:
    """[low, high] onto [-1, 1], through the logarithm where the ends are a factor of ten or more apart."""
    x = jnp.clip(jnp.asarray(x, jnp.result_type(float)), box.low, box.high)
    if box.logarithmic:
        return 2 * jnp.log(x / box.low) / math.log(box.high / box.low) - 1
    return 2 * (x - box.low) / (box.high - box.low) - 1


def _range(policy: AmortisedPolicy) -> range:
    return range(policy.environment.roles)


def _statics(environment: Environment) -> dict[str, Any]:
    """The rules of a game apart from its parameters, its name and its labels."""
    loose = {"name", "role_names", "action_labels"}
    fields = {
        n: getattr(environment, n) for n, f in environment.__dataclass_fields__.items() if f.metadata.get("static")
    }
    return {n: x for n, x in fields.items() if n not in loose}


def _in_words(environment: Environment) -> str:
    sizes = "x".join(str(len(v)) for v in environment.action_values)
    return f"{type(environment).__name__} ({environment.players} players, {sizes} actions)"
