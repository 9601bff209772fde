"""From draws to an ArviZ DataTree with every group, named dimensions included.

`arviz.from_numpyro` scrambles prior sites in nested plates, has no log_prior group (without which power-scaling
sensitivity cannot be computed) and leaves log_likelihood off; this bridge reads everything off the model's trace.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from numpyro import handlers

Sites = Mapping[str, Any]


def named_dims(model: Callable[[], None]) -> dict[str, tuple[str, ...]]:
    """The dimensions of every site: the names of its plates; the events' are the model's own, or NAME_dim_k."""
    trace = _trace(model, jax.random.key(0))
    events = getattr(model, "dims", {})
    out = {}
    for name, site in trace.items():
        if site["type"] not in ("sample", "deterministic"):
            continue
        frames = sorted(site["cond_indep_stack"], key=lambda f: f.dim)
        plates = tuple(f.name for f in frames)
        extra = np.ndim(site["value"]) - len(plates)
        out[name] = plates + tuple(events.get(name, tuple(f"{name}_dim_{k}" for k in range(extra))))
    return out


def evaluate(model: Callable[[], None], posterior: Sites, key: Any) -> tuple[Sites, Sites, Sites]:
    """(log-likelihood, log-prior, posterior predictive) at every draw, in one compiled pass.

    The log-likelihood is pointwise, the log-prior summed over each site's plates.
    """
    latent = [n for n, s in _trace(model, key).items() if s["type"] == "sample" and not s["is_observed"]]
    draws = {n: posterior[n] for n in latent}

    def one(values, key):
        trace = _trace(handlers.substitute(model, data=values), key)
        log_lik, log_prior, predicted = {}, {}, {}
        for name, site in trace.items():
            if site["type"] != "sample":
                continue
            log_prob = site["fn"].log_prob(site["value"])
            if site["is_observed"]:
                log_lik[name] = log_prob
                predicted[name] = site["fn"].sample(jax.random.fold_in(key, len(predicted)))
            else:
                log_prior[name] = log_prob.sum()
        return log_lik, log_prior, predicted

    shape = next(iter(draws.values())).shape[:2]
    keys = jax.random.split(key, shape)
    out = jax.jit(jax.vmap(jax.vmap(one)))(draws, keys)
    return jax.tree.map(np.asarray, out)


def sample_prior(model: Callable[[], None], key: Any, draws: int) -> tuple[Sites, Sites]:
    """(prior draws of every latent and deterministic site, prior predictive), as one chain."""

    def one(key):
        trace = _trace(model, key)
        prior = {
            n: s["value"]
            for n, s in trace.items()
            if s["type"] == "deterministic" or (s["type"] == "sample" and not s["is_observed"])
        }
        predicted = {
            n: s["fn"].sample(jax.random.fold_in(key, 1))
            for n, s in trace.items()
            if s["type"] == "sample" and s["is_observed"]
        }
        return prior, predicted

    out = jax.jit(jax.vmap(one))(jax.random.split(key, draws))
    return jax.tree.map(lambda x: np.asarray(x)[None], out)


def observed(model: Callable[[], None]) -> Sites:
    trace = _trace(model, jax.random.key(0))
    return {n: np.asarray(s["value"]) for n, s in trace.items() if s["type"] == "sample" and s["is_observed"]}


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
