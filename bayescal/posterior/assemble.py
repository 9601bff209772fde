"""From draws to a fit: the groups of its DataTree, its status and its provenance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayescal._types import Facts, NumPyroModel
from bayescal.evaluation.sites import Site, Sites
from bayescal.posterior.chains import side_by_side
from bayescal.posterior.fit import Fit
from bayescal.posterior.grid import Grid, Gridded
from bayescal.posterior.nuts import NUTS, Draws
from bayescal.posterior.status import Status, status_of_draws, status_of_grid, status_of_guide
from bayescal.posterior.summary import SHARE_AT_BOUNDS, share_at_bounds
from bayescal.posterior.svi import SVI, Approximated
from bayescal.posterior.tree import dataset
from bayescal.versions import versions

Method = NUTS | SVI | Grid
Drawn = Draws | Approximated | Gridded

_SCALARS = ("sample_stats", "log_prior")  # groups with one number a draw


def fit_of(
    model: NumPyroModel,
    method: Method,
    draws: Drawn,
    tree: xr.DataTree,
    provenance: Facts,
) -> Fit:
    """The fit of a model, with what the model says about itself.

    Args:
        provenance: added to what is known, or in its place.
    """
    facts: dict[str, Any] = {
        "seed": method.seed,
        **_settings(method, draws),
        "model": getattr(model, "description", ""),
        "hyperpriors": getattr(model, "hyperprior_text", {}),
        "versions": versions(),
    }
    if (policy := getattr(model, "policy", None)) is not None:
        facts["policy"] = policy.as_dict()
    if notes := getattr(model, "notes", ()):
        facts["notes"] = list(notes)
    domain = (getattr(model, "box", {}), getattr(model, "natural", {}))
    at_bounds: dict[str, float] = {}
    for group in ("people", "posterior"):
        at_bounds |= share_at_bounds(tree[group].to_dataset(), *domain) if group in tree.children else {}
    if at_bounds:
        facts[SHARE_AT_BOUNDS] = at_bounds
    checkpoint = getattr(method, "checkpoint", None)
    status = _status(draws, tree, at_bounds)
    return Fit(tree, status, facts | dict(provenance), None if checkpoint is None else Path(checkpoint))


def tree_of(model: NumPyroModel, sites: Mapping[str, Site], sampled: Mapping[str, Sites]) -> xr.DataTree:
    """All groups of a fit, with named dimensions.

    Args:
        sites: of the model with nothing integrated out.
        sampled: draws (chain, draw, …) by group and name.
    """
    coords = coords_of(model)
    # Quantities that are no sites have the dimensions that the model names, or the one that they are called after.
    dims = {f"by_{n}": (n,) for n in coords} | dict(getattr(model, "dims", {})) | {n: s.dims for n, s in sites.items()}
    observed = {n: s.value for n, s in sites.items() if s.kind == "observed"}
    constant: Mapping[str, tuple[tuple[str, ...], np.ndarray]] = getattr(model, "constant_data", {})
    groups = {
        group: dataset(values, {} if group in _SCALARS else dims, coords, sampled=True)
        for group, values in sampled.items()
    }
    groups["observed_data"] = dataset(observed, dims, coords, sampled=False)
    groups["constant_data"] = dataset(
        {n: v for n, (_, v) in constant.items()}, {n: d for n, (d, _) in constant.items()}, coords, sampled=False
    )
    return xr.DataTree.from_dict(groups)


def coords_of(model: NumPyroModel) -> dict[str, Any]:
    """Labels by dimension, of a model and of its twin with nothing integrated out."""
    return {**getattr(getattr(model, "evaluated", None), "coords", {}), **getattr(model, "coords", {})}


def by_dimension(values: Sites, coords: Mapping[str, object]) -> Sites:
    """A variable cannot have the name of one of its dimensions: "participant" becomes "by_participant"."""
    return {f"by_{n}" if n in coords else n: x for n, x in values.items()}


def _status(draws: Drawn, tree: xr.DataTree, at_bounds: dict[str, float]) -> Status:
    match draws:
        case Gridded():
            return status_of_grid(draws.edge, at_bounds)
        case Approximated():
            rise = (draws.rise, draws.rise_error)
            return status_of_guide(draws.k_hat, draws.ess, *rise, draws.skipped_share, at_bounds, draws.weighted)
        case Draws():
            return status_of_draws(tree, at_bounds)


def _settings(method: Method, draws: Drawn) -> dict[str, Any]:
    """Settings of the method, and measurements of the run."""
    seconds = {"seconds_compiling": round(draws.seconds_compiling, 3), "seconds_sampling": round(draws.seconds, 3)}
    match method, draws:
        case Grid(), Gridded():
            moments = {n: {"mean": m, "sd": s} for n, (m, s) in draws.moments.items()}
            return {"method": "Grid", "grid_points": method.points, "grid": moments} | seconds
        case SVI(), Approximated():
            settings = {n: getattr(method, n) for n in ("guide", "steps", "draws", "particles", "learning_rate")}
            measured = {
                "pareto_k_hat": draws.k_hat,
                "weights_ess": round(draws.ess, 1),
                "elbo": draws.bound,
                "steps_skipped": draws.skipped_share,
            }
            return {"method": "SVI"} | settings | measured | seconds
        case NUTS(), Draws():
            settings = {n: getattr(method, n) for n in ("warmup", "chains", "target_accept")}
            settings["draws"] = next(iter(draws.values.values())).shape[1]
            settings["chains_at_once"] = side_by_side(method.chains)
            resumed = {"resumed_after": draws.resumed_after} if draws.resumed_after else {}
            return {"method": "NUTS"} | settings | resumed | seconds
    raise TypeError(f"{type(method).__name__} does not give {type(draws).__name__}.")
