"""The main job: a study in, its standard fits out."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from bayescal.model.build import Model
from bayescal.model.standard import standard_models
from bayescal.policies.base import Policy
from bayescal.posterior.fit import Fit
from bayescal.posterior.grid import Grid
from bayescal.posterior.infer import Method, prepare
from bayescal.posterior.mle import Estimate, maximum_likelihood
from bayescal.posterior.nuts import NUTS
from bayescal.priors.base import Prior
from bayescal.table.decisions import Decisions

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
    options: Mapping[str, Any] | None = None,
    models: Mapping[str, Model] | None = None,
    method: Method | Literal["nuts", "grid"] = "nuts",
    checkpoints: Path | None = None,
    progress: Report | None = None,
) -> dict[str, Fit]:
    """Fit a study's standard models (see `standard_models`): of people with costs of their own, or of one cost for all
    and one for each game or group, or what dataset.toml asks for under [model].

    Args:
        prior: what people fall back on; uniform when None.
        policy: the likelihood, a learned one for example; when None the study's own, or else games are solved exactly.
        options: of the model, in place of the study's own: {"covariates": "~ treatment", "lapse": True}.
        models: the study's, where they are built already; policy, prior and options are then not looked at.
        method: the sampler, or a grid for models of one to three numbers; or one with settings of its own
            (`SVI(guide="flow")`), and then draws, warmup, chains and seed are not looked at.
        checkpoints: a folder in which NUTS keeps a checkpoint of each fit, see `checkpoint_in`.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> fits = bc.calibrate(study, method="grid")
        >>> {name: fit.converged for name, fit in fits.items()}
        {'pooled': True}
    """
    if models is None:
        models = standard_models(study, policy=policy, prior=prior, options=options)
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
    provenance = {"study": study.name, **facts_of(study.decisions)}
    return {name: run(provenance | {"name": name}) for name, run in begun.items()}


def facts_of(decisions: Decisions) -> dict[str, Any]:
    """By which fits of the same decisions on the same grid are known."""
    grids = {
        f"{role}: {len(values)} values from {values[0]:g} to {values[-1]:g}"
        for game in decisions.environments.values()
        for role, values in zip(game.role_names, game.action_values, strict=True)
    }
    return {"data_hash": decisions.data_hash, "snapped": decisions.snapped, "grids": sorted(grids)}


def checkpoint_in(folder: Path, name: str) -> Path:
    """Where the checkpoint of a fit of that name is."""
    return folder / f".{name.replace(' ', '-')}.checkpoint"


def estimate(study: Any, *, policy: Policy | None = None, prior: Prior | None = None) -> dict[str, Estimate]:
    """Maximum likelihood in place of `calibrate`, for the standard models that have one number a parameter.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> found = bc.estimate(study)["pooled"]
        >>> found.converged, round(found.values["log_cost"], 2)
        (True, -0.41)
    """
    models = standard_models(study, policy=policy, prior=prior, pooled=True)
    return {n: maximum_likelihood(m) for n, m in models.items() if not n.startswith("by ")}
