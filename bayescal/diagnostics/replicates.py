"""Replicates: simulated data sets and their posteriors, for `sbc` and `recover`.

Parameters are drawn from their hyperpriors, decisions are simulated at them, and their posterior is sampled. One
compiled program, of which the data are an argument, runs all replicates.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Array, Bool, Float, Int
from numpyro import handlers
from numpyro.primitives import Messenger

from bayescal._types import Key, Keys, NumPyroModel
from bayescal.errors import InputError
from bayescal.evaluation.compile import random_keys
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import Site, Sites, latent_sites, log_likelihood, sites_of
from bayescal.likelihood.one_shot_data import OneShotData
from bayescal.posterior.kernel import Kernel
from bayescal.posterior.many import Many, Progress, highest_of_draws
from bayescal.precision import double_precision

Model = NumPyroModel

KEPT = 99  # draws among which a parameter is ranked: 100 ranks
WARMUP = 300
THIN = 10  # draws for each that is kept
LOG_LIKELIHOOD = "log_likelihood"

_AT_ONCE = 5  # replicates between two reports of progress, on each device
_DIVERGING = 0.01  # largest share of diverging draws of a replicate
_FAILED = 0.02  # largest share of replicates whose sampler failed


@dataclasses.dataclass(frozen=True, eq=False)
class Replicates:
    """True parameters, and draws from the posteriors of data simulated at them.

    Attributes:
        names: of the quantities: every scalar parameter, and the log-likelihood.
        truth: the values that data were simulated at.
        draws: of the posterior of each replicate.
        diverging: how many of these draws diverged.
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
        """(replicates with finite draws, how many of their samplers failed, how many replicates are lost)."""
        kept = self.finite
        some = dataclasses.replace(self, truth=self.truth[kept], draws=self.draws[kept], diverging=self.diverging[kept])
        # An effective sample size of half the draws that a thinned chain keeps.
        ess = array_stats.ess(np.moveaxis(some.draws, 2, 1)[:, :, None, :], method="bulk")
        enough = (ess >= some.draws.shape[1] // THIN / 2).all(axis=1)
        failed = (some.diverging > _DIVERGING * some.draws.shape[1]) | ~enough
        return some, int(failed.sum()), int((~kept).sum())


def too_many_failed(failed: int, total: int) -> bool:
    """Whether too many samplers failed for the replicates to be judged."""
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
    """Simulate data and sample their posteriors; for the arguments see `sbc`.

    Raises:
        InputError: too few replicates or draws, or a model without a scalar parameter.
    """
    if replicates < 20 or kept < 9:
        raise InputError(f"{replicates} replicates and {kept} draws: at least 20 and 9 are needed.")
    started = perf_counter()
    with double_precision():
        latent = latent_sites(model)
        names = [n for n, s in latent.items() if not s.shape]
        if not names:
            raise InputError("The model has no scalar parameter, so there is none to recover.")
        simulate = _simulator(model if truth is None else truth, latent)
        one = _replicate(simulate, with_data(model), Density(model, latent), names, kept, warmup, target_accept)
        many, rng = Many(one, replicates, _AT_ONCE), np.random.default_rng(seed)
        keys = lambda n: random_keys(rng, 2 * n).reshape(n, 2)
        many.compile(keys(many.size))
        compiling, started = perf_counter() - started, perf_counter()
        at, drawn, diverging = many(keys, progress=progress)
    return Replicates((*names, LOG_LIKELIHOOD), at, drawn, diverging, compiling, perf_counter() - started)


def dearer(model: Model, share: float = 0.1) -> Model:
    """A model with a planted error: the cost of information is higher, by this share, than its log costs say. Given as
    `truth` to `sbc` or `recover` it must be detected, otherwise they would detect nothing."""
    whole = getattr(model, "evaluated", None) or model
    with double_precision():
        if "log_cost" not in sites_of(whole):
            raise InputError("The model has no site log_cost, so no cost can be raised.")

    def planted() -> object:
        with _Dearer(float(np.log1p(share))):
            return whole()

    return planted


class _Dearer(Messenger):
    """Inside the model log costs are higher; handlers outside see them as they were drawn."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def postprocess_message(self, msg: dict[str, Any]) -> None:
        if msg.get("name") == "log_cost":
            msg["value"] = msg["value"] + self.by


def _simulator(model: Model, latent: Mapping[str, Site]) -> Callable[[Key], tuple[Sites, Sites]]:
    """key -> (values of the latent sites, data), from the model with nothing integrated out."""
    whole = getattr(model, "evaluated", None) or model
    found = {n: s.shape for n, s in sites_of(whole).items() if s.kind in ("latent", "deterministic")}
    absent = [n for n, s in latent.items() if found.get(n) != s.shape]
    if absent:
        raise InputError(f"The model that data are simulated from has no {', '.join(absent)}: change its policy only.")

    def simulate(key: Key) -> tuple[Sites, Sites]:
        trace = handlers.trace(handlers.seed(handlers.uncondition(whole), key)).get_trace()
        data = {n: s["value"] for n, s in trace.items() if s.get("infer", {}).get("was_observed")}
        return {n: trace[n]["value"] for n in latent}, data

    return simulate


def with_data(model: Model) -> Callable[[Sites], Model]:
    """data -> the model that has observed them."""
    integrated = getattr(model, "integrated", None)
    if integrated is None:
        # An observed site without data is a factor, such as the Jacobian of a transform to a trained domain.
        observed = lambda site: site["type"] == "sample" and site["is_observed"]
        seen = lambda data: lambda site: data.get(site["name"]) if observed(site) else None
        return lambda data: handlers.substitute(model, substitute_fn=seen(data))
    compressed = getattr(integrated, "evidence", None) is not None
    one_shot = isinstance(integrated.likelihood.data, OneShotData)
    if compressed or not one_shot:
        what = "An Evidence holds its own data only" if compressed else "In games over time data cannot be replaced"
        other = "marginal" if one_shot else "joint"
        raise InputError(f'{what}: build the model with method="{other}".')

    def observing(data: Sites) -> Model:
        likelihood = integrated.likelihood.with_counts(data["choices"].astype(float))
        return dataclasses.replace(integrated, likelihood=likelihood).model

    return observing


def _replicate(
    simulate: Callable[[Key], tuple[Sites, Sites]],
    with_data: Callable[[Sites], Model],
    density: Density,
    names: list[str],
    kept: int,
    warmup: int,
    target_accept: float,
) -> Callable[[Keys], tuple[Float[Array, " quantities"], Float[Array, "draws quantities"], Int[Array, ""]]]:
    """keys -> (the truth, draws of every quantity, how many of them diverged)."""
    dense = len(names) == len(density.names)

    def one(keys: Keys) -> tuple[Float[Array, " quantities"], Float[Array, "draws quantities"], Int[Array, ""]]:
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
