"""Inference: a model and a method in, a fit out."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from bayescal.evaluation.batches import evenly
from bayescal.evaluation.compile import Aside
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import Site, Sites, compile_evaluation, compile_prior, log_likelihood, sites_of
from bayescal.posterior.chains import side_by_side
from bayescal.posterior.checkpoint import facts_of
from bayescal.posterior.fit import Fit
from bayescal.posterior.grid import Grid, Gridded, compute_grid
from bayescal.posterior.many import highest
from bayescal.posterior.nuts import NUTS, Draws, compile_nuts
from bayescal.posterior.status import Status, status_of_draws, status_of_grid, status_of_guide
from bayescal.posterior.summary import share_at_bounds
from bayescal.posterior.svi import SVI, Approximated, compile_svi
from bayescal.posterior.tree import dataset, thinned
from bayescal.precision import double_precision
from bayescal.versions import versions

Method = NUTS | SVI | Grid
_Drawn = Draws | Approximated | Gridded

_PRIOR_DRAWS, _STARTS = 500, 100
_PERSONAL = 4e7  # numbers that are kept of a quantity that every person, or every choice, has of its own


def infer(model: Callable[[], Any], method: Method | None = None, *, provenance: dict[str, Any] | None = None) -> Fit:
    """Draw from the posterior of a NumPyro model (one of `build_model`, or any other without arguments): by `NUTS`,
    from an approximation by `SVI`, or, where it has at most three parameters, from a `Grid`.

    Everything runs in float64, whatever JAX's default: a log-likelihood of thousands of decisions is a number so
    large that float32 leaves visible noise in its differences.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> fit = bc.infer(model, bc.Grid())
        >>> fit.converged, round(float(fit.tree["posterior"]["cost"].mean()), 2)
        (True, 0.67)
    """
    return prepare(model, method)(provenance)


def prepare(model: Callable[[], Any], method: Method | None = None) -> Callable[[dict[str, Any] | None], Fit]:
    """The first half of `infer`: trace the model, and begin to compile. Call the result for the second half.

    Several models prepared before the first is run are compiled side by side.

    A model with parameters integrated out has two hooks. `model.complete(values, rng)` takes draws (chain, draw, …) by
    site and returns them with draws of what was integrated out, and log-likelihoods (chain, draw, …) by name, or by the
    dimension that they are for: those of "participant" are log_likelihood["by_participant"] in the fit.
    `model.evaluated` is its twin over all sites, of which the fit's other groups are made.
    """
    method = NUTS() if method is None else method
    # A model with parameters integrated out has a twin that still has them, on which everything but sampling is done.
    whole = getattr(model, "evaluated", None) or model
    with double_precision():
        density = Density.of(model)
        shapes = {n: s.shape for n, s in density.sites.items()}
        sites = sites_of(whole)
        most = _most_draws(model, sites)
        believed = min(_PRIOR_DRAWS, most)
        prior_draws = compile_prior(whole, believed)
        sampler = _compile(density, method, sites)
        located = getattr(model, "start", None)
        find_highest = None
        if located is None and not any(shapes.values()) and isinstance(method, NUTS):
            find_highest = _compile_highest(model, shapes, min(_STARTS, believed))
        all_shapes = {n: s.shape for n, s in _latent(sites).items()}
        evaluate = compile_evaluation(whole, all_shapes)

    complete = getattr(model, "complete", None) or (lambda values, rng: (values, {}))

    def run(provenance: dict[str, Any] | None = None) -> Fit:
        with double_precision():
            rng = np.random.default_rng(method.seed)
            prior = prior_draws(rng)
            before, _, _, prior_predicted = evaluate(prior, rng)
            begin = located or {n: prior[n][0] for n in shapes}
            centre = {n: np.median(begin[n], axis=0) for n in shapes} if find_highest is None else find_highest(begin)
            draws = sampler(rng, centre)
            some = thinned(draws.values, most)
            values, integrated = complete(some, rng)
            after, log_likelihood, log_prior, predicted = evaluate({n: values[n] for n in all_shapes}, rng)
            everybody = {"posterior": {**values, **after}}
            if some is not draws.values:
                everybody = {"posterior": draws.values, "people": {**values, **after}}
        return _fit(
            model,
            method,
            sites,
            draws,
            {
                **everybody,
                "sample_stats": draws.stats,
                "log_likelihood": {**log_likelihood, **_by_dimension(integrated, _coords(model))},
                "log_prior": {n: x for n, x in log_prior.items() if n in shapes},
                "prior": before,
                "prior_predictive": prior_predicted,
                "posterior_predictive": predicted,
            },
            provenance or {},
        )

    return run


def _compile_highest(
    model: Callable[[], Any], shapes: dict[str, tuple[int, ...]], count: int
) -> Callable[[Sites], Sites]:
    """Of so many of the prior's draws, the one that explains the data best. A few numbers may have several hills: all
    chains begin on the highest that was found."""
    found = jax.jit(partial(highest, partial(log_likelihood, model)))
    some = {n: jax.ShapeDtypeStruct((count, *s), float) for n, s in shapes.items()}
    compiled = Aside(found, some, brief=True, rounds=count)
    return lambda draws: compiled({n: x[evenly(len(x), count)] for n, x in draws.items()})


def before_data(model: Callable[[], Any], *, seed: int = 0) -> xr.DataTree:
    """What the hyperpriors of a model believe, as the groups prior, log_prior, prior_predictive, observed_data and
    constant_data of a fit."""
    whole = getattr(model, "evaluated", None) or model
    rng = np.random.default_rng(seed)
    with double_precision():
        sites = sites_of(whole)
        shapes = {n: s.shape for n, s in _latent(sites).items()}
        draws = compile_prior(whole, _PRIOR_DRAWS)
        evaluate = compile_evaluation(whole, shapes)
        sampled = _latent(sites if whole is model else sites_of(model))
        prior, _, log_prior, predicted = evaluate(draws(rng), rng)
    log_prior = {n: x for n, x in log_prior.items() if n in sampled}
    return _tree(model, sites, {"prior": prior, "log_prior": log_prior, "prior_predictive": predicted})


def _most_draws(model: Callable[[], Any], sites: dict[str, Site]) -> int:
    """How many draws of everybody's numbers can be kept."""
    largest = max((int(np.prod(s.shape)) for s in sites.values()), default=1)
    return max(int(_PERSONAL / max(largest, 1)), 20)


def _compile(
    density: Density, method: Method, sites: dict[str, Site]
) -> Callable[[np.random.Generator, Sites], _Drawn]:
    """The sampler of a method; `sites` are all that the model's twin has."""
    if isinstance(method, Grid):
        return lambda rng, centre: compute_grid(density, method)
    if isinstance(method, SVI):
        return compile_svi(density, method)
    facts = {} if method.checkpoint is None else facts_of(density.model, {**sites, **density.sites})
    return compile_nuts(density, method, facts, getattr(density.model, "start", None))


def _latent(sites: dict[str, Site]) -> dict[str, Site]:
    return {n: s for n, s in sites.items() if s.kind == "latent"}


def _coords(model: Any) -> dict[str, Any]:
    return {**getattr(getattr(model, "evaluated", None), "coords", {}), **getattr(model, "coords", {})}


def _by_dimension(values: Sites, coords: dict[str, Any]) -> Sites:
    """A group cannot have a variable called as one of its dimensions: "participant" becomes "by_participant"."""
    return {f"by_{n}" if n in coords else n: x for n, x in values.items()}


def _fit(
    model: Any,
    method: Method,
    sites: dict[str, Site],
    draws: _Drawn,
    sampled: dict[str, Sites],
    provenance: dict[str, Any],
) -> Fit:
    tree = _tree(model, sites, sampled)
    facts = {
        "seed": method.seed,
        **_settings(method, draws),
        "model": getattr(model, "description", ""),
        "hyperpriors": getattr(model, "hyperprior_text", {}),
        **({"notes": list(notes)} if (notes := getattr(model, "notes", ())) else {}),
        "versions": versions(),
    }
    domain = (getattr(model, "box", {}), getattr(model, "natural", {}))
    at_bounds: dict[str, float] = {}
    for group in ("people", "posterior"):
        at_bounds |= share_at_bounds(tree[group].to_dataset(), *domain) if group in tree.children else {}
    if at_bounds:
        facts["posterior_share_at_the_walls"] = at_bounds
    status = _status(draws, tree, at_bounds)
    checkpoint = getattr(method, "checkpoint", None)
    return Fit(tree, status, facts | provenance, None if checkpoint is None else Path(checkpoint))


def _tree(model: Any, sites: dict[str, Site], sampled: dict[str, Sites]) -> xr.DataTree:
    coords = _coords(model)
    # What was integrated out and is not a site has the model's word for its dimensions, or is called by them.
    dims = {f"by_{n}": (n,) for n in coords} | dict(getattr(model, "dims", {})) | {n: s.dims for n, s in sites.items()}
    observed = {n: s.value for n, s in sites.items() if s.kind == "observed"}
    constant = getattr(model, "constant_data", {})
    unnamed = ("sample_stats", "log_prior")  # one number a draw
    groups = {
        group: dataset(values, {} if group in unnamed else dims, coords, sampled=True)
        for group, values in sampled.items()
    }
    groups["observed_data"] = dataset(observed, dims, coords, sampled=False)
    groups["constant_data"] = dataset(
        {n: v for n, (_, v) in constant.items()}, {n: d for n, (d, _) in constant.items()}, coords, sampled=False
    )
    return xr.DataTree.from_dict(groups)


def _status(draws: _Drawn, tree: xr.DataTree, at_bounds: dict[str, float]) -> Status:
    if isinstance(draws, Gridded):
        return status_of_grid(draws.edge, at_bounds)
    if isinstance(draws, Approximated):
        rise = (draws.rise, draws.rise_error)
        return status_of_guide(draws.k_hat, draws.ess, *rise, draws.skipped_share, at_bounds)
    return status_of_draws(tree, at_bounds)


def _settings(method: Method, draws: _Drawn) -> dict[str, Any]:
    """Of the method, and what is known of how it went."""
    seconds = {"seconds_compiling": round(draws.seconds_compiling, 3), "seconds_sampling": round(draws.seconds, 3)}
    if isinstance(method, Grid):
        assert isinstance(draws, Gridded)
        moments = {n: {"mean": m, "sd": s} for n, (m, s) in draws.moments.items()}
        return {"method": "Grid", "grid_points": method.points, "grid": moments} | seconds
    if isinstance(method, SVI):
        assert isinstance(draws, Approximated)
        names = ("guide", "steps", "draws", "particles", "learning_rate")
        asked = {n: getattr(method, n) for n in names}
        found = {
            "pareto_k_hat": draws.k_hat,
            "weights_ess": round(draws.ess, 1),
            "elbo": draws.bound,
            "steps_skipped": draws.skipped_share,
        }
        return {"method": "SVI"} | asked | found | seconds
    assert isinstance(draws, Draws)
    asked = {n: getattr(method, n) for n in ("warmup", "chains", "target_accept")}
    asked["draws"] = next(iter(draws.values.values())).shape[1]
    asked["chains_at_once"] = side_by_side(method.chains)
    resumed = {"resumed_after": draws.resumed_after} if draws.resumed_after else {}
    return {"method": "NUTS"} | asked | resumed | seconds
