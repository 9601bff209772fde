"""Simulate and fit again and again: what `sbc` and `recover` look at.

Parameters are drawn from their hyperpriors, decisions made at them, and the posterior of these decisions sampled.

All replicates go through one compiled program, in which the data are an argument.
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Bool, Float, Int
from numpyro import handlers
from numpyro.primitives import Messenger

from bayescal.errors import InputError
from bayescal.evaluation.compile import random_keys
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import Site, latent_sites, log_likelihood, sites_of
from bayescal.likelihood.one_shot import OneShotLikelihood
from bayescal.posterior.kernel import Kernel
from bayescal.posterior.many import Many, Progress, highest_of_draws
from bayescal.precision import double_precision

Model = Callable[[], Any]

KEPT = 99  # draws among which a parameter has its rank: 100 ranks
WARMUP = 300
THIN = 10  # draws for each that is kept
LOG_LIKELIHOOD = "log_likelihood"

_AT_ONCE = 5  # replicates between two reports of progress, on each device
_DIVERGING = 0.01  # the share of diverging draws that is still few
_FAILED = 0.02  # and of replicates whose sampler failed


@dataclasses.dataclass(frozen=True, eq=False)
class Replicates:
    """Truths, and draws of the posteriors of what was simulated at them.

    Attributes:
        names: of the quantities: every parameter that is one number, and the log-likelihood.
        truth: the values that data were simulated at.
        draws: of the posterior of each replicate.
        diverging: of these draws.
    """

    names: tuple[str, ...]
    truth: Float[np.ndarray, "replicates quantities"]
    draws: Float[np.ndarray, "replicates draws quantities"]
    diverging: Int[np.ndarray, " replicates"]
    seconds_compiling: float
    seconds: float

    @property
    def finite(self) -> Bool[np.ndarray, " replicates"]:
        return np.isfinite(self.draws).all(axis=(1, 2)) & np.isfinite(self.truth).all(axis=1)

    def usable(self) -> tuple["Replicates", int, int]:
        """(those with finite draws; of them how many samplers failed; how many are lost)."""
        kept = self.finite
        some = dataclasses.replace(self, truth=self.truth[kept], draws=self.draws[kept], diverging=self.diverging[kept])
        # (replicates, quantities): half as many independent draws as are kept of a thinned chain.
        ess = array_stats.ess(np.moveaxis(some.draws, 2, 1)[:, :, None, :], method="bulk")
        enough = (ess >= some.draws.shape[1] // THIN / 2).all(axis=1)
        failed = (some.diverging > _DIVERGING * some.draws.shape[1]) | ~enough
        return some, int(failed.sum()), int((~kept).sum())


def too_many_failed(failed: int, total: int) -> bool:
    return failed > _FAILED * total


def replicate(
    model: Model,
    truth: Model | None,
    replicates: int,
    kept: int,
    warmup: int,
    target_accept: float,
    seed: int,
    progress: Progress | None,
) -> Replicates:
    """What `sbc` and `recover` look at; their arguments are those of this.

    Args:
        truth: what decisions are simulated from; `model` itself when None.
        kept: a tenth of the draws of each posterior.
    """
    if replicates < 20 or kept < 9:
        raise InputError(f"{replicates} replicates and {kept} draws: at least 20 and 9 are needed.")
    started = perf_counter()
    with double_precision():
        latent = latent_sites(model)
        names = [n for n, s in latent.items() if not s.shape]
        if not names:
            raise InputError("The model has no parameter that is one number, so none can be looked for in simulations.")
        simulate = _simulator(model if truth is None else truth, latent)
        one = _replicate(simulate, with_data(model), Density(model, latent), names, kept, warmup, target_accept)
        many, rng = Many(one, replicates, _AT_ONCE), np.random.default_rng(seed)
        keys = lambda n: random_keys(rng, 2 * n).reshape(n, 2)
        many.compile(keys(many.size))
        compiling, started = perf_counter() - started, perf_counter()
        at, drawn, diverging = many(keys, progress=progress)
    return Replicates((*names, LOG_LIKELIHOOD), at, drawn, diverging, compiling, perf_counter() - started)


def dearer(model: Model, share: float = 0.1) -> Model:
    """A truth with a planted error: information costs people more, by this share, than the model's log costs say. Given
    as `truth` to `sbc` or `recover` it must be found, or these would find nothing."""
    whole = getattr(model, "evaluated", None) or model
    with double_precision():
        if "log_cost" not in sites_of(whole):
            raise InputError("The model has no site log_cost, so no cost can be made dearer than it says.")

    def planted():
        with _Dearer(float(np.log1p(share))):
            return whole()

    return planted


class _Dearer(Messenger):
    """What follows from log costs follows from dearer ones; handlers outside see them as they were drawn."""

    def __init__(self, by: float):
        super().__init__()
        self.by = by

    def postprocess_message(self, msg):
        if msg.get("name") == "log_cost":
            msg["value"] = msg["value"] + self.by


def _simulator(model: Model, latent: Mapping[str, Site]) -> Callable[[Any], tuple[Any, Any]]:
    """key -> (values of the latent sites, data), from the model with nothing integrated out."""
    whole = getattr(model, "evaluated", None) or model
    found = {n: s.shape for n, s in sites_of(whole).items() if s.kind in ("latent", "deterministic")}
    absent = [n for n, s in latent.items() if found.get(n) != s.shape]
    if absent:
        raise InputError(f"Data are simulated from a model without {', '.join(absent)}: change its policy only.")

    def simulate(key):
        trace = handlers.trace(handlers.seed(handlers.uncondition(whole), key)).get_trace()
        data = {n: s["value"] for n, s in trace.items() if s.get("infer", {}).get("was_observed")}
        return {n: trace[n]["value"] for n in latent}, data

    return simulate


def with_data(model: Model) -> Callable[[Any], Model]:
    """data -> the model that has observed them."""
    integrated = getattr(model, "integrated", None)
    if integrated is None:
        # What is observed and has no data is a factor, such as the slope of a transform inside a policy's walls.
        observed = lambda site: site["type"] == "sample" and site["is_observed"]
        seen = lambda data: lambda site: data.get(site["name"]) if observed(site) else None
        return lambda data: handlers.substitute(model, substitute_fn=seen(data))
    compressed = getattr(integrated, "evidence", None) is not None
    if compressed or not isinstance(integrated.likelihood, OneShotLikelihood):
        what = "An Evidence is of its own data only" if compressed else "In games over time"
        other = "marginal" if isinstance(integrated.likelihood, OneShotLikelihood) else "joint"
        raise InputError(f'{what}: build the model with method="{other}".')

    def observing(data):
        likelihood: Any = copy.copy(integrated.likelihood)
        likelihood.counts = data["choices"].astype(float)
        return dataclasses.replace(integrated, likelihood=likelihood).model

    return observing


def _replicate(
    simulate: Callable[[Any], tuple[Any, Any]],
    with_data: Callable[[Any], Model],
    density: Density,
    names: list[str],
    kept: int,
    warmup: int,
    target_accept: float,
) -> Callable[[Any], tuple[Any, Any, Any]]:
    """keys -> (the truth, draws of every quantity, how many diverged)."""
    dense = len(names) == len(density.names)

    def one(keys):
        truth, data = simulate(keys[0])
        observed = dataclasses.replace(density, model=with_data(data))
        kernel = Kernel(observed.potential, warmup, target_accept, dense=dense)
        log_lik = partial(log_likelihood, observed.model)
        # A chain that started at the truth would hide a sampler that does not move.
        start_key, key = jax.random.split(keys[1])
        start = highest_of_draws(lambda k: simulate(k)[0], log_lik, start_key)
        raw, diverging = kernel.walk(kernel.init(key, observed.unconstrain(start)), THIN * kept)
        draws = jax.vmap(observed.constrain)(raw)
        at = jnp.stack([*(truth[n] for n in names), log_lik(truth)])
        columns = [*(draws[n] for n in names), jax.lax.map(log_lik, draws)]
        return at, jnp.stack(columns, axis=-1), diverging.sum()

    return one
