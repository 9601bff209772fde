"""Calibration: a study in, its standard fits out."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from bayescal._types import Facts
from bayescal.model.build import Model
from bayescal.model.standard import standard_models
from bayescal.policies.base import Policy
from bayescal.posterior.fit import Fit
from bayescal.posterior.grid import Grid
from bayescal.posterior.infer import Method, prepare
from bayescal.posterior.mle import Estimate, maximum_likelihood
from bayescal.posterior.nuts import NUTS, longest_of
from bayescal.priors.base import Prior
from bayescal.study.load import Study
from bayescal.table.decisions import Decisions

Report = Callable[[str, int, int], None]  # (fit, iterations done, iterations in all)


def calibrate(
    study: Study,
    *,
    draws: int = 1000,
    warmup: int = 600,
    chains: int = 4,
    seed: int = 0,
    prior: Prior | None = None,
    policy: Policy | None = None,
    options: Facts | None = None,
    models: Mapping[str, Model] | None = None,
    method: Method | Literal["nuts", "grid"] = "nuts",
    checkpoints: Path | None = None,
    progress: Report | None = None,
) -> dict[str, Fit]:
    """Fit a study's standard models (see `standard_models`): with a cost for each person, or with one cost for all and
    one for each game or group, or what dataset.toml asks for under [model].

    The same seed gives the same fit to the bit on the same machine, with the same versions, data, settings and
    `use_cores` (the command line asks for one device a chain, however many cores there are). With another number of
    devices, or on another kind of processor, results may be rounded differently. Chains then part after some
    iterations, and posterior summaries agree within their Monte-Carlo error only.

    Args:
        draws, warmup, chains, seed: of NUTS, see `NUTS`. While chains disagree or are short, up to six times as many
            draws are taken, unless fewer than 400 in all were asked for.
        prior: the habit; uniform when None.
        policy: the likelihood, for example a learned policy; when None the study's own, otherwise games are solved.
        options: of the models, in place of the study's own: {"covariates": "~ treatment", "lapse": True}.
        models: by name, if they are built already; policy, prior and options are then ignored.
        method: the sampler, or a grid for models of one to three scalars; or a method with its own settings
            (`SVI(guide="flow")`), and then draws, warmup, chains and seed are ignored.
        checkpoints: a folder in which NUTS keeps a checkpoint of each fit, see `checkpoint_in`.
        progress: called with (name of the fit, iterations done, iterations in all).

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
        method = NUTS(draws=draws, warmup=warmup, chains=chains, seed=seed, longest=longest_of(draws, chains))
    elif method == "grid":
        method = Grid(seed=seed)
    prepared = {}
    for name, model in models.items():
        changes: dict[str, Any] = {}
        if progress is not None and not isinstance(method, Grid):
            changes["progress"] = lambda i, n, name=name: progress(name, i, n)
        if checkpoints is not None and isinstance(method, NUTS):
            changes["checkpoint"] = checkpoint_in(checkpoints, name)
        prepared[name] = prepare(model, dataclasses.replace(method, **changes))
    provenance = {"study": study.name, **facts_of(study.decisions)}
    return {name: run(provenance | {"name": name}) for name, run in prepared.items()}


def facts_of(decisions: Decisions) -> dict[str, Any]:
    """Facts that are equal for fits of the same decisions on the same grid."""
    grids = {
        f"{role}: {len(values)} values from {values[0]:g} to {values[-1]:g}"
        for game in decisions.environments.values()
        for role, values in zip(game.role_names, game.action_values, strict=True)
    }
    return {"data_hash": decisions.data_hash, "snapped": decisions.snapped, "grids": sorted(grids)}


def checkpoint_in(folder: Path, name: str) -> Path:
    """The path of the checkpoint of a fit."""
    return folder / f".{name.replace(' ', '-')}.checkpoint"


def estimate(study: Study, *, policy: Policy | None = None, prior: Prior | None = None) -> dict[str, Estimate]:
    """Maximum likelihood in place of `calibrate`, for the standard models without levels.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> found = bc.estimate(study)["pooled"]
        >>> found.converged, round(found.values["log_cost"], 2)
        (True, -0.41)
    """
    models = standard_models(study, policy=policy, prior=prior, pooled=True)
    return {n: maximum_likelihood(m) for n, m in models.items() if not n.startswith("by ")}
