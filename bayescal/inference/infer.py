"""Inference: a model and a method in, a fit out."""

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
import xarray as xr

from bayescal.inference import tree as bridge
from bayescal.inference.fit import Fit, status_of
from bayescal.inference.nuts import NUTS, run_nuts

_PRIOR_DRAWS = 500


def infer(model: Callable[[], None], method: NUTS | None = None, *, provenance: dict[str, Any] | None = None) -> Fit:
    """Draw from the posterior of a NumPyro model (one of `build_model`, or any other without arguments).

    Everything runs in float64, whatever JAX's default: a log-likelihood of thousands of decisions is a number so
    large that float32 leaves visible noise in its differences.
    """
    method = NUTS() if method is None else method
    with jax.enable_x64(True):
        sites = bridge.sites_of(model)
        sample, predict, prior_key = jax.random.split(jax.random.key(method.seed), 3)
        prior, prior_predicted = bridge.sample_prior(model, prior_key, _PRIOR_DRAWS)
        latent = {n: s for n, s in sites.items() if s.kind == "latent"}
        centre = {n: np.median(prior[n][0], axis=0) for n in latent}
        draws = run_nuts(model, method, sample, centre, {n: s.support for n, s in latent.items()})
        values = {n: draws.posterior[n] for n in latent}
        log_likelihood, log_prior, predicted = bridge.evaluate(model, values, predict)
    dims = {n: s.dims for n, s in sites.items()}
    observed = {n: s.value for n, s in sites.items() if s.kind == "observed"}
    coords = dict(getattr(model, "coords", {}))
    constant = getattr(model, "constant_data", {})
    groups = {
        "posterior": bridge.dataset(draws.posterior, dims, coords, sampled=True),
        "sample_stats": bridge.dataset(draws.stats, {}, {}, sampled=True),
        "log_likelihood": bridge.dataset(log_likelihood, dims, coords, sampled=True),
        "log_prior": bridge.dataset(log_prior, {}, {}, sampled=True),
        "prior": bridge.dataset(prior, dims, coords, sampled=True),
        "prior_predictive": bridge.dataset(prior_predicted, dims, coords, sampled=True),
        "posterior_predictive": bridge.dataset(predicted, dims, coords, sampled=True),
        "observed_data": bridge.dataset(observed, dims, coords, sampled=False),
        "constant_data": bridge.dataset(
            {n: v for n, (_, v) in constant.items()},
            {n: d for n, (d, _) in constant.items()},
            coords,
            sampled=False,
        ),
    }
    tree = xr.DataTree.from_dict(groups)
    facts = {
        "seed": method.seed,
        "draws": method.draws,
        "warmup": method.warmup,
        "chains": method.chains,
        "target_accept": method.target_accept,
        "model": getattr(model, "description", ""),
        "hyperpriors": getattr(model, "hyperprior_text", {}),
        "seconds_compiling": round(draws.seconds_compiling, 3),
        "seconds_sampling": round(draws.seconds_sampling, 3),
        "versions": versions(),
    }
    return Fit(tree, status_of(tree), facts | (provenance or {}))


def versions() -> dict[str, str]:
    """What the numbers were computed with."""
    packages = ("bayescal", "jax", "numpyro", "equinox", "arviz", "numpy")
    return {"python": platform.python_version()} | {p: _version(p) for p in packages}


def _version(package: str) -> str:
    try:
        return version(package)
    except Exception:  # noqa: BLE001 - a checkout on the path without being installed
        return "unknown"
