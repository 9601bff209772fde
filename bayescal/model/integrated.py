"""The marginal model: everybody's cost is integrated out, the rest is sampled, and costs are drawn afterwards."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.distributions import constraints

from bayescal.evaluation.batches import of_every_draw
from bayescal.evaluation.sites import compile_prior
from bayescal.likelihood.base import Likelihood, Shared
from bayescal.likelihood.marginal import draw_log_costs, even_nodes, log_marginal
from bayescal.likelihood.surface import Surface
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.people import People
from bayescal.precision import double_precision

_STEEP = 1e5
_STEPS = (8, 4, 2, 1)  # in nodes that are eight times as close as without habits
_DRAWS, _CASES, _CROWD = 400, 40, 200  # of the hyperpriors, the best of them, and people that are looked at
_WRONG = 0.001  # nats, of all people together


class WorkedOut(dist.Distribution):
    """What a person did, with a log-probability that has been worked out."""

    support = constraints.real
    pytree_data_fields = ("value",)

    def __init__(self, value: Float[Array, " people"]):
        self.value = value
        super().__init__(batch_shape=value.shape)

    def log_prob(self, value: Any) -> Float[Array, " people"]:
        return self.value

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        return jnp.zeros(sample_shape + self.batch_shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Integrated:
    """A model of people whose costs are integrated out.

    Attributes:
        nodes: log costs at which likelihoods are worked out.
        evidence: the likelihood compressed; None where it is worked out anew each time.
        told, notes: how, in words.
        start: draws from about where the posterior is, by site.
        surface: the likelihood of all together, where people are very many.
    """

    people: People
    likelihood: Likelihood
    hyperpriors: Hyperpriors
    nodes: Float[np.ndarray, " nodes"]
    evidence: Any = None
    told: str = ""
    notes: tuple[str, ...] = ()
    start: Mapping[str, Any] | None = None
    surface: Surface | None = None

    @classmethod
    def of(cls, people: People, likelihood: Likelihood, hyperpriors: Hyperpriors, *, habits: bool) -> "Integrated":
        """With nodes of costs that are close enough.

        Args:
            habits: whether people fall back on anything but uniform play.
        """
        nodes = even_nodes(people.walls, int(likelihood.decisions.max()))
        made = cls(people, likelihood, hyperpriors, nodes)
        return made._resolved() if habits else made

    def _resolved(self) -> "Integrated":
        """With nodes so close that integrals no longer change, at those draws of the hyperpriors that explain the
        decisions best. Where a cost decides between habit and gain, choices turn from one to the other over a small
        part of its logarithm: the stronger the habit, the smaller. Nodes that are too far apart make the likelihood of
        all together wavy, and samplers diverge."""
        crowd = np.sort(np.argsort(-self.likelihood.decisions, kind="stable")[:_CROWD])
        some, rng = self.of_some(crowd), np.random.default_rng(0)
        nodes = np.linspace(self.nodes[0], self.nodes[-1], _STEPS[0] * (len(self.nodes) - 1) + 1)

        def told(values, at, every):
            """The log-likelihood of all together, with every so-manieth of these nodes."""
            phi, shift, shared, _ = given(some.people, some.hyperpriors, values)
            curves, population = some.likelihood.curves(jnp.asarray(at), shared), some.people.population
            found = [log_marginal(curves[:, ::k], jnp.asarray(at[::k]), population, phi, shift).sum() for k in every]
            return jnp.stack(found) * len(self.people.participants) / len(crowd)

        def at_each(draws, at, every):
            run = lambda values, key: told(values, at, every)
            return of_every_draw(run, draws, len(crowd) * len(nodes), rng)[0]

        with double_precision():
            prior = compile_prior(some.model, _DRAWS)(rng)
            height = at_each(prior, self.nodes, (1,))[:, 0]
            best = np.argsort(np.where(np.isfinite(height), -height, np.inf), kind="stable")[:_CASES]
            found = at_each({n: x[:, best] for n, x in prior.items()}, nodes, _STEPS)
        wrong = np.abs(found - found[:, -1:])
        # In nine cases of ten: where all people are all but alike integrals are less exact, with habits or without.
        usual = np.quantile(np.where(np.isfinite(wrong), wrong, 0.0), 0.9, axis=0)
        return dataclasses.replace(self, nodes=nodes[:: _STEPS[int(np.argmax(usual <= _WRONG))]])

    def _inside(self, shared: Shared) -> tuple[dict[str, Any], Any]:
        """(shared numbers inside the evidence's box, a slope that leads there: a chain may begin outside)."""
        inside, beyond = {}, 0.0
        for name, box in self.evidence.domain.intervals:
            x = jnp.asarray(shared[name], jnp.result_type(float))
            inside[name] = jnp.clip(x, box.low, box.high)
            beyond = beyond + jnp.sum(((x - inside[name]) / (box.high - box.low)) ** 2)
        return inside, _STEEP * beyond

    def curves(self, shared: Shared) -> tuple[Float[Array, "people nodes"], Any]:
        """(curves, what has been taken off them)."""
        if self.evidence is None:
            return self.likelihood.curves(jnp.asarray(self.nodes), shared), 0.0
        inside, slope = self._inside(shared)
        slope = slope / len(self.people.participants)
        if not self.people.groups:
            level, relative = self.evidence.parts(inside)
            return relative, level - slope
        by_group = [
            self.evidence.take(members).parts({n: x[g] if jnp.ndim(x) else x for n, x in inside.items()})
            for g, members in enumerate(self._members)
        ]
        level, relative = (
            jnp.concatenate(x)[np.argsort(np.concatenate(self._members))] for x in zip(*by_group, strict=True)
        )
        return relative, level - slope

    @property
    def _members(self) -> list[np.ndarray]:
        return [np.flatnonzero(self.people.belief_group == g) for g in range(max(len(self.people.groups), 1))]

    def of_some(self, people: np.ndarray) -> "Integrated":
        """The same model of some of the people."""
        part = self.likelihood.of_some(people)
        return dataclasses.replace(self, people=self.people.of_some(people), likelihood=part)

    def log_marginal(self, curves: Any, level: Any, phi: Any, shift: Any) -> Float[Array, " people"]:
        log_m = log_marginal(curves, jnp.asarray(self.nodes), self.people.population, phi, shift)
        return log_m + level + self.likelihood.ways

    def model(self) -> dict[str, Any]:
        with handlers.trace() as sites:
            phi, shift, shared, _ = self.people.sample(self.hyperpriors)
        if self.surface is not None:
            numpyro.factor("decisions", self.surface(sites))
            return {"phi": phi}
        log_m = self.log_marginal(*self.curves(shared), phi, shift)
        with numpyro.plate("participant", len(self.people.participants)):
            numpyro.sample("decisions", WorkedOut(log_m), obs=jnp.zeros(log_m.shape[0]))
        return {"phi": phi}

    def total(self, values: Mapping[str, Any]) -> Float[Array, ""]:
        """The log-likelihood of everybody, of values of the sites."""
        phi, shift, shared, _ = given(self.people, self.hyperpriors, values)
        return self.log_marginal(*self.curves(shared), phi, shift).sum()

    def complete(self, values: Mapping[str, Any], rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draws of everybody's log cost beside the draws of the rest, and the log-likelihood of each participant."""
        numbers = len(self.people.participants) * len(self.nodes) * 5
        log_cost, log_m = of_every_draw(self._one, values, numbers, rng)
        return dict(values) | {"log_cost": log_cost}, {"participant": log_m}

    def _one(self, values: Any, key: Any) -> tuple[Any, Any]:
        phi, shift, shared, _ = given(self.people, self.hyperpriors, values)
        curves, level = self.curves(shared)
        log_cost = draw_log_costs(key, curves, jnp.asarray(self.nodes), self.people.population, phi, shift)
        return log_cost, self.log_marginal(curves, level, phi, shift)


def given(people: People, hyperpriors: Hyperpriors, values: Mapping[str, Any]) -> Any:
    """`people.sample` where every site has a value."""
    with handlers.block(), handlers.seed(rng_seed=0), handlers.substitute(data=dict(values)):
        return people.sample(hyperpriors)
