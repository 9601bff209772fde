"""Models of people who are each of one of a few types: levels of reasoning, or a single type for all.

Where people differ by degrees (in cost, or in what they lean to) the types are the nodes of an integral.

Given the shared numbers, people of type k choose with probabilities p_k. A person keeps a type over all decisions, and
types are summed out:

    log p(i's decisions) = log sum_k w_k exp(sum_t log p_k(a_t)).

Where nobody is named each decision is somebody else's, and probabilities themselves are averaged. What does not depend
on anything inferred (a Nash equilibrium, best replies) is solved once, when the model is built.
"""

import dataclasses
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.distributions import constraints

from bayescal._types import Key
from bayescal.domain import Interval
from bayescal.evaluation.batches import of_every_draw
from bayescal.likelihood.base import AtOneCost, CommonLikelihood, Shared
from bayescal.likelihood.one_shot import OneShotCommon, OneShotPrivate
from bayescal.likelihood.over_time import OverTimeCommon
from bayescal.likelihood.without_payoffs import WithoutPayoffs
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.integrated import Computed
from bayescal.model.model import Model
from bayescal.model.spec import Plates, TypedSpec
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.precision import double_precision
from bayescal.table.decisions import Decisions

Values = Mapping[str, Any]  # of the model's sites


@dataclasses.dataclass(frozen=True)
class Names:
    """How the sites of a model of types are named as shared numbers (see `likelihood.base`).

    Attributes:
        of_types: the policy's own parameters (phi), such as those of the distribution of types.
        others: of a learned policy of private costs: the parameters of the others' population beside its `log_mean`,
            which is the log cost.
    """

    of_types: tuple[str, ...]
    others: Mapping[str, float]

    @classmethod
    def of(cls, policy: Any, others: Mapping[str, float]) -> "Names":
        return cls(tuple(getattr(policy, "parameters", ())), others)

    def shared(self, values: Values) -> Shared:
        """The shared numbers, from the values of the sites."""
        out: dict[str, Any] = {}
        for name, x in values.items():
            match name:
                case "log_cost":
                    out["cost"] = jnp.exp(x)
                    if self.others:
                        out |= {"phi.log_mean": x} | {f"phi.{n}": y for n, y in self.others.items()}
                case "lapse":
                    out["lapse"] = x
                case _ if name.startswith("psi_"):
                    out[f"psi.{name.removeprefix('psi_')}"] = x
                case _ if name in self.of_types:
                    out[f"phi.{name}"] = x
                case _:
                    out[f"params.{name}"] = x
        return out


class _Level(dist.Distribution):
    """The type of everybody: a number from 0, as a float, like all that is drawn."""

    support = constraints.real
    pytree_data_fields = ("log_shares",)

    def __init__(self, log_shares: Float[Array, " types"], people: int):
        self.log_shares = log_shares
        super().__init__(batch_shape=(people,))

    def log_prob(self, value: Any) -> Any:
        return self.log_shares[jnp.asarray(value).astype(int)]

    def sample(self, key: Any, sample_shape: tuple[int, ...] = ()) -> Any:
        shape = sample_shape + self.batch_shape
        return jax.random.categorical(key, self.log_shares, shape=shape).astype(jnp.result_type(float))


@dataclasses.dataclass(frozen=True, eq=False)
class Typed:
    """A model of named people whose types are summed out. It has the hooks of `Integrated`.

    Attributes:
        hyperpriors: of every site.
        plates: see `TypedSpec`.
    """

    names: Names
    likelihood: CommonLikelihood
    hyperpriors: Hyperpriors
    plates: Plates = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    start: Mapping[str, Any] | None = None
    evidence: None = None

    def model(self) -> dict[str, Any]:
        values = sample_sites(self.hyperpriors, self.plates)
        log_m = jax.nn.logsumexp(self._log_joint(values), axis=-1) + self.likelihood.data.ways
        with numpyro.plate("participant", len(self.likelihood.data.participants)):
            numpyro.sample("decisions", Computed(log_m), obs=jnp.zeros(log_m.shape[0]))
        return values

    def evaluated(self) -> dict[str, Any]:
        """The same model with everybody's type as a site."""
        values, level = sample_sites(self.hyperpriors, self.plates), None
        shared = self.names.shared(values)
        if self.likelihood.types > 1:
            people = len(self.likelihood.data.participants)
            with numpyro.plate("participant", people):
                drawn: Any = numpyro.sample(
                    self.likelihood.type_name, _Level(self.likelihood.log_shares(shared), people)
                )
            level = jnp.asarray(drawn, int)
        self.likelihood.observe(shared, level)
        return values

    def _log_joint(self, values: Values) -> Float[Array, "people types"]:
        """log p(type, decisions) of each person."""
        shared = self.names.shared(values)
        return self.likelihood.by_person(shared) + self.likelihood.log_shares(shared)

    def complete(self, values: Values, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draws of everybody's type beside the draws of the rest, and the log-likelihood of each participant."""
        data, types = self.likelihood.data, self.likelihood.types
        numbers = max(len(data.participants) * types * 5, self.numbers)
        level, log_m = of_every_draw(self._one, values, numbers, rng)
        drawn = {self.likelihood.type_name: level} if types > 1 else {}
        return dict(values) | drawn, {"participant": log_m}

    def _one(self, values: Values, key: Key) -> tuple[Array, Array]:
        with handlers.block(), handlers.seed(rng_seed=0), handlers.substitute(data=dict(values)):
            values = sample_sites(self.hyperpriors, self.plates)
        log_p = self._log_joint(values)
        level = jax.random.categorical(key, log_p, axis=-1).astype(jnp.result_type(float))
        return level, jax.nn.logsumexp(log_p, axis=-1) + self.likelihood.data.ways

    @property
    def numbers(self) -> int:
        """See `Model.numbers`."""
        return self.likelihood.data.size * self.likelihood.types


def sample_sites(hyperpriors: Hyperpriors, plates: Plates) -> dict[str, Any]:
    """NumPyro sites of every parameter, with the cost and the precision that follow from a log cost."""
    values = {}
    for name, d in hyperpriors.items():
        dim, labels = plates.get(name, ("", ()))
        with numpyro.plate(dim, len(labels)) if dim else nullcontext():
            values[name] = jnp.asarray(numpyro.sample(name, d))
    if "log_cost" in values:
        cost = numpyro.deterministic("cost", jnp.exp(values["log_cost"]))
        numpyro.deterministic("precision", 1 / cost)
    return values


def typed_model(
    policy: Policy,
    decisions: Decisions,
    hyperpriors: Hyperpriors,
    *,
    description: str,
    cost: float | None = None,
    beliefs: tuple[Population, Mapping[str, float]] | None = None,
    others: Mapping[str, float] | None = None,
    box: Mapping[str, Interval] | None = None,
    natural: Mapping[str, Interval] | None = None,
    likelihood: Callable[[Decisions], CommonLikelihood] | None = None,
    plates: Plates | None = None,
) -> Model:
    """The model of people who are of the policy's types, or all alike.

    Args:
        policy: in any of the games; it is adapted to each.
        hyperpriors: of the sites, which are named "log_cost", "lapse", "psi_NAME", as the parameters of the levels'
            distribution ("tau"), or as parameters of the game.
        cost: where it is known.
        beliefs: given ones about others' costs, as (population, phi).
        others: see `Names`.
        box, natural: see `Model`.
        likelihood: of the decisions, where it is not that of the policy.
        plates: by site of several numbers, (the dimension, its labels).
    """
    return from_spec(
        TypedSpec(
            policy,
            decisions,
            hyperpriors,
            description,
            cost=cost,
            beliefs=beliefs,
            others=others or {},
            box=box or {},
            natural=natural or {},
            likelihood=likelihood,
            plates=plates or {},
        )
    )


def from_spec(spec: TypedSpec) -> Model:
    """The model that a spec describes."""
    names = Names.of(spec.policy, spec.others)
    with double_precision():
        likelihood = _likelihood(spec, names)
        likelihood.check_support()
    data = likelihood.data
    plates = {dim: np.asarray(labels, dtype=str) for dim, labels in spec.plates.values()}
    if not data.participants and isinstance(likelihood, OneShotCommon | WithoutPayoffs):
        return _model(spec, _of_nobody(likelihood, names, spec), likelihood, data.coords | plates, data.size)
    typed = Typed(names, likelihood, spec.hyperpriors, spec.plates)
    coords = {"participant": np.asarray(data.participants, dtype=str)} | data.coords | plates
    whole = _model(spec, typed.evaluated, likelihood, coords, typed.numbers)
    return dataclasses.replace(whole, sample=typed.model, integrated=typed, evaluated=whole)


def _model(spec: TypedSpec, sample: Any, likelihood: CommonLikelihood, coords: Any, numbers: int) -> Model:
    return Model(
        spec=spec,
        sample=sample,
        coords=coords,
        dims={"choices": ("action",)},
        constant_data=likelihood.data.constant,
        hyperpriors=spec.hyperpriors,
        box=dict(spec.box),
        description=spec.description,
        numbers=numbers,
        natural=dict(spec.natural),
    )


def _likelihood(spec: TypedSpec, names: Names) -> CommonLikelihood:
    if spec.likelihood is not None:
        return spec.likelihood(spec.decisions)
    policy, decisions = spec.policy, spec.decisions
    given: dict[str, Any] = {} if spec.cost is None else {"cost": float(spec.cost)}
    named = decisions.play is not None or "participant" in decisions.cells
    moving = set(names.shared(dict.fromkeys(spec.hyperpriors, 0.0))) - {"lapse"}
    if spec.beliefs is not None and named:
        population, phi = spec.beliefs
        given |= {f"phi.{n}": float(x) for n, x in phi.items()}
        alike = np.zeros(len(decisions.levels("participant")), int)
        own = sorted(moving - {"cost"})  # what actions are worth depends on others' costs only
        private = OneShotPrivate.of(policy, population, decisions, group=alike, names=own, given=given)
        return AtOneCost.of(private)
    if getattr(policy, "types_are_fixed", False):  # phi is the shares of types, and changes nobody's play
        moving -= {f"phi.{n}" for n in names.of_types}
    if decisions.play is None:
        return OneShotCommon.of(policy, None, decisions, constant=not moving, given=given)
    population = getattr(policy, "population", None)
    return OverTimeCommon.of(policy, population, decisions, constant=not moving, given=given)


def _of_nobody(likelihood: OneShotCommon | WithoutPayoffs, names: Names, spec: TypedSpec) -> Any:
    """The NumPyro model of one-shot games in which nobody is named: every decision is somebody else's."""

    def model() -> None:
        likelihood.observe_mixture(names.shared(sample_sites(spec.hyperpriors, spec.plates)))

    return model
