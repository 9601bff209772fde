"""The marginal model: everybody's cost is integrated out, the rest is sampled, and costs are drawn afterwards."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float, Int
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.distributions import constraints

from bayescal._types import AnyArray, Key
from bayescal.evaluation.batches import of_every_draw
from bayescal.evaluation.sites import Sites, compile_prior
from bayescal.likelihood.base import PrivateLikelihood, Shared
from bayescal.likelihood.evidence import Evidence
from bayescal.likelihood.marginal import draw_log_costs, even_nodes, log_marginal
from bayescal.likelihood.surface import Surface
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.people import Drawn, People
from bayescal.populations.base import Phi
from bayescal.precision import double_precision

_STEEP = 1e5
_STRIDES = (8, 4, 2, 1)  # of nodes that are eight times as close as without habits
_DRAWS, _CASES, _CROWD = 400, 40, 200  # prior draws, the best of them, and people at whom integrals are compared
_FLOATS = 2e6  # of all their curves at the closest nodes: fewer people, if these are many
_WRONG = 0.001  # nats, all people together


class Computed(dist.Distribution):
    """What a person did, with a log-probability that has been computed already."""

    support = constraints.real
    pytree_data_fields = ("value",)

    def __init__(self, value: Float[Array, " people"]):
        self.value = value
        super().__init__(batch_shape=value.shape)

    def log_prob(self, value: AnyArray | float) -> Float[Array, " people"]:
        return self.value

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
        return jnp.zeros(sample_shape + self.batch_shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Integrated:
    """A model of people whose costs are integrated out.

    Attributes:
        nodes: log costs at which likelihoods are computed.
        evidence: the compressed likelihood; None if the likelihood itself is computed each time.
        how: words for the model's description.
        notes: what the user should know about how it was built.
        start: approximate posterior draws, by site.
        surface: the log-likelihood of all people together, if they are very many.
    """

    people: People
    likelihood: PrivateLikelihood
    hyperpriors: Hyperpriors
    nodes: Float[np.ndarray, " nodes"]
    evidence: Evidence | None = None
    how: str = ""
    notes: tuple[str, ...] = ()
    start: Mapping[str, Float[np.ndarray, "..."]] | None = None
    surface: Surface | None = None

    @classmethod
    def of(
        cls, people: People, likelihood: PrivateLikelihood, hyperpriors: Hyperpriors, *, habits: bool
    ) -> "Integrated":
        """With nodes of cost that are close enough.

        Args:
            habits: whether the habit may be anything but uniform.
        """
        nodes = even_nodes(people.bounds, int(likelihood.decisions.max()))
        made = cls(people, likelihood, hyperpriors, nodes)
        return made._resolved() if habits else made

    def _resolved(self) -> "Integrated":
        """With nodes so close that closer ones change no integral, at the prior draws that explain the decisions best.

        Where a cost decides between habit and gain, choices turn from one to the other over a small part of its
        logarithm: the stronger the habit, the smaller. Nodes that are too far apart make the total log-likelihood wavy,
        and samplers diverge.
        """
        nodes = np.linspace(self.nodes[0], self.nodes[-1], _STRIDES[0] * (len(self.nodes) - 1) + 1)
        most = int(np.clip(_FLOATS / len(nodes), 1, _CROWD))
        crowd = np.sort(np.argsort(-self.likelihood.decisions, kind="stable")[:most])
        some, rng = self.of_some(crowd), np.random.default_rng(0)

        def totals(
            values: Sites, at: Float[np.ndarray, " nodes"], strides: tuple[int, ...]
        ) -> Float[Array, " strides"]:
            """The log-likelihood of all people, with every k-th of these nodes for each stride k."""
            drawn = given(some.people, some.hyperpriors, values)
            curves, population = some.likelihood.curves(jnp.asarray(at), drawn.shared), some.people.population
            sums = [
                log_marginal(curves[:, ::k], jnp.asarray(at[::k]), population, drawn.phi, drawn.shift).sum()
                for k in strides
            ]
            return jnp.stack(sums) * len(self.people.participants) / len(crowd)

        def at_each(draws: Sites, at: Float[np.ndarray, " nodes"], strides: tuple[int, ...]) -> np.ndarray:
            run = lambda values, key: totals(values, at, strides)
            return of_every_draw(run, draws, len(crowd) * len(nodes), rng)[0]

        with double_precision():
            prior = compile_prior(some.model, _DRAWS)(rng)
            height = at_each(prior, self.nodes, (1,))[:, 0]
            best = np.argsort(np.where(np.isfinite(height), -height, np.inf), kind="stable")[:_CASES]
            sums = at_each({n: x[:, best] for n, x in prior.items()}, nodes, _STRIDES)
        wrong = np.abs(sums - sums[:, -1:])
        worst = np.max(np.where(np.isfinite(wrong), wrong, 0.0), axis=0)
        return dataclasses.replace(self, nodes=nodes[:: _STRIDES[int(np.argmax(worst <= _WRONG))]])

    def _inside(self, evidence: Evidence, shared: Shared) -> tuple[dict[str, Array], Float[Array, ""]]:
        """(shared numbers clipped to the evidence's box, a penalty that leads back into it: a chain may begin
        outside)."""
        inside, beyond = {}, jnp.zeros(())
        for name, box in evidence.domain.intervals:
            x = jnp.asarray(shared[name], jnp.result_type(float))
            inside[name] = jnp.clip(x, box.low, box.high)
            beyond = beyond + jnp.sum(((x - inside[name]) / (box.high - box.low)) ** 2)
        return inside, _STEEP * beyond

    def curves(
        self, shared: Shared
    ) -> tuple[Float[Array, "people nodes"], Float[Array, " people"] | Float[Array, ""] | float]:
        """(each person's curve, a level to be added to it)."""
        if self.evidence is None:
            return self.likelihood.curves(jnp.asarray(self.nodes), shared), 0.0
        inside, penalty = self._inside(self.evidence, shared)
        penalty = penalty / len(self.people.participants)
        if not self.people.groups:
            level, relative = self.evidence.parts(inside)
            return relative, level - penalty
        by_group = [
            self.evidence.take(members).parts({n: x[g] if jnp.ndim(x) else x for n, x in inside.items()})
            for g, members in enumerate(self._members)
        ]
        level, relative = (
            jnp.concatenate(x)[np.argsort(np.concatenate(self._members))] for x in zip(*by_group, strict=True)
        )
        return relative, level - penalty

    @property
    def _members(self) -> list[Int[np.ndarray, " members"]]:
        """Of each belief group."""
        return [np.flatnonzero(self.people.belief_group == g) for g in range(max(len(self.people.groups), 1))]

    def of_some(self, people: Int[np.ndarray, " some"]) -> "Integrated":
        """The model of some of the people, by index."""
        part = self.likelihood.of_some(people)
        return dataclasses.replace(self, people=self.people.of_some(people), likelihood=part)

    def log_marginal(
        self,
        curves: Float[Array, "people nodes"],
        level: Float[Array, " people"] | Float[Array, ""] | float,
        phi: Phi,
        shift: Float[Array, " people"] | None,
    ) -> Float[Array, " people"]:
        """The log-likelihood of each person's decisions, over the population."""
        log_m = log_marginal(curves, jnp.asarray(self.nodes), self.people.population, phi, shift)
        return log_m + level + self.likelihood.data.ways

    def model(self) -> dict[str, Any]:
        """The NumPyro model."""
        with handlers.trace() as trace:
            drawn = self.people.sample(self.hyperpriors)
        if self.surface is not None:
            numpyro.factor("decisions", self.surface({n: s["value"] for n, s in trace.items()}))
            return {"phi": drawn.phi}
        log_m = self.log_marginal(*self.curves(drawn.shared), drawn.phi, drawn.shift)
        with numpyro.plate("participant", len(self.people.participants)):
            numpyro.sample("decisions", Computed(log_m), obs=jnp.zeros(log_m.shape[0]))
        return {"phi": drawn.phi}

    def total(self, values: Sites) -> Float[Array, ""]:
        """The log-likelihood of everybody, at values of the sites."""
        drawn = given(self.people, self.hyperpriors, values)
        return self.log_marginal(*self.curves(drawn.shared), drawn.phi, drawn.shift).sum()

    def complete(self, values: Sites, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draws of everybody's log cost beside the draws of the rest, and the log-likelihood of each participant."""
        numbers = len(self.people.participants) * len(self.nodes) * 5
        log_cost, log_m = of_every_draw(self._one, values, numbers, rng)
        return dict(values) | {"log_cost": log_cost}, {"participant": log_m}

    def _one(self, values: Sites, key: Key) -> tuple[Float[Array, " people"], Float[Array, " people"]]:
        """(a draw of each log cost, the log-likelihood of each participant)."""
        drawn = given(self.people, self.hyperpriors, values)
        curves, level = self.curves(drawn.shared)
        nodes = jnp.asarray(self.nodes)
        log_cost = draw_log_costs(key, curves, nodes, self.people.population, drawn.phi, drawn.shift)
        return log_cost, self.log_marginal(curves, level, drawn.phi, drawn.shift)


def given(people: People, hyperpriors: Hyperpriors, values: Sites) -> Drawn:
    """`people.sample` where every site has a value."""
    with handlers.block(), handlers.seed(rng_seed=0), handlers.substitute(data=dict(values)):
        return people.sample(hyperpriors)
