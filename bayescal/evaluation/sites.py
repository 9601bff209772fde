"""The sites of a NumPyro model, and programs that evaluate them at many draws.

`arviz.from_numpyro` mixes up prior sites in nested plates, and has neither a log_prior group (which power-scaling
sensitivity needs) nor log_likelihood. Here everything is read from the model's trace.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from numpyro import handlers
from numpyro.distributions import Distribution
from numpyro.distributions.distribution import Unit

from bayescal._types import Key
from bayescal.evaluation.batches import BATCH, Batched, in_batches, numbers_of
from bayescal.evaluation.compile import Aside, random_keys

Sites = Mapping[str, Any]  # values by site: arrays, or distributions that can be drawn from


@dataclass(frozen=True)
class Site:
    """One site of a model, from its trace, without running it."""

    kind: str  # "latent", "observed", "deterministic" or "factor"
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    support: Any = None
    value: Any = None  # of an observed site


def sites_of(model: Callable[[], Any]) -> dict[str, Site]:
    """Every site of a model. Dimensions are its plates' names, then the model's `dims` or NAME_dim_k."""
    events = getattr(model, "dims", {})
    sites: dict[str, Site] = {}
    computed: list[str] = []  # observed values that the model computes itself

    def look(key):
        for name, site in trace_of(model, key).items():
            if site["type"] not in ("sample", "deterministic"):
                continue
            frames = sorted(site["cond_indep_stack"], key=lambda f: f.dim)
            shape = np.shape(site["value"])
            free = range(len(shape) - len(frames))
            dims = tuple(f.name for f in frames) + tuple(events.get(name, [f"{name}_dim_{k}" for k in free]))
            if site["type"] == "deterministic":
                sites[name] = Site("deterministic", shape, dims)
            elif isinstance(site["fn"], Unit):
                sites[name] = Site("factor", shape, dims)
            elif site["is_observed"]:
                later = isinstance(site["value"], Tracer)
                computed.extend([name] * later)
                sites[name] = Site("observed", shape, dims, value=None if later else np.asarray(site["value"]))
            else:
                sites[name] = Site("latent", shape, dims, support=site["fn"].support)
        return key

    jax.eval_shape(look, jax.random.key(0))
    if computed:
        values = jax.jit(lambda key: {n: trace_of(model, key)[n]["value"] for n in computed})(jax.random.key(0))
        sites |= {n: replace(sites[n], value=np.asarray(x)) for n, x in values.items()}
    return sites


def latent_sites(model: Callable[[], Any]) -> dict[str, Site]:
    """The sites that inference samples."""
    return {n: s for n, s in sites_of(model).items() if s.kind == "latent"}


def log_likelihood(model: Callable[[], Any], values: Sites) -> Any:
    """The log density of everything observed, at values of the latent sites."""
    trace = trace_of(handlers.substitute(model, data=dict(values)), 0)
    observed = [s for s in trace.values() if s["type"] == "sample" and s["is_observed"]]
    return sum(s["fn"].log_prob(s["value"]).sum() for s in observed)


def compile_evaluation(
    model: Callable[[], Any], shapes: Mapping[str, Any], most: int = BATCH
) -> Callable[[Sites, np.random.Generator], tuple[Sites, Sites, Sites, Sites]]:
    """Trace a pass over draws of the latent sites, and begin to compile it in another thread.

    Args:
        shapes: of the latent sites.
        most: draws in a batch.

    Returns:
        `run(draws, rng)` with draws of shape (chain, draw, …) gives (every latent and deterministic site,
        log-likelihood, log-prior, predictive). The log-likelihood is pointwise, the log-prior summed over each
        site's plates. Draws are evaluated in batches, so that memory does not grow with their number.
    """

    def one(values, key):
        trace = trace_of(handlers.substitute(model, data=values), key)
        sites, log_lik, log_prior, predicted = dict(values), {}, {}, {}
        for name, site in trace.items():
            if site["type"] == "deterministic":
                sites[name] = site["value"]
            if site["type"] != "sample":
                continue
            log_prob = site["fn"].log_prob(site["value"])
            if not site["is_observed"]:
                log_prior[name] = log_prob.sum()
                continue
            log_lik[name] = log_prob
            if not isinstance(site["fn"], Unit):
                predicted[name] = _to_predict(site["fn"], jax.random.fold_in(key, len(predicted)))
        return sites, log_lik, log_prior, predicted

    batched = Batched(one, numbers_of(model), most)
    batch = batched.size
    keys = random_keys(np.random.default_rng(), batch)
    values = {n: jax.ShapeDtypeStruct((batch, *s), float) for n, s in shapes.items()}
    passed = Aside(jax.jit(batched), values, keys, brief=True, rounds=batched.rounds)

    def run(draws, rng):
        def some(values, keys):
            *numbers, predicted = passed(values, keys)
            return (*jax.tree.map(np.asarray, numbers), _draw(predicted, rng))

        return in_batches(some, draws, batch, rng)

    return run


def _to_predict(distribution: Distribution, key: Key) -> Any:
    """A draw, or the distribution itself where it can be drawn from outside the compiled pass."""
    return distribution if hasattr(distribution, "draw") else distribution.sample(key)


def _draw(predicted: Sites, rng: np.random.Generator) -> Sites:
    return {n: x.draw(rng) if hasattr(x, "draw") else np.asarray(x) for n, x in predicted.items()}


def compile_prior(model: Callable[[], Any], draws: int) -> Callable[[np.random.Generator], Sites]:
    """Begin to compile prior draws of every latent site: `run(rng)` gives them, as one chain."""

    def one(key):
        # Nothing of the likelihood is returned, so the compiler leaves it out.
        trace = trace_of(model, key).items()
        return {n: s["value"] for n, s in trace if s["type"] == "sample" and not s["is_observed"]}

    drawn = Aside(jax.jit(jax.vmap(one)), random_keys(np.random.default_rng(), draws), brief=True)
    return lambda rng: {n: np.asarray(x)[None] for n, x in drawn(random_keys(rng, draws)).items()}


def trace_of(model: Callable[[], Any], key: Key | int) -> dict[str, Any]:
    """The trace of a model that is run with this seed."""
    return handlers.trace(handlers.seed(model, key)).get_trace()
