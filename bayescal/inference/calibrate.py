"""The main job: a study in, its standard fits out."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from bayescal.errors import InputError
from bayescal.inference.fit import Fit
from bayescal.inference.grid import Grid
from bayescal.inference.infer import Method, prepare
from bayescal.inference.mle import Estimate, maximum_likelihood
from bayescal.inference.model import Model, build_model
from bayescal.inference.nuts import NUTS
from bayescal.policies.base import Policy
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform
from bayescal.training.recipe import load_model

Report = Callable[[str, int, int], None]  # (fit, iterations done, iterations in all)


def calibrate(
    study: Any,
    *,
    draws: int = 1000,
    warmup: int = 600,
    chains: int = 4,
    seed: int = 0,
    prior: Prior | None = None,
    policy: Policy | None = None,
    method: Method | Literal["nuts", "grid"] = "nuts",
    checkpoints: Path | None = None,
    progress: Report | None = None,
) -> dict[str, Fit]:
    """Fit a study's standard models on exact policies: one cost for all ("pooled") and, where it has several
    games or groups, one cost for each, partially pooled ("by game", "by group"). In games over time the one model that
    dataset.toml asks for under [model].

    Args:
        prior: what people fall back on; uniform when None.
        policy: the likelihood, a learned one for example; when None the study's own, or else games are solved exactly.
        method: the sampler, or a grid for models of one to three numbers; or one with settings of its own
            (`SVI(guide="flow")`), and then draws, warmup, chains and seed are not looked at.
        checkpoints: a folder in which NUTS keeps a checkpoint of each fit, see `checkpoint_in`.
    """
    decisions = study.decisions
    if policy is not None and prior is not None:
        raise InputError("A policy has a prior of its own: give a policy or a prior, not both.")
    models = (
        _over_time(study, policy, prior) if decisions.play is not None else _one_shot(study, policy, prior or Uniform())
    )
    if method == "nuts":
        method = NUTS(draws=draws, warmup=warmup, chains=chains, seed=seed)
    elif method == "grid":
        method = Grid(seed=seed)
    begun = {}
    for name, model in models.items():
        changes: dict[str, Any] = {}
        if progress is not None and not isinstance(method, Grid):
            changes["progress"] = lambda i, n, name=name: progress(name, i, n)
        if checkpoints is not None and isinstance(method, NUTS):
            changes["checkpoint"] = checkpoint_in(checkpoints, name)
        begun[name] = prepare(model, dataclasses.replace(method, **changes))
    provenance = {"study": study.name, "data_hash": decisions.data_hash, "snapped": decisions.snapped}
    return {name: run(provenance) for name, run in begun.items()}


def checkpoint_in(folder: Path, name: str) -> Path:
    """Where the checkpoint of a fit of that name is."""
    return folder / f".{name.replace(' ', '-')}.checkpoint"


def estimate(study: Any, *, policy: Policy | None = None, prior: Prior | None = None) -> dict[str, Estimate]:
    """Maximum likelihood in place of `calibrate`, for the standard models that have one number a parameter."""
    decisions = study.decisions
    if decisions.play is not None:
        return {n: maximum_likelihood(m) for n, m in _over_time(study, policy, prior, pooled=True).items()}
    return {"pooled": maximum_likelihood(_one_shot(study, policy, prior or Uniform())["pooled"])}


def _one_shot(study: Any, policy: Policy | None, prior: Prior) -> dict[str, Model]:
    """One cost for all, and one for each game or group where there are several."""
    decisions = study.decisions
    unknown = sorted(set(study.hyperpriors) - {"log_cost", "log_cost_mean", "log_cost_sd"})
    if unknown:
        raise InputError(
            f"{study.name}: the hyperpriors name {', '.join(unknown)}, which no standard model has; they have log_cost "
            "(pooled), log_cost_mean and log_cost_sd (by game or group)."
        )
    levels: list[Any] = [None, *(x for x in ("game", "group") if x in decisions.cells and len(decisions.levels(x)) > 1)]
    if policy is None:
        policy = ExactPolicy(next(iter(decisions.environments.values())), prior)
    models = {}
    for by in levels:
        mine = {"log_cost_mean", "log_cost_sd"} if by else {"log_cost"}
        chosen = {k: v for k, v in study.hyperpriors.items() if k in mine}
        models[f"by {by}" if by else "pooled"] = build_model(
            policy, Homogeneous(), decisions, by=by, hyperpriors=chosen
        )
    return models


def _over_time(study: Any, policy: Policy | None, prior: Prior | None, *, pooled: bool = False) -> dict[str, Model]:
    """The model that dataset.toml asks for: parameters of the game at a known cost, one cost for all, or one for each
    participant (where the policy's costs are private, always)."""
    decisions = study.decisions
    if policy is None and prior is None and study.policy is not None:
        policy = load_model(study.policy)
    if policy is None:
        policy = ExactPolicy(next(iter(decisions.environments.values())), prior or study.prior or Uniform())
    belief = getattr(policy, "population", None)
    population = Homogeneous() if belief is None else belief
    private = not isinstance(population, Homogeneous)
    by = None if private or pooled or study.cost is not None else study.by
    name = "by participant" if private else f"by {by}" if by else "pooled"
    return {
        name: build_model(
            policy,
            population,
            decisions,
            by=by,
            cost=study.cost,
            parameters=study.parameters,
            prior_parameters=study.prior_parameters and bool(policy.prior.parameters),  # ty: ignore[missing-attribute]
            hyperpriors=study.hyperpriors,
        )
    }
