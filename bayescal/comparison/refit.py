"""The same model fitted again without some of its units: one at a time, or all of them in one go.

`refit`: every unit's log-likelihood has a weight (0 where it is left out), and weights are an argument of one compiled
sampler, so that no refit is compiled. It serves exact leave-one-out and k-fold.

`left_out_together`: one sampler of the mixture of the posteriors that each leave one unit out (Silva & Zanella 2024,
arXiv 2209.09190). A draw of it stands for every one of them, with weights that are bounded: where draws of the full
posterior never go where a unit is absent, those of the mixture do.

Leaving a few units out moves the posterior little: chains begin in the full posterior, on the unconstrained scale, and
move in units of its covariance, and a few hundred draws are enough.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int
from numpyro import handlers
from numpyro.distributions import biject_to
from numpyro.infer import NUTS as Kernel

from bayescal.errors import InputError
from bayescal.evaluation.batches import evenly
from bayescal.evaluation.compile import random_keys
from bayescal.evaluation.sites import latent_sites, sites_of
from bayescal.posterior.many import Many, Progress, walk
from bayescal.precision import double_precision

_PLAIN = 1e15
_AT_ONCE = 4  # refits between two reports of progress, on each device
_DENSE = 100  # unconstrained numbers of which the whole covariance is used
_STARTS = 40  # draws of the posterior that are looked at for one to begin at
_DIVERGING = 0.01  # the share of diverging draws that is still few


@dataclass(frozen=True, eq=False)
class Refitted:
    """What refits predict.

    Attributes:
        elpd: log of the mean likelihood of each unit, over the draws of each refit.
        absent: the log-likelihood, at each draw, of the units that have a weight below one.
        error: its Monte-Carlo standard error, as if draws were independent.
        failed: refits of which more than a hundredth of the draws diverged, or none were finite.
    """

    elpd: Float[np.ndarray, "refits units"]
    absent: Float[np.ndarray, "refits draws"]
    error: Float[np.ndarray, "refits units"]
    failed: int


def weighted_sites(model: Callable[[], Any]) -> dict[str, int]:
    """The observed sites that have a row for each of a model's participants, cells or decisions, and how many rows."""
    with double_precision():
        found = {n: s for n, s in sites_of(model).items() if s.kind == "observed" and s.dims}
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
        weights: of each unit's log-likelihood in each refit: 0 leaves it out, less than 1 half leaves it out.
        progress: called with (refits done, refits in all) now and then.
    """
    with double_precision():
        terms, places = _terms(model, posterior, unit_of, weights.shape[1])

        def one(given):
            key, weight = given

            def potential(u):
                rest, told = terms(u)
                return -rest - jnp.where(weight > 0, weight * told, 0.0).sum()

            u, diverging = _sample(potential, key, jnp.zeros(places.shape[1]), warmup, draws)
            values = jax.lax.map(lambda x: terms(x)[1], u)
            log_mean = jax.nn.logsumexp(values, axis=0) - jnp.log(draws)
            error = jnp.std(jnp.exp(values - log_mean), axis=0) / jnp.sqrt(draws)
            return log_mean, values @ (weight < 1.0), error, diverging.sum()

        elpd, absent, error, diverging = _go_through(one, weights, seed, progress)
    failed = (diverging > _DIVERGING * draws) | ~np.isfinite(elpd).all(axis=1)
    return Refitted(elpd, absent, error, int(failed.sum()))


def left_out_together(
    model: Callable[[], Any],
    posterior: Mapping[str, np.ndarray],
    unit_of: Mapping[str, Int[np.ndarray, " rows"]],
    elpd: Float[np.ndarray, " units"],
    out: Int[np.ndarray, " out"],
    *,
    draws: int = 400,
    warmup: int = 150,
    chains: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Float[np.ndarray, "chains draws units"], Float[np.ndarray, "chains draws"]]:
    """Draws from the mixture, in equal parts, of the full posterior and of those that leave out each of some units.

    Args:
        posterior, unit_of: as in `refit`.
        elpd: of each unit left out, as far as it is known: of the mixture's weights, whose error costs efficiency only.
        out: which units are left out.

    Returns:
        (chains, draws, …): the log-likelihood of each unit, and the log-density of the mixture over the full posterior.
        The posterior without unit i has weights exp(-log-likelihood of i - log-density), and the full one
        exp(-log-density). Chains that do not agree have not gone from part to part: the parts are too far apart.
    """
    with double_precision():
        terms, places = _terms(model, posterior, unit_of, len(elpd))
        some = jnp.asarray(places[evenly(len(places), _STARTS)])
        guess = jnp.asarray(elpd[out])
        one_of_each = out[np.linspace(0, len(out) - 1, chains).round().astype(int)]

        def more(told):
            return jax.nn.logsumexp(jnp.append(guess - told[out], 0.0))

        def one(given):
            key, unit = given
            # Where this unit is told worst: chains begin far apart, each towards the posterior without a unit.
            start = some[jnp.argmin(jax.lax.map(lambda x: terms(x)[1], some)[:, unit])]

            def potential(u):
                rest, told = terms(u)
                return -rest - told.sum() - more(told)

            u, _ = _sample(potential, key, start, warmup, draws)
            told = jax.lax.map(lambda x: terms(x)[1], u)
            return told, jax.vmap(more)(told)

        values, density = _go_through(one, one_of_each, seed, progress)
    return values, density


def _terms(
    model: Callable[[], Any],
    posterior: Mapping[str, np.ndarray],
    unit_of: Mapping[str, Int[np.ndarray, " rows"]],
    units: int,
) -> tuple[Callable[[Any], tuple[Any, Any]], Float[np.ndarray, "draws free"]]:
    """(the log-density at a point, apart from all units, and the log-likelihood of each; the posterior's draws as
    such points). A point is unconstrained, and in units of the posterior, around its mean."""
    latent = latent_sites(model)
    _check(model, latent, posterior, unit_of)
    transforms = {n: biject_to(s.support) for n, s in latent.items()}
    flat = {n: jnp.asarray(np.reshape(posterior[n], (-1, *np.shape(posterior[n])[2:])), float) for n in latent}
    free = {n: transforms[n].inv(x) for n, x in flat.items()}
    rows = np.concatenate([np.asarray(free[n]).reshape(len(free[n]), -1) for n in sorted(free)], axis=1)
    _, unravel = ravel_pytree({n: x[0] for n, x in free.items()})
    mean, scale, places = _standardised(rows)
    of = {n: jnp.asarray(x) for n, x in unit_of.items()}

    def terms(u):
        free = unravel(mean + (scale @ u if scale.ndim == 2 else scale * u))
        values = {n: transforms[n](x) for n, x in free.items()}
        trace = handlers.trace(handlers.substitute(handlers.seed(model, 0), data=values)).get_trace()
        log_probs = {n: _log_prob(s) for n, s in trace.items() if s["type"] == "sample"}
        told = sum(jax.ops.segment_sum(log_probs.pop(n), where, units) for n, where in of.items())
        bent = [transforms[n].log_abs_det_jacobian(x, values[n]).sum() for n, x in free.items()]
        return sum(x.sum() for x in [*log_probs.values(), *bent]), told

    return terms, places


def _standardised(rows: np.ndarray) -> tuple[Any, Any, np.ndarray]:
    """(mean, Cholesky factor of the covariance or standard deviations, rows in these units)."""
    mean, size = rows.mean(axis=0), rows.shape[1]
    if size <= _DENSE and len(rows) > 5 * size:
        scale = np.linalg.cholesky(np.cov(rows, rowvar=False).reshape(size, size))
        return jnp.asarray(mean), jnp.asarray(scale), np.linalg.solve(scale, (rows - mean).T).T
    scale = rows.std(axis=0)
    return jnp.asarray(mean), jnp.asarray(scale), (rows - mean) / scale


def _log_prob(site: Mapping[str, Any]) -> Any:
    told = site["fn"].log_prob(site["value"])
    return told if site["scale"] is None else site["scale"] * told


def _sample(potential: Callable[[Any], Any], key: Any, at: Any, warmup: int, draws: int) -> tuple[Any, Any]:
    """(draws, whether each diverged) of a chain that begins at `at`, in units of the posterior."""
    settings: dict[str, Any] = {"target_accept_prob": 0.85, "adapt_mass_matrix": False}
    kernel = Kernel(potential_fn=potential, **settings)
    # It begins on a plain, so that the potential's gradient is compiled once: see `compile_nuts`.
    plain = Kernel(potential_fn=lambda u: _PLAIN + 0.0 * u.sum(), **settings)
    jax.eval_shape(lambda k: kernel.init(k, warmup, at, (), {}), key)  # readies kernel.sample
    return walk(kernel, plain.init(key, warmup, at, (), {}), warmup, draws)


def _go_through(
    one: Callable[[Any], Any], rows: np.ndarray, seed: int, progress: Progress | None
) -> tuple[np.ndarray, ...]:
    """`one` of a key and every row."""
    rng = np.random.default_rng(seed)
    return Many(one, len(rows), _AT_ONCE)(partial(random_keys, rng), rows, progress)


def _check(model: Any, latent: Mapping[str, Any], posterior: Mapping[str, Any], unit_of: Mapping[str, Any]) -> None:
    absent = [n for n in latent if n not in posterior]
    if absent:
        raise InputError(f"refit: the fit has no draws of {', '.join(absent)}: it is of another model.")
    rows, sites = weighted_sites(model), {n: len(of) for n, of in unit_of.items()}
    if rows != sites:
        raise InputError(f"refit: the model observes {rows or 'nothing by row'}, and units are given for {sites}.")
