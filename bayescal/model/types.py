"""Models of people who are each of one of a few types: levels of reasoning, or a single type for all.

Given the numbers that everybody shares, people of type k choose with probabilities p_k. A person keeps a type over all
decisions, and types are summed out:

    log p(i's decisions) = log sum_k w_k exp(sum_t log p_k(a_t)).

Where nobody is named each decision is somebody else's, and probabilities themselves are averaged. What does not depend
on anything inferred (a Nash equilibrium, best replies) is worked out once, when the model is built.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Float
from numpyro import distributions as dist
from numpyro import handlers
from numpyro.distributions import constraints

from bayescal.domain import Interval
from bayescal.environments.finite import FiniteGame
from bayescal.errors import InputError
from bayescal.evaluation.batches import of_every_draw
from bayescal.likelihood.base import Likelihood, Shared
from bayescal.likelihood.choices import finite, lapsed, observe_counts
from bayescal.likelihood.known_costs import Games
from bayescal.likelihood.one_shot import OneShotLikelihood
from bayescal.likelihood.over_time import PlayLikelihood
from bayescal.model.hyperpriors import Hyperpriors
from bayescal.model.integrated import WorkedOut
from bayescal.model.model import Model
from bayescal.model.spec import TypedSpec
from bayescal.policies.base import ABSENT, Policy
from bayescal.populations.base import Population
from bayescal.precision import double_precision
from bayescal.table.decisions import Decisions

Values = Mapping[str, Any]  # of the model's sites


@dataclasses.dataclass(frozen=True)
class Numbers:
    """The sites of a model of types, as a policy takes them."""

    policy: Policy
    cost: float | None = None  # where it is known

    def read(self, values: Values) -> tuple[Any, Any, Any, dict[str, Any]]:
        """(cost, phi, psi, parameters of the game)."""
        cost = jnp.exp(values["log_cost"]) if "log_cost" in values else self.cost
        phi = {n: values[n] for n in self.of_levels if n in values}
        psi = {n.removeprefix("psi_"): x for n, x in values.items() if n.startswith("psi_")} or None
        known = {"log_cost", "lapse", *self.of_levels}
        params = {n: x for n, x in values.items() if n not in known and not n.startswith("psi_")}
        return cost, phi, psi, params

    @property
    def of_levels(self) -> tuple[str, ...]:
        return tuple(self.policy.parameters) if self.types > 1 else ()  # ty: ignore[missing-attribute]

    @property
    def types(self) -> int:
        return getattr(self.policy, "levels", 0) + 1

    def log_shares(self, values: Values) -> Float[Array, " types"]:
        if self.types == 1:
            return jnp.zeros(1)
        return self.policy.log_shares(self.read(values)[1])  # ty: ignore[missing-attribute]

    def by_type(self, policy: Any, values: Values, params: Any) -> Float[Array, "types roles actions"]:
        """Log-probabilities in one of the games."""
        cost, phi, psi, changed = self.read(values)
        given = {**params, **changed}
        if self.types == 1:
            return policy.log_prob_all(cost, phi or None, psi, given)[None]
        return policy.log_prob_by_level(cost, phi, psi, given)

    def constant(self, names: Any) -> bool:
        """Whether, of all that is inferred, nothing moves what a type plays."""
        moves = set(names) - {"lapse"}
        if getattr(self.policy, "kind", "") == "level-k":
            moves -= set(self.of_levels)
        return not moves


class _Tables:
    """Log-probabilities of every type in every role of stacked games, once and for all if nothing moves them."""

    def __init__(self, numbers: Numbers, stacks: Any, games: int, width: int, names: Any):
        self.numbers, self.stacks, self.games, self.width = numbers, stacks, games, width
        self.known = None
        if numbers.constant(names):
            with double_precision():
                self.known = np.asarray(jax.jit(lambda: self._work_out({}))())
                _refuse_unsolved(self.known, numbers.policy)

    def __call__(self, values: Values) -> Float[Array, "games types roles actions"]:
        return self._work_out(values) if self.known is None else jnp.asarray(self.known)

    def _work_out(self, values: Values) -> Float[Array, "games types roles actions"]:
        roles = max(policy.environment.roles for policy, *_ in self.stacks)
        out = jnp.full((self.games, self.numbers.types, roles, self.width), -jnp.inf)
        for policy, params, members in self.stacks:
            log_p = jax.vmap(lambda own, policy=policy: self.numbers.by_type(policy, values, own))(params)
            out = out.at[members, :, : log_p.shape[2], : log_p.shape[3]].set(log_p)
        return out


class OneShotTypes(OneShotLikelihood):
    """Counts of named people in one-shot games, by type."""

    def __init__(self, numbers: Numbers, decisions: Decisions, names: Any):
        people = len(decisions.levels("participant"))
        super().__init__(numbers.policy, None, decisions, group=np.zeros(people, int), names=())
        stacks = [(s.policy, s.params, s.members) for s in self.stacks]
        self.numbers = numbers
        self.tables = _Tables(numbers, stacks, self.pairs, self.width, names)

    def log_probs(self, values: Values) -> Float[Array, "situations types actions"]:
        # One row of indices a situation: a slice between two arrays of them would move to the end.
        log_p = self.tables(values).swapaxes(1, 2)[self.pair, self.role]
        return lapsed(log_p, values.get("lapse"), self.sizes[:, None, None])

    def told(self, values: Values) -> Float[Array, "people types"]:
        """The log-likelihood of everybody's decisions if one were of each type."""
        return self._told(self.log_probs(values))

    def observe_types(self, level: Any, values: Values) -> None:
        log_p = self.log_probs(values)
        own = log_p[:, 0][self.situation] if level is None else log_p[self.situation, level[self.person]]
        observe_counts(own, self.counts)

    @property
    def size(self) -> int:
        return self.counts.size * self.numbers.types


class OneType:
    """Everybody at one cost, in the terms of a likelihood of people with costs of their own."""

    def __init__(self, numbers: Numbers, likelihood: Likelihood, others: Mapping[str, float] | None = None):
        self.numbers, self.likelihood, self.others = numbers, likelihood, others or {}
        self.participants, self.ways = likelihood.participants, likelihood.ways
        self.coords, self.constant, self.size = likelihood.coords, likelihood.constant, likelihood.size

    def _shared(self, values: Values) -> tuple[Any, dict[str, Any]]:
        """(log cost, shared numbers)."""
        cost, _, psi, params = self.numbers.read(values)
        log_cost = jnp.zeros(()) if cost is None else jnp.log(cost)
        shared: dict[str, Any] = {f"psi.{n}": x for n, x in (psi or {}).items()}
        shared |= {f"params.{n}": x for n, x in params.items()}
        shared |= {"phi.log_mean": log_cost, **self.others} if self.others else {}
        return log_cost, shared | ({"lapse": values["lapse"]} if "lapse" in values else {})

    def told(self, values: Values) -> Float[Array, "people 1"]:
        log_cost, shared = self._shared(values)
        return self.likelihood.curves(log_cost[None], shared)

    def observe_types(self, level: Any, values: Values) -> None:
        log_cost, shared = self._shared(values)
        self.likelihood.observe(jnp.full(len(self.participants), log_cost), shared)

    def check_support(self) -> None:
        self.likelihood.check_support()


class Believed(OneShotLikelihood):
    """People with given beliefs about others: what actions are worth is known before anything is inferred."""

    def __init__(self, *args: Any, **keywords: Any):
        super().__init__(*args, **keywords)
        with double_precision():
            known = jax.jit(lambda: OneShotLikelihood._values(self, {}))()
        self._known = tuple(np.asarray(x) for x in known)

    def _values(self, shared: Shared) -> Any:
        q, log_q = self._known
        return jnp.asarray(q), jnp.asarray(log_q)


class Settled(PlayLikelihood):
    """Games over time played by somebody of whom nothing but lapses is inferred: worked out once."""

    def __init__(self, policy: Policy, decisions: Decisions):
        people = len(decisions.levels("participant"))
        super().__init__(policy, None, decisions, group=np.zeros(people, int), names=())
        self.log_p = np.full((len(self.chosen), self.width), -np.inf)
        self.options = np.zeros((len(self.chosen), 1), int)
        with double_precision():
            for part in self.parts:
                asked = lambda seen, part=part: part.policy.log_prob_cells(
                    part.role, seen, 0.0, None, None, part.params
                )
                finite = isinstance(part.policy.environment, FiniteGame)
                rows = np.asarray((asked if finite else jax.jit(asked))(part.seen))[part.of]
                _refuse_unsolved(rows, policy)
                self.log_p[part.here, : rows.shape[1]] = rows
                self.options[part.here] = len(part.policy.environment.action_values[part.role])

    def curves(self, log_cost: Float[Array, " nodes"], shared: Shared) -> Float[Array, "participants nodes"]:
        own = jnp.asarray(self.log_p[np.arange(len(self.chosen)), self.chosen])
        log_p = lapsed(own, shared.get("lapse"), self.options[:, 0])
        told = jax.ops.segment_sum(finite(log_p), self.person, len(self.participants))
        return jnp.broadcast_to(told[:, None], (len(self.participants), log_cost.shape[0]))

    def observe(self, log_cost: Float[Array, " participants"], shared: Shared, own_psi: Any = None) -> None:
        self._observe(lapsed(jnp.asarray(self.log_p), shared.get("lapse"), self.options))


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
    """A model of named people whose types are summed out; see `Integrated`, whose hooks it has.

    Attributes:
        likelihood: tells everybody's log-likelihood by type.
        hyperpriors: of every site.
    """

    numbers: Numbers
    likelihood: Any
    hyperpriors: Hyperpriors
    notes: tuple[str, ...] = ()
    start: Mapping[str, Any] | None = None
    evidence: None = None

    def model(self) -> dict[str, Any]:
        values = self._sample()
        told = self.likelihood.told(values)
        log_m = jax.nn.logsumexp(told + self.numbers.log_shares(values), axis=-1) + self.likelihood.ways
        with numpyro.plate("participant", len(self.likelihood.participants)):
            numpyro.sample("decisions", WorkedOut(log_m), obs=jnp.zeros(log_m.shape[0]))
        return values

    def evaluated(self) -> dict[str, Any]:
        """The same with everybody's type."""
        values, level = self._sample(), None
        if self.numbers.types > 1:
            people = len(self.likelihood.participants)
            with numpyro.plate("participant", people):
                level = jnp.asarray(numpyro.sample("level", _Level(self.numbers.log_shares(values), people)), int)
        self.likelihood.observe_types(level, values)
        return values

    def _sample(self) -> dict[str, Any]:
        return sample_numbers(self.hyperpriors)

    def complete(self, values: Values, rng: np.random.Generator) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draws of everybody's type beside the draws of the rest, and the log-likelihood of each participant."""
        types = self.numbers.types
        worked_out = max(len(self.likelihood.participants) * types * 5, self.likelihood.size)
        level, log_m = of_every_draw(self._one, values, worked_out, rng)
        drawn = {"level": level} if types > 1 else {}
        return dict(values) | drawn, {"participant": log_m}

    def _one(self, values: Values, key: Any) -> tuple[Any, Any]:
        with handlers.block(), handlers.seed(rng_seed=0), handlers.substitute(data=dict(values)):
            values = self._sample()
        log_p = self.likelihood.told(values) + self.numbers.log_shares(values)
        level = jax.random.categorical(key, log_p, axis=-1).astype(jnp.result_type(float))
        return level, jax.nn.logsumexp(log_p, axis=-1) + self.likelihood.ways


def sample_numbers(hyperpriors: Hyperpriors) -> dict[str, Any]:
    values = {name: numpyro.sample(name, d) for name, d in hyperpriors.items()}
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
) -> Model:
    """The model of people who are of the policy's types, or all alike.

    Args:
        policy: in any of the games; each is put in its place.
        hyperpriors: of the sites, which are named "log_cost", "lapse", "psi_NAME", as the parameters of the levels'
            distribution ("tau"), or as parameters of the game.
        cost: where it is known.
        beliefs: given ones about others' costs, as (population, phi).
        others: of a learned policy of private costs that plays for people who are all alike: the parameters of the
            others' population beside `log_mean`, which is the log cost.
        box, natural: see `Model`.
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
        )
    )


def from_spec(spec: TypedSpec) -> Model:
    """The model that a spec describes."""
    numbers = Numbers(spec.policy, spec.cost)
    facts: dict[str, Any] = {
        "spec": spec,
        "hyperpriors": spec.hyperpriors,
        "description": spec.description,
        "box": dict(spec.box),
        "natural": dict(spec.natural),
        "dims": {"choices": ("action",)},
    }
    if spec.decisions.play is None and "participant" not in spec.decisions.cells:
        return _of_nobody(numbers, spec.decisions, spec.hyperpriors, facts)
    with double_precision():
        likelihood: Any = _likelihood(numbers, spec.decisions, spec.hyperpriors, spec.beliefs, spec.others)
        likelihood.check_support()
    typed = Typed(numbers, likelihood, spec.hyperpriors)
    coords: dict[str, Any] = {"participant": np.asarray(likelihood.participants, dtype=str)} | likelihood.coords
    whole = Model(
        sample=typed.evaluated, coords=coords, constant_data=likelihood.constant, numbers=likelihood.size, **facts
    )
    return dataclasses.replace(whole, sample=typed.model, integrated=typed, evaluated=whole)


def _likelihood(numbers: Numbers, decisions: Decisions, hyperpriors: Hyperpriors, beliefs: Any, others: Any) -> Any:
    group = np.zeros(len(decisions.levels("participant")), int)
    if beliefs is not None:
        population, phi = beliefs
        given = {f"phi.{n}": float(x) for n, x in phi.items()}
        known = Believed(numbers.policy, population, decisions, group=group, names=(), given=given)
        return OneType(numbers, known)
    if decisions.play is None:
        return OneShotTypes(numbers, decisions, hyperpriors)
    if numbers.constant(hyperpriors) and numbers.cost is None:
        return OneType(numbers, Settled(numbers.policy, decisions))
    population: Any = getattr(numbers.policy, "population", None)
    return OneType(numbers, PlayLikelihood(numbers.policy, population, decisions, group=group, names=()), others)


def _of_nobody(numbers: Numbers, decisions: Decisions, hyperpriors: Hyperpriors, facts: dict[str, Any]) -> Model:
    """Of one-shot games in which nobody is named: every decision is somebody else's."""
    with double_precision():
        games = Games(numbers.policy, None, decisions, np.zeros(0, int))
        games.check_support()
    stacks = [(policy, params, members) for policy, params, members, _ in games.stacks]
    tables = _Tables(numbers, stacks, int(games.of_cell.max()) + 1, games.width, hyperpriors)
    sizes = decisions.mask.sum(axis=1, keepdims=True)

    def model() -> None:
        values = sample_numbers(hyperpriors)
        by_type = jnp.maximum(tables(values), ABSENT) + numbers.log_shares(values)[:, None, None]
        log_p = jax.nn.logsumexp(by_type, axis=1)[games.of_cell, games.role]
        log_p = lapsed(jnp.where(log_p <= ABSENT / 2, -jnp.inf, log_p), values.get("lapse"), sizes)
        observe_counts(jnp.where(decisions.mask, log_p, -jnp.inf), decisions.counts)

    return Model(sample=model, coords=games.coords, constant_data=games.constant, numbers=games.size, **facts)


def _refuse_unsolved(log_p: np.ndarray, policy: Policy) -> None:
    if np.isnan(log_p).any():
        share = np.isnan(log_p).reshape(len(log_p), -1).any(axis=1).mean()
        raise InputError(
            f"{type(policy).__name__}: no equilibrium was found in {share:.0%} of the games, so what is rational in "
            "them is not known: leave this explanation out, or those games."
        )
