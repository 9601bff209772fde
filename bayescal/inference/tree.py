"""From draws to an ArviZ DataTree with every group, named dimensions included.

`arviz.from_numpyro` scrambles prior sites in nested plates, has no log_prior group (without which power-scaling
sensitivity cannot be computed) and leaves log_likelihood off; this bridge reads everything off the model's trace.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import xarray as xr
from numpyro import handlers

Sites = Mapping[str, Any]


@dataclass(frozen=True)
class Site:
    """What a model's trace says of one of its sites, without running it."""

    kind: str  # "latent", "observed" or "deterministic"
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    support: Any = None
    value: Any = None  # of an observed site


def sites_of(model: Callable[[], None]) -> dict[str, Site]:
    """Every site of a model. Dimensions are its plates' names, then the model's `dims` or NAME_dim_k."""
    events = getattr(model, "dims", {})
    found: dict[str, Site] = {}

    def look(key):
        for name, site in _trace(model, key).items():
            if site["type"] not in ("sample", "deterministic"):
                continue
            frames = sorted(site["cond_indep_stack"], key=lambda f: f.dim)
            shape = np.shape(site["value"])
            free = range(len(shape) - len(frames))
            dims = tuple(f.name for f in frames) + tuple(events.get(name, [f"{name}_dim_{k}" for k in free]))
            if site["type"] == "deterministic":
                found[name] = Site("deterministic", shape, dims)
            elif site["is_observed"]:
                found[name] = Site("observed", shape, dims, value=np.asarray(site["value"]))
            else:
                found[name] = Site("latent", shape, dims, support=site["fn"].support)
        return key

    jax.eval_shape(look, jax.random.key(0))
    return found


def evaluate(model: Callable[[], None], draws: Sites, key: Any) -> tuple[Sites, Sites, Sites]:
    """(log-likelihood, log-prior, posterior predictive) at every draw of the latent sites, in one compiled pass.

    The log-likelihood is pointwise, the log-prior summed over each site's plates.
    """

    def one(values, key):
        trace = _trace(handlers.substitute(model, data=values), key)
        log_lik, log_prior, predicted = {}, {}, {}
        for name, site in trace.items():
            if site["type"] != "sample":
                continue
            log_prob = site["fn"].log_prob(site["value"])
            if site["is_observed"]:
                log_lik[name] = log_prob
                predicted[name] = _to_predict(site["fn"], jax.random.fold_in(key, len(predicted)))
            else:
                log_prior[name] = log_prob.sum()
        return log_lik, log_prior, predicted

    keys = jax.random.split(key, next(iter(draws.values())).shape[:2])
    log_lik, log_prior, predicted = jax.jit(jax.vmap(jax.vmap(one)))(draws, keys)
    log_lik, log_prior = jax.tree.map(np.asarray, (log_lik, log_prior))
    return log_lik, log_prior, _predictions(predicted, key)


def _to_predict(distribution: Any, key: Any) -> Any:
    """A draw, or the distribution itself where it can be drawn from outside the compiled pass."""
    return distribution if hasattr(distribution, "draw") else distribution.sample(key)


def _predictions(predicted: Sites, key: Any) -> Sites:
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    return {n: x.draw(rng) if hasattr(x, "draw") else np.asarray(x) for n, x in predicted.items()}


def sample_prior(model: Callable[[], None], key: Any, draws: int) -> tuple[Sites, Sites]:
    """(prior draws of every latent and deterministic site, prior predictive), as one chain."""

    def one(key):
        prior, predicted = {}, {}
        for n, site in _trace(model, key).items():
            if site["type"] == "sample" and site["is_observed"]:
                predicted[n] = _to_predict(site["fn"], jax.random.fold_in(key, 1))
            elif site["type"] in ("sample", "deterministic"):
                prior[n] = site["value"]
        return prior, predicted

    prior, predicted = jax.jit(jax.vmap(one))(jax.random.split(key, draws))
    return jax.tree.map(lambda x: np.asarray(x)[None], (prior, _predictions(predicted, key)))


def _trace(model: Callable[[], None], key: Any) -> dict[str, Any]:
    return handlers.trace(handlers.seed(model, key)).get_trace()


def dataset(
    values: Sites, dims: Mapping[str, tuple[str, ...]], coords: Mapping[str, Any], *, sampled: bool
) -> xr.Dataset:
    """Arrays with names: (chain, draw, …) where `sampled`. Only coordinates that are used are kept."""
    lead = ("chain", "draw") if sampled else ()
    variables = {}
    for name, value in values.items():
        value = np.asarray(value)
        own = dims.get(name, ())[: value.ndim - len(lead)]
        variables[name] = ((*lead, *own), value)
    used = {d for own, _ in variables.values() for d in own}
    labels = {d: c for d, c in coords.items() if d in used}
    for d in lead:
        if variables:
            size = next(iter(variables.values()))[1].shape[lead.index(d)]
            labels[d] = np.arange(size)
    return xr.Dataset(variables, coords={d: (d, np.asarray(c)) for d, c in labels.items()})
