"""The model of people with private costs: sampled, integrated out, or integrated out on compressed evidence."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bayescal.domain import Interval
from bayescal.likelihood.base import PrivateLikelihood
from bayescal.likelihood.one_shot import OneShotPrivate
from bayescal.likelihood.over_time import OverTimePrivate
from bayescal.model.compress import compress
from bayescal.model.covariates import read_covariates, read_groups
from bayescal.model.hyperpriors import Hyperpriors, default_game_parameter, inside, read_hyperpriors, refuse_outside
from bayescal.model.integrated import Integrated
from bayescal.model.model import Model
from bayescal.model.payoffs import payoff_scale
from bayescal.model.people import People, site_of
from bayescal.model.spec import Method, ModelSpec
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.base import Population
from bayescal.precision import double_precision

INFORMED = 500  # decisions that usually say more about somebody's cost than the population does


def private_costs(spec: ModelSpec) -> Model:
    """The model of participants who each have a cost that others do not know."""
    domain: Any = getattr(spec.policy, "domain", None)
    box: dict[str, Interval] = {} if domain is None else dict(domain.intervals)
    people = _people(spec, box)
    sites = _site_box(box, people)
    hyperpriors = _hyperpriors(spec, people, sites)
    likelihood = _likelihood(spec, people)
    centred = bool(likelihood.decisions.min() >= INFORMED) if spec.centred is None else spec.centred
    model = Model(
        spec=spec,
        sample=_joint(people, likelihood, hyperpriors, centred=centred),
        coords=_coords(people, likelihood),
        dims={"choices": ("action",)},
        constant_data=likelihood.data.constant,
        hyperpriors=hyperpriors,
        box=sites | ({"log_cost": people.bounds} if "cost" in box else {}),
        description=_describe(spec, people),
        numbers=likelihood.data.size,
        natural={f"psi_{n}": i for n, i in people.prior.items()} | dict(spec.population.parameters),
    )
    method = _method(spec)
    if method == "joint":
        return model
    habit = spec.habit
    integrated = Integrated.of(people, likelihood, hyperpriors, habits=habit is None or not habit.flat)
    if method == "compressed":
        integrated = compress(integrated, spec.evidence)
    return dataclasses.replace(
        model,
        sample=integrated.model,
        description=f"{model.description}; costs integrated out{integrated.how}",
        integrated=integrated,
        evaluated=dataclasses.replace(model, sample=_joint(people, likelihood, hyperpriors, centred=True)),
    )


def _method(spec: ModelSpec) -> Method:
    if spec.method is not None:
        return spec.method
    return "joint" if spec.decisions.play is not None or spec.psi_level == "participant" else "marginal"


def _people(spec: ModelSpec, box: Mapping[str, Interval]) -> People:
    decisions = spec.decisions
    labels, group = ((), None) if spec.groups is None else read_groups(spec.groups, decisions)
    return People(
        population=spec.population,
        participants=decisions.levels("participant"),
        bounds=_cost_bounds(box.get("cost"), spec.population, payoff_scale(spec.environments)),
        box=box,
        prior=spec.habit_parameters,
        habit=spec.habit,
        parameters=spec.parameters,
        covariates=None if spec.covariates is None else read_covariates(spec.covariates, decisions),
        groups=labels,
        group=group,
        group_name=spec.groups or "",
        beliefs=spec.beliefs,
        psi_level=spec.psi_level or "shared",
        lapse=spec.lapse,
        learning=spec.learning,
        meets=any(e.players > 1 for e in spec.environments),
    )


def _cost_bounds(box: Interval | None, population: Population, scale: float) -> Interval:
    """Bounds of log cost: those of the trained domain or, without one, costs so low and high that play can no longer be
    distinguished from rational and habitual play."""
    low, high = (np.log(scale) - 9, np.log(scale) + 4) if box is None else (np.log(box.low), np.log(box.high))
    support = population.support
    with np.errstate(divide="ignore"):
        return Interval(float(max(low, np.log(support.low))), float(min(high, np.log(support.high))))


def _hyperpriors(spec: ModelSpec, people: People, sites: Mapping[str, Interval]) -> Hyperpriors:
    game = {n: default_game_parameter(spec.environments[0].params[n]) for n in spec.parameters}
    chosen = read_hyperpriors(spec.hyperpriors, people.defaults(payoff_scale(spec.environments), game))
    refuse_outside({n: chosen[n] for n in spec.hyperpriors if n in chosen}, sites)
    return {n: inside(n, d, sites[n]) if n in sites else d for n, d in chosen.items()}


def _likelihood(spec: ModelSpec, people: People) -> PrivateLikelihood:
    kind = OneShotPrivate if spec.decisions.play is None else OverTimePrivate
    with double_precision():
        likelihood = kind.of(
            spec.policy,
            spec.population,
            spec.decisions,
            group=people.belief_group,
            names=people.shared_names,
            given=people.given,
            drifting=spec.learning,
        )
        likelihood.check_support()
    return likelihood


def _joint(
    people: People, likelihood: PrivateLikelihood, hyperpriors: Hyperpriors, *, centred: bool
) -> Callable[[], dict[str, Any]]:
    """The NumPyro model with a site for everybody's cost."""

    def model() -> dict[str, Any]:
        drawn = people.sample(hyperpriors)
        log_cost = people.costs(drawn.phi, drawn.shift, centred)
        likelihood.observe(log_cost, drawn.shared, drawn.own_psi)
        return {"phi": drawn.phi, "log_cost": log_cost}

    return model


def _coords(people: People, likelihood: PrivateLikelihood) -> dict[str, np.ndarray]:
    coords = {"participant": np.asarray(people.participants, dtype=str)} | likelihood.data.coords
    if people.groups:
        coords[people.group_name] = np.asarray(people.groups, dtype=str)
    if people.covariates is not None:
        coords["covariate"] = np.asarray(people.covariates.names, dtype=str)
    return coords


def _site_box(box: Mapping[str, Interval], people: People) -> dict[str, Interval]:
    """The trained domain by the names of the model's sites: it bounds what people believe about others."""
    return {site_of(name, people.beliefs): box[name] for name in people.shared_names if name in box}


def _describe(spec: ModelSpec, people: People) -> str:
    prior = type(spec.habit).__name__
    inferred = {"shared": "", "group": " by group", "participant": " by participant"}[people.psi_level]
    text = f"{type(spec.policy).__name__} with a {prior} prior"
    text += f" (parameters inferred{inferred}) and " if people.prior else " and "
    text += f"private costs drawn from a {type(people.population).__name__} population"
    more = []
    if people.groups:
        more.append(f"an effect of each {people.group_name}")
    if people.covariates is not None:
        more.append(f"covariates {', '.join(people.covariates.names)}")
    if people.lapse:
        more.append("lapses")
    if people.learning:
        more.append("costs that drift over the rounds")
    if people.parameters:
        more.append(f"{', '.join(people.parameters)} of the game inferred")
    if isinstance(spec.policy, ExactPolicy) and spec.policy.others == "persistent":
        more.append("others believed to be the same people all game long")
    if people.meets and people.beliefs != "consistent":
        more.append("beliefs about others inferred apart" if people.beliefs == "free" else "given beliefs about others")
    return text + (f"; {', '.join(more)}" if more else "")
