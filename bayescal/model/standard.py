"""The models that `bayescal calibrate` fits to a study: those of [model] in dataset.toml, or the defaults."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from bayescal.errors import InputError
from bayescal.model.build import Method, Model, build_model
from bayescal.policies.base import Policy
from bayescal.policies.exact import ExactPolicy
from bayescal.populations import POPULATIONS
from bayescal.populations.base import Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform
from bayescal.table.decisions import Decisions
from bayescal.training.recipe import load_model

# Options of the model of people with private costs, in a study or by its user.
OPTIONS = (
    "population", "beliefs", "method", "covariates", "groups", "lapse", "learning", "prior_parameters", "parameters",
)  # fmt: skip
_MANY = 400  # people or games, from which compressing pays


def standard_models(
    study: Any,
    *,
    policy: Policy | None = None,
    prior: Prior | None = None,
    options: Mapping[str, Any] | None = None,
    pooled: bool = False,
) -> dict[str, Model]:
    """Models by name: "people" where the study has a population of private costs. Else one-shot games have one cost for
    all ("pooled") and, with several games or groups, one for each ("by game", "by group"), and games over time one
    model.

    Args:
        options: replace those of the study; see `OPTIONS`.
        pooled: one cost for everybody, whatever the study says (for maximum likelihood). A learned policy for private
            costs plays no other game: its people keep their costs, which are integrated out.
    """
    if policy is not None and prior is not None:
        raise InputError("A policy has a prior of its own: give a policy or a prior, not both.")
    unknown = sorted(set(options or {}) - set(OPTIONS))
    if unknown:
        raise InputError(f"The model has no options {', '.join(unknown)}; it has {', '.join(OPTIONS)}.")
    study = dataclasses.replace(study, **(options or {}))
    if policy is None and prior is None and study.policy is not None:
        policy = load_model(study.policy, trust=True)  # `load_study` lets no other folder through
    population = _population(study, policy)
    if population is not None and (not pooled or getattr(policy, "population", None) is not None):
        if pooled and study.prior_parameters != "participant":
            study = dataclasses.replace(study, method="marginal")
        return {"people": _people(study, policy, prior, population)}
    if study.decisions.play is not None:
        return _over_time(study, policy, prior, pooled=pooled)
    return _one_shot(study, policy, prior or Uniform())


def _population(study: Any, policy: Policy | None) -> Population | None:
    """The population of private costs; that of a learned policy is the one that it was trained for."""
    trained = getattr(policy, "population", None)
    if study.population is None:
        known = trained is None or isinstance(trained, Homogeneous) or "participant" not in study.decisions.cells
        return None if known else trained
    kind = POPULATIONS[study.population]
    if kind is Homogeneous:
        return None
    if isinstance(trained, kind):
        return trained
    return kind.example()


def _people(study: Any, policy: Policy | None, prior: Prior | None, population: Population) -> Model:
    decisions = study.decisions
    environments = list(decisions.environments.values())
    if policy is None:
        alone = all(e.players == 1 for e in environments)
        policy = ExactPolicy(environments[0], prior or study.prior or Uniform(), None if alone else population)
    method = study.method
    shared = study.prior_parameters and bool(policy.prior.parameters)  # ty: ignore[missing-attribute]
    if method is None and decisions.play is None and study.prior_parameters != "participant":
        method = suited(decisions)
    return build_model(
        policy,
        population,
        decisions,
        method=method,
        parameters=study.parameters,
        prior_parameters=study.prior_parameters if shared else False,
        covariates=study.covariates,
        groups=study.groups,
        lapse=study.lapse,
        learning=study.learning,
        beliefs=study.beliefs or "consistent",
        hyperpriors=study.hyperpriors,
    )


def suited(decisions: Decisions) -> Method:
    """How to integrate costs out: compressing pays with many people or games, and is for one-shot games."""
    many = max(len(decisions.levels("participant")), len(decisions.environments)) >= _MANY
    return "compressed" if many and decisions.play is None else "marginal"


def _one_shot(study: Any, policy: Policy | None, prior: Prior) -> dict[str, Model]:
    """One cost for all, and one for each game or group where there are several; the cost that is known, if it is."""
    decisions = study.decisions
    everywhere = {"lapse", *study.parameters}
    known = {"log_cost", "log_cost_mean", "log_cost_sd", *everywhere}
    unknown = sorted(set(study.hyperpriors) - known)
    if unknown:
        game = f", {', '.join(study.parameters)} (of the game)" if study.parameters else ""
        raise InputError(
            f"{study.name}: the hyperpriors name {', '.join(unknown)}, which no standard model has; they have log_cost "
            f"(pooled), log_cost_mean and log_cost_sd (by game or group){game}."
        )
    several = [x for x in ("game", "group") if x in decisions.cells and len(decisions.levels(x)) > 1]
    levels: list[Any] = [None] if study.cost is not None else [None, *several]
    if policy is None:
        policy = ExactPolicy(next(iter(decisions.environments.values())), prior)
    models = {}
    for by in levels:
        mine = {"log_cost_mean", "log_cost_sd", *everywhere} if by else {"log_cost", *everywhere}
        chosen = {k: v for k, v in study.hyperpriors.items() if k in mine}
        models[f"by {by}" if by else "pooled"] = build_model(
            policy,
            Homogeneous(),
            decisions,
            by=by,
            cost=study.cost,
            parameters=study.parameters,
            lapse=study.lapse,
            hyperpriors=chosen,
        )
    return models


def _over_time(study: Any, policy: Policy | None, prior: Prior | None, *, pooled: bool = False) -> dict[str, Model]:
    """Parameters of the game at a known cost, one cost for all, or one for each participant: as dataset.toml says."""
    decisions = study.decisions
    if policy is None:
        policy = ExactPolicy(next(iter(decisions.environments.values())), prior or study.prior or Uniform())
    by = None if pooled or study.cost is not None else study.by
    return {
        f"by {by}" if by else "pooled": build_model(
            policy,
            Homogeneous(),
            decisions,
            by=by,
            cost=study.cost,
            parameters=study.parameters,
            prior_parameters=study.prior_parameters and bool(policy.prior.parameters),  # ty: ignore[missing-attribute]
            lapse=study.lapse,
            hyperpriors=study.hyperpriors,
        )
    }
