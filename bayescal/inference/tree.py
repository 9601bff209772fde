"""From draws to an ArviZ DataTree with every group, named dimensions included.

`arviz.from_numpyro` scrambles prior sites in nested plates, has no log_prior group (without which power-scaling
sensitivity cannot be computed) and leaves log_likelihood off; this bridge reads everything off the model's trace.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import xarray as xr
from jax.core import Tracer
from numpyro import handlers
from numpyro.distributions.distribution import Unit

from bayescal.inference.aside import Aside, random_keys

Sites = Mapping[str, Any]

BATCH = 500  # draws that are gone through at once, at the most
AT_ONCE = 2e7  # numbers in memory meanwhile
_WIDE = 50  # draws at once of everybody's probabilities
_CACHED = 2e4  # numbers that stay in a processor's cache: draws side by side have no more


@dataclass(frozen=True)
class Site:
    """What a model's trace says of one of its sites, without running it."""

    kind: str  # "latent", "observed", "deterministic" or "factor"
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    support: Any = None
    value: Any = None  # of an observed site


def sites_of(model: Callable[[], Any]) -> dict[str, Site]:
    """Every site of a model. Dimensions are its plates' names, then the model's `dims` or NAME_dim_k."""
    events = getattr(model, "dims", {})
    found: dict[str, Site] = {}
    computed: list[str] = []  # data that the model works out itself

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
            elif isinstance(site["fn"], Unit):
                found[name] = Site("factor", shape, dims)
            elif site["is_observed"]:
                later = isinstance(site["value"], Tracer)
                computed.extend([name] * later)
                found[name] = Site("observed", shape, dims, value=None if later else np.asarray(site["value"]))
            else:
                found[name] = Site("latent", shape, dims, support=site["fn"].support)
        return key

    jax.eval_shape(look, jax.random.key(0))
    if computed:
        values = jax.jit(lambda key: {n: _trace(model, key)[n]["value"] for n in computed})(jax.random.key(0))
        found |= {n: replace(found[n], value=np.asarray(x)) for n, x in values.items()}
    return found


def latent_sites(model: Callable[[], Any]) -> dict[str, Site]:
    return {n: s for n, s in sites_of(model).items() if s.kind == "latent"}


def log_likelihood(model: Callable[[], Any], values: Sites) -> Any:
    """Of all that is observed together, at values of the latent sites."""
    trace = _trace(handlers.substitute(model, data=dict(values)), 0)
    observed = [s for s in trace.values() if s["type"] == "sample" and s["is_observed"]]
    return sum(s["fn"].log_prob(s["value"]).sum() for s in observed)


def compile_evaluation(
    model: Callable[[], Any], shapes: Mapping[str, Any], most: int = BATCH
) -> Callable[[Sites, np.random.Generator], tuple[Sites, Sites, Sites, Sites]]:
    """Trace a pass over draws of the latent sites, and begin to compile it in another thread.

    Args:
        shapes: of the latent sites.
        most: draws that are gone through at once.

    Returns:
        `run(draws, rng)` with draws of shape (chain, draw, …) gives (every latent and deterministic site,
        log-likelihood, log-prior, predictive). The log-likelihood is pointwise, the log-prior summed over each
        site's plates. Draws go through in batches, so that memory does not grow with their number.
    """

    def one(values, key):
        trace = _trace(handlers.substitute(model, data=values), key)
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


class Batched:
    """A function of one draw, for a batch of them: as many side by side as stay in the processor's cache, and these
    one after another.

    Args:
        one: a function of any arguments.
        numbers: that it works out.
        most: in a batch.

    Attributes:
        size: of the batches that it takes.
        rounds: how often it goes round.
    """

    def __init__(self, one: Callable[..., Any], numbers: float, most: int = BATCH):
        self._one = one
        self._together = int(np.clip(_CACHED / max(numbers, 1.0), 1, most))
        self.rounds = int(np.clip(AT_ONCE / max(numbers, 1.0), 1, most)) // self._together or 1
        self.size = self.rounds * self._together

    def __call__(self, *values: Any) -> Any:
        if self.rounds == 1:
            return jax.vmap(self._one)(*values)
        return jax.lax.map(lambda x: self._one(*x), values, batch_size=self._together)


def in_batches(run: Callable[[Sites, Any], Any], draws: Sites, batch: int, rng: np.random.Generator) -> Any:
    """`run(values, keys)` over draws of shape (chain, draw, …), `batch` of them at a time; what it returns, an entry
    for each, in the draws' shape."""
    chains, per_chain = next(iter(draws.values())).shape[:2]
    total = chains * per_chain
    flat = {n: np.reshape(x, (total, *x.shape[2:])) for n, x in draws.items()}
    parts = []
    for at in range(0, total, batch):
        some = {n: _fill(x[at : at + batch], batch) for n, x in flat.items()}
        parts.append(run(some, random_keys(rng, batch)))
    joined = jax.tree.map(lambda *x: np.concatenate(x)[:total], *parts)
    return jax.tree.map(lambda x: x.reshape(chains, per_chain, *x.shape[1:]), joined)


def numbers_of(model: Any) -> float:
    """That a model works out for one draw; few, where it does not say."""
    return getattr(model, "numbers", 1.0)


def of_every_draw(
    one: Callable[[Any, Any], Any], values: Sites, numbers: float, rng: np.random.Generator, most: int = BATCH
) -> Any:
    """`one(values, key)` of draws of shape (chain, draw, …), at most so many at once; `numbers` as in `Batched`."""
    chains, draws = next(iter(values.values())).shape[:2]
    batched = Batched(one, numbers, min(most, chains * draws))
    run = jax.jit(batched)
    return in_batches(lambda *some: jax.tree.map(np.asarray, run(*some)), values, batched.size, rng)


def evenly(total: int, most: int) -> np.ndarray:
    """Places of at most so many of them, evenly spread."""
    return np.linspace(0, total - 1, min(total, most)).round().astype(int)


def personal(tree: xr.DataTree) -> xr.Dataset:
    """The draws that the log-likelihood is of: of many people only some are kept, in a group apart."""
    return tree.children["people" if "people" in tree.children else "posterior"].to_dataset()


def at_draws(
    model: Callable[[], Any], tree: xr.DataTree, of: Callable[[Any], Any], most: int, rng: np.random.Generator
) -> Any:
    """At (at most so many) draws of a fit, evenly spread: `of` the log-probabilities of all actions, by row of what was
    observed."""
    whole: Any = getattr(model, "evaluated", None) or model
    drawn = personal(tree)
    kept = evenly(drawn.sizes["chain"] * drawn.sizes["draw"], most)

    def one(values, key):
        trace = _trace(handlers.substitute(whole, data=values), key)
        return of(next(trace[n] for n in ("choices", "choice") if n in trace)["fn"].log_probs)

    with jax.enable_x64(True):
        latent = {n: drawn[n].to_numpy() for n in latent_sites(whole)}
        some = {n: x.reshape(1, -1, *x.shape[2:])[:, kept] for n, x in latent.items()}
        return jax.tree.map(lambda x: x[0], of_every_draw(one, some, numbers_of(whole), rng, _WIDE))


def _fill(x: np.ndarray, batch: int) -> np.ndarray:
    """A last, incomplete batch, filled up with copies of its first row."""
    return np.concatenate([x, np.repeat(x[:1], batch - len(x), axis=0)])


def _to_predict(distribution: Any, key: Any) -> Any:
    """A draw, or the distribution itself where it can be drawn from outside the compiled pass."""
    return distribution if hasattr(distribution, "draw") else distribution.sample(key)


def _draw(predicted: Sites, rng: np.random.Generator) -> Sites:
    return {n: x.draw(rng) if hasattr(x, "draw") else np.asarray(x) for n, x in predicted.items()}


def compile_prior(model: Callable[[], Any], draws: int) -> Callable[[np.random.Generator], Sites]:
    """Begin to compile prior draws of every latent site: `run(rng)` gives them, as one chain."""

    def one(key):
        # Nothing of the likelihood is returned, so the compiler leaves it out.
        trace = _trace(model, key).items()
        return {n: s["value"] for n, s in trace if s["type"] == "sample" and not s["is_observed"]}

    drawn = Aside(jax.jit(jax.vmap(one)), random_keys(np.random.default_rng(), draws), brief=True)
    return lambda rng: {n: np.asarray(x)[None] for n, x in drawn(random_keys(rng, draws)).items()}


def _trace(model: Callable[[], Any], key: Any) -> dict[str, Any]:
    return handlers.trace(handlers.seed(model, key)).get_trace()


def dataset(
    values: Sites, dims: Mapping[str, tuple[str, ...]], coords: Mapping[str, Any], *, sampled: bool
) -> xr.Dataset:
    """Arrays with names: (chain, draw, …) where `sampled`. Only coordinates that are used are kept."""
    lead = ("chain", "draw") if sampled else ()
    variables = {}
    for name, value in values.items():
        value = np.asarray(value)
        free = range(value.ndim - len(lead))
        own = dims.get(name, [f"{name}_dim_{k}" for k in free])[: len(free)]
        variables[name] = ((*lead, *own), value)
    used = {d for own, _ in variables.values() for d in own}
    labels = {d: c for d, c in coords.items() if d in used}
    for d in lead:
        if variables:
            size = next(iter(variables.values()))[1].shape[lead.index(d)]
            labels[d] = np.arange(size)
    return xr.Dataset(variables, coords={d: (d, np.asarray(c)) for d, c in labels.items()})
