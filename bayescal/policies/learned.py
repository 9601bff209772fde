"""What all learned policies share: the box that they answer for, and the games that they may be played in."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from bayescal._types import Actions, AnyArray, Costs, Observation, Parameters, RoleActions, Scalar
from bayescal.domain import Domain, Interval
from bayescal.environments.base import Environment, OneShot
from bayescal.errors import InputError
from bayescal.policies.base import ABSENT, PolicyKind, PriorPolicy, hide_absent, tilt
from bayescal.policies.own_unit import box_in_own_unit, shifted
from bayescal.policies.trained_for import check_domain, check_params, check_values, in_words, same_rules
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.base import Prior

Others = Literal["average", "persistent"]


class LearnedPolicy(PriorPolicy):
    """A policy whose numbers were learned: `network` holds them, `domain` is the box that they are right in.

    `others` says whom people believe they meet in a game over time: in every state the population's average, whose
    costs are drawn anew ("average"), or the same people all game long, of whose costs what was seen says something
    ("persistent").

    Where payoffs have a unit (`Environment.rescale`), the network sees costs, population and parameters in it, so that
    it is right for all units once it is for one. `own_box` is the domain in that unit; None where nothing is rescaled.
    """

    policy_kind = PolicyKind.LEARNED
    network: eqx.AbstractVar[PyTree]
    variants: eqx.AbstractVar[tuple[Environment, ...]]
    population: eqx.AbstractVar[Population | None]
    domain: eqx.AbstractVar[Domain]
    own_box: eqx.AbstractVar[Domain | None]
    others: eqx.AbstractVar[Others]

    @abstractmethod
    def fresh(self, key: PRNGKeyArray) -> PyTree:
        """Random weights of the network's shape."""

    @abstractmethod
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

    def log_prob(
        self,
        observation: Observation,
        cost: Costs | None,
        phi: Parameters | None,
        psi: Parameters | None,
        params: Parameters | None,
    ) -> Actions:
        if isinstance(self.environment, OneShot):
            return self.log_prob_all(cost, phi, psi, params)[observation]
        self.check(cost, phi, psi, params)
        role, seen = observation
        q = self.values_of(role, seen, cost, phi, psi, params)
        return tilt(self.log_prior_of(role, psi, seen), q, self._costs(cost)[role])

    def values(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """Q of every role of a one-shot game."""
        return jnp.stack([self.values_of(r, r, cost, phi, psi, params) for r in range(self.environment.roles)])

    def log_prob_all(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        self.check(cost, phi, psi, params)
        if self.private and cost is None:
            return self.log_prob_average(phi, psi, params)
        q = self.values(cost, phi, psi, params)
        return jax.vmap(tilt)(self.log_prior(psi), q, self._costs(cost))

    def log_prob_by_type(
        self, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> Float[Array, "roles types actions"]:
        """Log-probabilities in a one-shot game of a person with each of the population's quadrature costs."""
        self.check(None, phi, psi, params)
        nodes, _ = self._population.quadrature(phi or {})
        q, log_q = self.values(None, phi, psi, params), self.log_prior(psi)
        return jax.vmap(lambda q, log_q: jax.vmap(lambda c: tilt(log_q, q, c))(nodes))(q, log_q)

    def log_prob_average(
        self, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> RoleActions:
        """Log-probabilities in a one-shot game of a person of unknown cost, drawn from the population."""
        by_type = self.log_prob_by_type(phi, psi, params)
        _, weights = self._population.quadrature(phi or {})
        log_p = jax.nn.logsumexp(jnp.maximum(by_type, ABSENT), axis=1, b=weights[None, :, None])
        return hide_absent(log_p)

    @property
    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """How numbers enter the network, and its shape: plain facts for policy.json."""

    @property
    def private(self) -> bool:
        return self.population is not None

    @property
    def cost_interval(self) -> Interval:
        return dict(self.domain.intervals)["cost"]

    def play(self, environment: Environment, population: Population | None = None) -> "LearnedPolicy":
        """This policy in one of the games that it was trained for."""
        own = None if known_to_all(population) else population
        if eqx.tree_equal(own, self.population) is not True:
            ours = "costs that everybody knows" if self.population is None else f"{self.population}"
            raise InputError(
                f"The policy was trained for {ours}, not for {own or 'costs that everybody knows'}: give that "
                "population, or train one for yours."
            )
        for variant in self.variants:
            if same_rules(variant, environment):
                self.check(None, None, None, environment.params)
                return replace_environment(self, environment)
        raise InputError(
            f"The policy was trained for {' or '.join(in_words(v) for v in self.variants[:6])}, not for "
            f"{in_words(environment)}: use ExactPolicy, or train one for your game."
        )

    def check(
        self, cost: Costs | None, phi: Parameters | None, psi: Parameters | None, params: Parameters | None
    ) -> None:
        """Refuse concrete values outside the box; traced ones are kept inside by the model that draws them."""
        check_values(self.domain, cost, phi, psi, params)
        check_params(self.domain, self.variants[0].params, self.environment.params, params or {})

    @property
    def rescaled(self) -> dict[str, Any]:
        """For `architecture`: the box in the game's own unit, where there is one."""
        return {} if self.own_box is None else {"own_box": self.own_box.as_dict()}

    @property
    def input_box(self) -> Domain:
        """What the network's inputs are scaled by."""
        return self.domain if self.own_box is None else self.own_box

    @property
    def input_costs(self) -> Interval:
        """The own costs of `input_box`."""
        return dict(self.input_box.intervals)["cost"]

    def unit_of(self, params: Parameters) -> Any:
        """What the network's numbers are in, in money."""
        return 1.0 if self.own_box is None else self.environment.rescale(params)[1]

    def in_own_unit(self, phi: Parameters | None, params: Parameters) -> tuple[Parameters | None, Parameters]:
        """(the population, parameters of the game) as the network sees them."""
        if self.own_box is None:
            return phi, params
        rescaled, unit = self.environment.rescale(params)
        return shifted(self.population, phi, -jnp.log(unit)), rescaled

    def point_inputs(
        self, phi: Parameters | None, psi: Parameters | None, params: Parameters
    ) -> Float[Array, " inputs"]:
        """The point of the domain, but for the own cost, as numbers between -1 and 1."""
        phi, params = self.in_own_unit(phi, params)
        given = {"phi": phi or {}, "psi": {**self.prior.defaults, **(psi or {})}, "params": params}
        seen = [
            to_unit(given[kind][name], box)
            for full, box in self.input_box.intervals
            if full != "cost"
            for kind, name in [full.split(".", 1)]
        ]
        return jnp.stack(seen) if seen else jnp.zeros(0)

    @property
    def _population(self) -> Population:
        if self.population is None:
            raise InputError("This policy knows everybody's cost: pass cost=…, not phi.")
        return self.population

    def _costs(self, cost: Costs | None) -> Float[Array, " roles"]:
        return jnp.broadcast_to(jnp.asarray(cost, jnp.result_type(float)), (self.environment.roles,))


def trained_for(
    variants: tuple[Environment, ...],
    domain: Domain | Mapping[str, Sequence[float]],
    prior: Prior,
    population: Population | None,
) -> dict[str, Any]:
    """The fields that say what a policy is trained for, for `vars(self).update(...)`.

    Raises:
        DomainError: the domain is not one of these games, this prior and this population.
    """
    box = domain if isinstance(domain, Domain) else Domain.from_dict(domain)
    own = None if known_to_all(population) else population
    check_domain(box, variants, prior, own)
    return {
        "environment": variants[0],
        "variants": variants,
        "prior": prior,
        "population": own,
        "domain": box,
        "own_box": box_in_own_unit(box, variants[0], own),
    }


def known_to_all(population: Population | None) -> bool:
    """Whether everybody knows everybody's cost."""
    return population is None or isinstance(population, Homogeneous)


def with_network[P: LearnedPolicy](policy: P, network: PyTree) -> P:
    """The policy with other weights."""
    return eqx.tree_at(lambda p: p.network, policy, network, is_leaf=lambda x: isinstance(x, type(policy.network)))


def replace_environment[P: LearnedPolicy](policy: P, environment: Environment) -> P:
    """The policy in another game."""
    return eqx.tree_at(lambda p: p.environment, policy, environment, is_leaf=lambda x: isinstance(x, Environment))


def to_unit(x: Scalar | AnyArray, box: Interval) -> Float[Array, "..."]:
    """[low, high] onto [-1, 1], through the logarithm where the ends are a factor of ten or more apart."""
    x = jnp.clip(jnp.asarray(x, jnp.result_type(float)), box.low, box.high)
    if box.logarithmic:
        return 2 * jnp.log(x / box.low) / math.log(box.high / box.low) - 1
    return 2 * (x - box.low) / (box.high - box.low) - 1
