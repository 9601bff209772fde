"""From decisions to a NumPyro model: costs (one, by level, or everybody's own), the prior's parameters, the choices."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro

from bayescal.domain import Interval
from bayescal.errors import InputError
from bayescal.likelihood.base import Likelihood
from bayescal.likelihood.known_costs import Games
from bayescal.likelihood.one_shot import OneShotLikelihood
from bayescal.likelihood.over_time import PlayLikelihood
from bayescal.likelihood.plays import Plays
from bayescal.model import types
from bayescal.model.compress import compress
from bayescal.model.covariates import read_covariates, read_groups
from bayescal.model.hyperpriors import (
    Hyperpriors,
    default_cost,
    default_game_parameter,
    inside,
    read_hyperpriors,
    refuse_outside,
)
from bayescal.model.integrated import Integrated
from bayescal.model.model import Model
from bayescal.model.people import Beliefs, People, inside_walls
from bayescal.model.spec import Level, Method, ModelSpec, TypedSpec
from bayescal.policies.base import Policy
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.precision import double_precision
from bayescal.table.decisions import Decisions

_INFORMED = 500  # decisions of a level that usually say more of its cost than the other levels do


def build_model(
    policy: Policy,
    population: Population,
    decisions: Decisions,
    *,
    method: Method | None = None,
    by: Level | None = None,
    cost: float | None = None,
    parameters: Sequence[str] = (),
    prior_parameters: bool | Literal["shared", "group", "participant"] = False,
    covariates: str | None = None,
    groups: str | None = None,
    lapse: bool = False,
    learning: bool = False,
    beliefs: Beliefs = "consistent",
    hyperpriors: Mapping[str, Any] | None = None,
    payoff_scale: bool = False,
    centred: bool | None = None,
    evidence: Any = None,
) -> Model:
    """The NumPyro model of these decisions.

    With a population, everybody has a cost of one's own that others do not know (decisions must name participants, or
    else each is somebody else's). With `Homogeneous()` everybody knows everybody's cost, one for all or one by level.

    Args:
        policy: the likelihood; its environment is replaced by each game of the decisions in turn.
        population: of private costs, its parameters phi inferred; a `Mixture` of `LogNormal` is of latent classes.
        method: of private costs: "joint" samples everybody's cost; "marginal" integrates them out, which has the same
            posterior and is faster where people are many; "compressed" does that on an `Evidence`, in a time that does
            not depend on the number of decisions. None: "marginal" in one-shot games unless priors are personal.
        by: of known costs: one for all (None) or one by game, group or participant, partially pooled:
            log cost ~ Normal(log_cost_mean, log_cost_sd²).
        cost: a cost that is known, instead of inferred.
        parameters: names of parameters of the game to be inferred as well (sites of that name).
        prior_parameters: infer the prior's parameters psi too (sites `psi_NAME`): one for all (True or "shared"), by
            group, or by participant (partially pooled, `psi_NAME_sd` on the unconstrained scale).
        covariates: of log cost, as a formula: "~ treatment + age" (site `effect`, per unit; hyperprior per sd).
        groups: a column ("group", "game" or a covariate): each has an effect on log cost of its own (site
            `group_effect`), and people meet those of their group.
        lapse: with probability `lapse` a decision is any action, all alike.
        learning: log costs move by `drift` from the first round to the last.
        beliefs: of others' costs: those of the people one meets ("consistent"), inferred apart ("free", sites
            `belief_NAME`), or given: {"log_mean": 2.0, "log_sd": 0.5}.
        hyperpriors: by site name; a NumPyro distribution, or numbers as in `read_hyperpriors`.
        payoff_scale: not identified beside a cost; asking for it is an error that says so.
        centred: whether costs are sampled themselves (True) or as offsets from their mean in units of their sd (False).
            The posterior is the same; the first is several times faster where each level has many decisions, the second
            does not diverge where they have few. None: the first where every level has at least 500.
        evidence: of "compressed", where it has been computed already.

    Raises:
        InputError: a level that the data do not have, a hyperprior of a site that is not there, a prior that
            rules out what somebody did, a combination that has no meaning, or a payoff scale.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> model.description
        'ExactPolicy with a Uniform prior and one cost for everybody in all games'
        >>> model.hyperprior_text["log_cost"]
        'Normal(0.587787, 1.5)'
    """
    return from_spec(
        ModelSpec(
            policy,
            population,
            decisions,
            method=method,
            by=by,
            cost=cost,
            parameters=tuple(parameters),
            prior_parameters=prior_parameters,
            covariates=covariates,
            groups=groups,
            lapse=lapse,
            learning=learning,
            beliefs=beliefs,
            hyperpriors=hyperpriors or {},
            payoff_scale=payoff_scale,
            centred=centred,
            evidence=evidence,
        )
    )


def from_spec(spec: ModelSpec | TypedSpec) -> Model:
    """The model that a spec describes.

    Raises:
        InputError: see `build_model`.
    """
    if isinstance(spec, TypedSpec):
        return types.from_spec(spec)
    spec.check()
    return _private(spec) if spec.personal else _common(spec)


def _private(spec: ModelSpec) -> Model:
    """Everybody has a cost of one's own."""
    policy, population, decisions = spec.policy, spec.population, spec.decisions
    environments = list(decisions.environments.values())
    scale = _scale(environments)
    domain: Any = getattr(policy, "domain", None)
    box: dict[str, Interval] = {} if domain is None else dict(domain.intervals)
    cost_box = box.get("cost")
    walls = _walls(cost_box, population, scale)
    prior = getattr(policy, "prior", None)
    labels, group = ((), None) if spec.groups is None else read_groups(spec.groups, decisions)
    people = People(
        population=population,
        participants=decisions.levels("participant"),
        walls=walls,
        box=box,
        prior=_prior_parameters(prior, spec.psi_level is not None),
        habit=prior,
        parameters=spec.parameters,
        covariates=None if spec.covariates is None else read_covariates(spec.covariates, decisions),
        groups=labels,
        group=group,
        group_name=spec.groups or "",
        beliefs=spec.beliefs,
        psi_level=spec.psi_level or "shared",
        lapse=spec.lapse,
        learning=spec.learning,
        meets=any(e.players > 1 for e in environments),
    )
    game = {n: default_game_parameter(environments[0].params[n]) for n in spec.parameters}
    chosen = read_hyperpriors(spec.hyperpriors, people.defaults(scale, game))
    sites = _site_box(box, people)
    refuse_outside({n: chosen[n] for n in spec.hyperpriors if n in chosen}, sites)
    chosen = {n: inside(n, d, sites[n]) if n in sites else d for n, d in chosen.items()}
    kind = OneShotLikelihood if decisions.play is None else PlayLikelihood
    with double_precision():
        likelihood: Likelihood = kind(
            policy,
            population,
            decisions,
            group=people.belief_group,
            names=people.shared_names,
            given=people.given,
            drifting=spec.learning,
        )
        likelihood.check_support()
    method = spec.method
    if method is None:
        method = "joint" if decisions.play is not None or people.psi_level == "participant" else "marginal"
    centre = likelihood.decisions.min() >= _INFORMED if spec.centred is None else spec.centred

    def joint(centre: bool) -> Callable[[], Any]:
        def model() -> dict[str, Any]:
            phi, shift, shared, own = people.sample(chosen)
            log_cost = people.costs(phi, shift, centre)
            likelihood.observe(log_cost, shared, own)
            return {"phi": phi, "log_cost": log_cost}

        return model

    coords: dict[str, Any] = {"participant": np.asarray(people.participants, dtype=str)} | likelihood.coords
    if spec.groups is not None:
        coords[spec.groups] = np.asarray(labels, dtype=str)
    if people.covariates is not None:
        coords["covariate"] = np.asarray(people.covariates.names, dtype=str)
    natural: dict[str, Interval] = {f"psi_{n}": i for n, i in people.prior.items()} | dict(population.parameters)
    described = Model(
        spec=spec,
        sample=joint(centre),
        coords=coords,
        dims={"choices": ("action",)},
        constant_data=likelihood.constant,
        hyperpriors=chosen,
        box=sites | ({} if cost_box is None else {"log_cost": walls}),
        description=_describe_people(policy, people),
        numbers=likelihood.size,
        natural=natural,
    )
    if method == "joint":
        return described
    integrated = Integrated.of(people, likelihood, chosen, habits=prior is None or not prior.flat)
    if method == "compressed":
        integrated = compress(integrated, spec.evidence)
    return dataclasses.replace(
        described,
        sample=integrated.model,
        description=f"{described.description}; costs integrated out{integrated.told}",
        integrated=integrated,
        evaluated=dataclasses.replace(described, sample=joint(True)),
    )


def _common(spec: ModelSpec) -> Model:
    """Costs that everybody knows, or people of whom nothing is known but the population."""
    policy, population, decisions = spec.policy, spec.population, spec.decisions
    by, cost, parameters, private = spec.by, spec.cost, spec.parameters, spec.private
    environments = list(decisions.environments.values())
    levels = () if by is None else decisions.levels(by)
    belief = population if private else None
    games = (
        Games(policy, belief, decisions, np.zeros(0, int) if by is None else decisions.by(by))
        if decisions.play is None
        else Plays(policy, decisions, by)  # where costs are private, everybody has one of one's own
    )
    scale = _scale(environments)
    defaults: Hyperpriors = {}
    if private:
        defaults |= population.default_hyperpriors(scale)
    elif cost is not None:
        pass
    elif by is None:
        defaults["log_cost"] = default_cost(scale)
    else:
        defaults["log_cost_mean"] = default_cost(scale)
        defaults["log_cost_sd"] = numpyro.distributions.HalfNormal(1.0)
    prior = getattr(policy, "prior", None)
    psi_names = _prior_parameters(prior, spec.psi_level is not None)
    if prior is not None and psi_names:
        defaults |= {f"psi_{n}": d for n, d in prior.default_hyperpriors(scale).items()}
    defaults |= {n: default_game_parameter(environments[0].params[n]) for n in parameters}
    if spec.lapse:
        defaults["lapse"] = numpyro.distributions.Beta(1.0, 19.0)
    chosen = read_hyperpriors(spec.hyperpriors, defaults)
    box = _box(policy)
    refuse_outside({n: chosen[n] for n in spec.hyperpriors if n in chosen}, box)
    chosen = {n: inside(n, d, box[n]) if n in box else d for n, d in chosen.items()}
    walls = box.get("log_cost")
    with double_precision():
        games.check_support()

    informed = by is not None and np.bincount(decisions.by(by), decisions.counts.sum(axis=1)).min() >= _INFORMED
    centre = informed if spec.centred is None else spec.centred

    def level_costs(mean: Any, sd: Any) -> Any:
        with numpyro.plate(str(by), len(levels)):
            if centre:
                log_cost = numpyro.sample("log_cost", _level(mean, sd, walls))
            else:
                offset = numpyro.sample("log_cost_offset", numpyro.distributions.Normal(0.0, 1.0))
                log_cost = numpyro.deterministic("log_cost", _level_from(offset, mean, sd, walls))
            own = numpyro.deterministic("cost", jnp.exp(log_cost))
            numpyro.deterministic("precision", 1 / own)
        return own

    def costs() -> tuple[Any, Any]:
        """(cost of each level, phi)."""
        if private:
            return None, {n: numpyro.sample(n, chosen[n]) for n in population.parameters}
        if cost is not None:
            return jnp.asarray(cost, jnp.result_type(float)), None
        if by is None:
            log_cost = numpyro.sample("log_cost", chosen["log_cost"])
            own = jnp.exp(log_cost)
            numpyro.deterministic("cost", own)
            numpyro.deterministic("precision", 1 / own)
            return own, None
        mean = numpyro.sample("log_cost_mean", chosen["log_cost_mean"])
        sd = numpyro.sample("log_cost_sd", chosen["log_cost_sd"])
        return level_costs(mean, sd), None

    def model() -> None:
        own, phi = costs()
        psi = {n: numpyro.sample(f"psi_{n}", chosen[f"psi_{n}"]) for n in psi_names} or None
        slips = numpyro.sample("lapse", chosen["lapse"]) if spec.lapse else None
        games.sample(own, phi, psi, {n: numpyro.sample(n, chosen[n]) for n in parameters}, slips)

    coords = games.coords | ({} if by is None else {by: np.asarray(levels, dtype=str)})
    return Model(
        spec=spec,
        sample=model,
        coords=coords,
        dims={"choices": ("action",)},
        constant_data=games.constant,
        hyperpriors=chosen,
        box={n: i for n, i in box.items() if n in chosen or (n == "log_cost" and cost is None)},
        description=_describe(policy, population, by, cost, parameters, bool(psi_names), spec.lapse),
        numbers=games.size,
        natural={f"psi_{n}": i for n, i in psi_names.items()} | (dict(population.parameters) if private else {}),
    )


def _scale(environments: Sequence[Any]) -> float:
    # In the precision of `infer`, and from copies: JAX confuses its two where a NumPy array meets both in one process.
    with double_precision():
        kinds = {id(e): e for e in environments[:200]}.values()
        return float(np.median([float(e.payoff_scale(jax.tree.map(np.array, e.params))) for e in kinds]))


def _walls(box: Interval | None, population: Population, scale: float) -> Interval:
    """Between which log costs lie: those of a learned policy's box, or else all that can be told from rational and from
    habitual play."""
    low, high = (np.log(scale) - 9, np.log(scale) + 4) if box is None else (np.log(box.low), np.log(box.high))
    natural = population.support
    with np.errstate(divide="ignore"):
        return Interval(float(max(low, np.log(natural.low))), float(min(high, np.log(natural.high))))


def _prior_parameters(prior: Any, asked: bool) -> dict[str, Interval]:
    names = dict(prior.parameters) if asked and prior is not None else {}
    if asked and not names:
        raise InputError(
            f"prior_parameters are asked for, but the prior {type(prior).__name__} has no parameters: use LogLinear, "
            "Focal or a Mixture."
        )
    return names


def _box(policy: Policy) -> dict[str, Interval]:
    """The domain of a learned policy by the names of the model's sites."""
    domain = getattr(policy, "domain", None)
    if domain is None:
        return {}
    renamed = {}
    for name, interval in domain.intervals:
        if name == "cost":
            renamed["log_cost"] = Interval(float(np.log(interval.low)), float(np.log(interval.high)))
        elif name.startswith("psi."):
            renamed["psi_" + name.removeprefix("psi.")] = interval
        else:
            renamed[name.partition(".")[2]] = interval
    return renamed


def _site_box(box: Mapping[str, Interval], people: People) -> dict[str, Interval]:
    """The same for people with costs of their own: what they believe of others must be inside."""
    out = {}
    for name in people.shared_names:
        if name in box:
            kind, _, short = name.partition(".")
            if kind == "phi" and people.beliefs not in ("consistent", "free"):
                continue
            free = "belief_" if kind == "phi" and people.beliefs == "free" else ""
            out[{"phi": free, "psi": "psi_", "params": ""}[kind] + short] = box[name]
    return out


def _level(mean: Any, sd: Any, walls: Interval | None) -> numpyro.distributions.Distribution:
    """The log cost of a level around its mean, inside the walls."""
    if walls is None:
        return numpyro.distributions.Normal(mean, sd)
    return numpyro.distributions.TruncatedNormal(mean, sd, low=walls.low, high=walls.high)


def _level_from(offset: Any, mean: Any, sd: Any, walls: Interval | None) -> Any:
    """The same from a standard normal offset."""
    return mean + sd * offset if walls is None else inside_walls(offset, mean, sd, walls)


def _describe_people(policy: Policy, people: People) -> str:
    prior = type(getattr(policy, "prior", None)).__name__
    inferred = {"shared": "", "group": " by group", "participant": " by participant"}[people.psi_level]
    told = f"{type(policy).__name__} with a {prior} prior"
    told += f" (parameters inferred{inferred}) and " if people.prior else " and "
    told += f"private costs drawn from a {type(people.population).__name__} population"
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
    if people.meets and people.beliefs != "consistent":
        more.append("beliefs about others inferred apart" if people.beliefs == "free" else "given beliefs about others")
    return told + (f"; {', '.join(more)}" if more else "")


def _describe(
    policy: Policy, population: Population, by: str | None, cost: float | None, parameters: Sequence[str], psi: bool,
    lapse: bool,
) -> str:  # fmt: skip
    if not isinstance(population, Homogeneous):
        told = f"private costs drawn from a {type(population).__name__} population"
    elif cost is not None:
        told = f"a known cost of {cost:g}"
    elif by is None:
        told = "one cost for everybody in all games"
    else:
        told = f"one cost for each {by}, partially pooled"
    prior = type(getattr(policy, "prior", None)).__name__
    more = f"; {', '.join(parameters)} of the game inferred" if parameters else ""
    more += "; lapses" if lapse else ""
    return f"{type(policy).__name__} with a {prior} prior{' (parameters inferred)' if psi else ''} and {told}{more}"
