"""Inference: a model and a method in, a fit out."""

from collections.abc import Callable, Mapping
from functools import partial

import jax
import numpy as np
import xarray as xr

from bayescal._types import Facts, NumPyroModel
from bayescal.evaluation.batches import evenly
from bayescal.evaluation.compile import Aside
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import Site, Sites, compile_evaluation, compile_prior, log_likelihood, sites_of
from bayescal.posterior.assemble import Drawn, Method, by_dimension, coords_of, fit_of, tree_of
from bayescal.posterior.checkpoint import facts_of
from bayescal.posterior.fit import Fit
from bayescal.posterior.grid import Grid, compute_grid
from bayescal.posterior.many import highest
from bayescal.posterior.nuts import NUTS, compile_nuts
from bayescal.posterior.svi import SVI, compile_svi
from bayescal.posterior.tree import thinned
from bayescal.precision import double_precision

_PRIOR_DRAWS = 500
_STARTS = 100  # prior draws, the best of which is where chains of a few scalars start
_MOST_NUMBERS = 4e7  # numbers of a quantity with an entry for every person or decision that are kept


def infer(model: NumPyroModel, method: Method | None = None, *, provenance: Facts | None = None) -> Fit:
    """Draw from the posterior of a NumPyro model (one of `build_model`, or any other without arguments): by `NUTS`,
    from an approximation by `SVI`, or, if it has at most three parameters, from a `Grid`.

    Everything runs in float64, whatever JAX's default: the log-likelihood of thousands of decisions is so large that
    its differences are noisy in float32.

    Args:
        provenance: added to the fit's provenance.

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


def prepare(model: NumPyroModel, method: Method | None = None) -> Callable[[Facts | None], Fit]:
    """The first half of `infer`: trace the model and start to compile. Call the result for the second half.

    Several models that are prepared before the first is run are compiled in parallel.

    A model with parameters integrated out has two hooks. `model.complete(values, rng)` takes draws (chain, draw, …) by
    site and returns them with draws of what was integrated out, and log-likelihoods (chain, draw, …) by name, or by the
    dimension that they are for: those of "participant" are log_likelihood["by_participant"] in the fit.
    `model.evaluated` is the same model with nothing integrated out, from which the fit's other groups are computed.
    """
    method = NUTS() if method is None else method
    whole = getattr(model, "evaluated", None) or model
    with double_precision():
        density = Density.of(model)
        shapes = {n: s.shape for n, s in density.sites.items()}
        sites = sites_of(whole)
        most = _most_draws(sites)
        prior_count = min(_PRIOR_DRAWS, most)
        prior_draws = compile_prior(whole, prior_count)
        sampler = _compile(density, method, sites)
        located = getattr(model, "start", None)
        find_highest = None
        if located is None and not any(shapes.values()) and isinstance(method, NUTS):
            find_highest = _compile_highest(density, min(_STARTS, prior_count))
        all_shapes = {n: s.shape for n, s in _latent(sites).items()}
        evaluate = compile_evaluation(whole, all_shapes)

    complete = getattr(model, "complete", None) or (lambda values, rng: (values, {}))

    def run(provenance: Facts | None = None) -> Fit:
        with double_precision():
            rng = np.random.default_rng(method.seed)
            prior = prior_draws(rng)
            prior_sites, _, _, prior_predicted = evaluate(prior, rng)
            begin = located or {n: prior[n][0] for n in shapes}
            centre = {n: np.median(begin[n], axis=0) for n in shapes} if find_highest is None else find_highest(begin)
            draws = sampler(rng, centre)
            kept = thinned(draws.values, most)
            values, integrated = complete(kept, rng)
            posterior_sites, log_lik, log_prior, predicted = evaluate({n: values[n] for n in all_shapes}, rng)
        posterior = {"posterior": {**values, **posterior_sites}}
        if kept is not draws.values:
            posterior = {"posterior": draws.values, "people": {**values, **posterior_sites}}
        groups = {
            **posterior,
            "sample_stats": draws.stats,
            "log_likelihood": {**log_lik, **by_dimension(integrated, coords_of(model))},
            "log_prior": {n: x for n, x in log_prior.items() if n in shapes},
            "prior": prior_sites,
            "prior_predictive": prior_predicted,
            "posterior_predictive": predicted,
        }
        return fit_of(model, method, draws, tree_of(model, sites, groups), provenance or {})

    return run


def before_data(model: NumPyroModel, *, seed: int = 0) -> xr.DataTree:
    """What the hyperpriors of a model imply, as the groups prior, log_prior, prior_predictive, observed_data and
    constant_data of a fit."""
    whole = getattr(model, "evaluated", None) or model
    rng = np.random.default_rng(seed)
    with double_precision():
        sites = sites_of(whole)
        draws = compile_prior(whole, _PRIOR_DRAWS)
        evaluate = compile_evaluation(whole, {n: s.shape for n, s in _latent(sites).items()})
        sampled = _latent(sites if whole is model else sites_of(model))
        prior, _, log_prior, predicted = evaluate(draws(rng), rng)
    log_prior = {n: x for n, x in log_prior.items() if n in sampled}
    return tree_of(model, sites, {"prior": prior, "log_prior": log_prior, "prior_predictive": predicted})


def _compile(
    density: Density, method: Method, sites: Mapping[str, Site]
) -> Callable[[np.random.Generator, Sites], Drawn]:
    """The sampler of a method.

    Args:
        sites: of the model with nothing integrated out.
    """
    if isinstance(method, Grid):
        return lambda rng, centre: compute_grid(density, method)
    if isinstance(method, SVI):
        return compile_svi(density, method)
    facts = {} if method.checkpoint is None else facts_of(density.model, {**sites, **density.sites})
    return compile_nuts(density, method, facts, getattr(density.model, "start", None))


def _compile_highest(density: Density, count: int) -> Callable[[Sites], Sites]:
    """The one of `count` prior draws with the highest likelihood. The posterior of a few scalars may have several
    modes, and all chains start near the highest one found."""
    some = {n: jax.ShapeDtypeStruct((count, *s.shape), float) for n, s in density.sites.items()}
    search = jax.jit(partial(highest, partial(log_likelihood, density.model)))
    compiled = Aside(search, some, brief=True, rounds=count)
    return lambda draws: compiled({n: x[evenly(len(x), count)] for n, x in draws.items()})


def _most_draws(sites: Mapping[str, Site]) -> int:
    """How many draws of the largest site can be kept in memory."""
    largest = max((int(np.prod(s.shape)) for s in sites.values()), default=1)
    return max(int(_MOST_NUMBERS / max(largest, 1)), 20)


def _latent(sites: Mapping[str, Site]) -> dict[str, Site]:
    return {n: s for n, s in sites.items() if s.kind == "latent"}
