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
from bayescal.evaluation.sites import Sites
from bayescal.likelihood.base import PrivateLikelihood, Shared
from bayescal.likelihood.evidence import Evidence
from bayescal.likelihood.marginal import draw_log_costs, even_nodes, log_marginal
from bayescal.likelihood.surface import Surface
from bayescal.model.close_enough import close_enough
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.people import People, given
from bayescal.populations.base import Phi

_STEEP = 1e5


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
        if habits:
            nodes = close_enough(people, likelihood, hyperpriors, nodes)
        return cls(people, likelihood, hyperpriors, nodes)

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
