"""The same model fitted again and again, each time without some of the units: exact leave-one-out and k-fold.

Every unit's log-likelihood has a weight (0 where it is left out), and weights are an argument of one compiled sampler,
so that no refit is compiled. Leaving a few units out moves the posterior little: chains begin at the mean of the full
posterior on the unconstrained scale and move in units of its covariance, and a few hundred draws are enough.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.infer import NUTS as Kernel
from numpyro.infer.util import potential_energy
from numpyro.primitives import Messenger

from bayescal.errors import InputError
from bayescal.inference import tree as bridge
from bayescal.inference.aside import random_keys

Progress = Callable[[int, int], None]  # (refits done, refits in all)

_PLAIN = 1e15
_AT_ONCE = 4  # refits between two reports of progress, on each device
_DENSE = 100  # unconstrained numbers of which the whole covariance is used
_DIVERGING = 0.01  # the share of diverging draws that is still few


class Weighted(Messenger):
    """Scales the log-probability of observed sites, row by row; nothing else."""

    def __init__(self, fn: Any = None, *, weights: Mapping[str, Any]):
        self.weights = weights
        super().__init__(fn)

    def process_message(self, msg: Any) -> None:
        if msg["type"] == "sample" and msg["is_observed"] and msg["name"] in self.weights:
            scale = self.weights[msg["name"]]
            msg["scale"] = scale if msg["scale"] is None else scale * msg["scale"]


@dataclass(frozen=True, eq=False)
class Refitted:
    """What refits predict.

    Attributes:
        elpd: log of the mean likelihood of each unit, over the draws of each refit.
        error: its Monte-Carlo standard error, as if draws were independent.
        failed: refits of which more than a hundredth of the draws diverged, or none were finite.
    """

    elpd: Float[np.ndarray, "refits units"]
    error: Float[np.ndarray, "refits units"]
    failed: int


def weighted_sites(model: Callable[[], Any]) -> dict[str, int]:
    """The observed sites that have a row for each of a model's participants, cells or decisions, and how many rows."""
    with jax.enable_x64(True):
        found = {n: s for n, s in bridge.sites_of(model).items() if s.kind == "observed" and s.dims}
    return {n: s.shape[0] for n, s in found.items()}


def refit(
    model: Callable[[], Any],
    posterior: Mapping[str, np.ndarray],
    unit_of: Mapping[str, Int[np.ndarray, " rows"]],
    weights: Float[np.ndarray, "refits units"],
    *,
    draws: int = 500,
    warmup: int = 150,
    seed: int = 0,
    progress: Progress | None = None,
) -> Refitted:
    """Fit a model once for each row of `weights`.

    Args:
        posterior: draws (chain, draw, …) of the model's latent sites, all units included.
        unit_of: by observed site, the unit of each of its rows.
        weights: of each unit's log-likelihood in each refit: 0 leaves it out.
        progress: called with (refits done, refits in all) now and then.
    """
    units = weights.shape[1]
    with jax.enable_x64(True):
        latent = {n: s for n, s in bridge.sites_of(model).items() if s.kind == "latent"}
        _check(model, latent, posterior, unit_of)
        transforms = {n: biject_to(s.support) for n, s in latent.items()}
        mean, scale, unravel = _located({n: posterior[n] for n in latent}, transforms)
        place = lambda u: unravel(mean + scale @ u if scale.ndim == 2 else mean + scale * u)
        rows = {n: jnp.asarray(of) for n, of in unit_of.items()}

        def by_unit(u):
            values = {n: transforms[n](x) for n, x in place(u).items()}
            trace = handlers.trace(handlers.substitute(handlers.seed(model, 0), data=values)).get_trace()
            parts = [
                jax.ops.segment_sum(trace[n]["fn"].log_prob(trace[n]["value"]), of, units) for n, of in rows.items()
            ]
            return sum(parts[1:], parts[0])

        def one(given):
            key, weight = given
            weigh = Weighted(model, weights={n: weight[of] for n, of in rows.items()})
            potential = lambda u: potential_energy(weigh, (), {}, place(u))
            u, diverging = _sample(potential, key, jnp.zeros_like(mean), warmup, draws)
            values = jax.lax.map(by_unit, u)
            log_mean = jax.nn.logsumexp(values, axis=0) - jnp.log(draws)
            error = jnp.std(jnp.exp(values - log_mean), axis=0) / jnp.sqrt(draws)
            return log_mean, error, diverging.sum()

        elpd, error, diverging = _go_through(one, weights, seed, progress)
    failed = (diverging > _DIVERGING * draws) | ~np.isfinite(elpd).all(axis=1)
    return Refitted(elpd, error, int(failed.sum()))


def _sample(potential: Callable[[Any], Any], key: Any, at: Any, warmup: int, draws: int) -> tuple[Any, Any]:
    """(draws, whether each diverged) of a chain that begins at `at`, in units of the posterior."""
    settings: dict[str, Any] = {"target_accept_prob": 0.85, "adapt_mass_matrix": False}
    kernel = Kernel(potential_fn=potential, **settings)
    # It begins on a plain, so that the potential's gradient is compiled once: see `compile_nuts`.
    plain = Kernel(potential_fn=lambda u: _PLAIN + 0.0 * u.sum(), **settings)
    jax.eval_shape(lambda k: kernel.init(k, warmup, at, (), {}), key)  # readies kernel.sample

    def step(state, _):
        state = kernel.sample(state, (), {})
        return state, (state.z, state.diverging)

    _, found = jax.lax.scan(step, plain.init(key, warmup, at, (), {}), None, length=warmup + draws)
    return jax.tree.map(lambda x: x[warmup:], found)


def _go_through(
    one: Callable[[Any], Any], weights: np.ndarray, seed: int, progress: Progress | None
) -> tuple[np.ndarray, ...]:
    """`one` of every row of weights: on as many devices as there are, a few rows at a time on each."""
    devices = min(jax.local_device_count(), len(weights))
    each = min(_AT_ONCE, -(-len(weights) // devices))
    run = jax.pmap(lambda given: jax.lax.map(one, given), devices=jax.local_devices()[:devices])
    rng, chunk = np.random.default_rng(seed), devices * each
    parts = []
    for done in range(0, len(weights), chunk):
        some = weights[done : done + chunk]
        some = np.concatenate([some, np.repeat(some[:1], chunk - len(some), axis=0)])
        keys = random_keys(rng, chunk)
        given = jax.tree.map(lambda x: x.reshape(devices, each, *x.shape[1:]), (keys, jnp.asarray(some)))
        found = jax.tree.map(np.asarray, run(given))
        parts.append(jax.tree.map(lambda x: x.reshape(chunk, *x.shape[2:]), found))
        if progress is not None:
            progress(min(done + chunk, len(weights)), len(weights))
    return jax.tree.map(lambda *x: np.concatenate(x)[: len(weights)], *parts)


def _located(posterior: Mapping[str, np.ndarray], transforms: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """(mean, Cholesky factor of the covariance or standard deviations, how to unravel) on the unconstrained scale."""
    flat = {n: jnp.asarray(np.reshape(x, (-1, *x.shape[2:])), float) for n, x in posterior.items()}
    flat = {n: transforms[n].inv(x) for n, x in flat.items()}
    rows = np.concatenate([np.asarray(flat[n]).reshape(len(flat[n]), -1) for n in sorted(flat)], axis=1)
    _, unravel = ravel_pytree({n: x[0] for n, x in flat.items()})
    size = rows.shape[1]
    if size <= _DENSE and len(rows) > 5 * size:
        covariance = np.cov(rows, rowvar=False).reshape(size, size)
        return jnp.asarray(rows.mean(axis=0)), jnp.asarray(np.linalg.cholesky(covariance)), unravel
    return jnp.asarray(rows.mean(axis=0)), jnp.asarray(rows.std(axis=0)), unravel


def _check(model: Any, latent: Mapping[str, Any], posterior: Mapping[str, Any], unit_of: Mapping[str, Any]) -> None:
    absent = [n for n in latent if n not in posterior]
    if absent:
        raise InputError(f"refit: the fit has no draws of {', '.join(absent)}: it is of another model.")
    rows, sites = weighted_sites(model), {n: len(of) for n, of in unit_of.items()}
    if rows != sites:
        raise InputError(f"refit: the model observes {rows or 'nothing by row'}, and units are given for {sites}.")
