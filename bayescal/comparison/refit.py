"""The same model fitted again without some of its units: one at a time, or all of them in one run.

`refit`: every unit's log-likelihood has a weight (0 where it is left out), and weights are an argument of one compiled
sampler, so that refits share one compilation. It serves exact leave-one-out and k-fold cross-validation.

`left_out_together`: one sampler of the mixture of the posteriors that each leave one unit out (Silva & Zanella 2024,
arXiv 2209.09190). Its draws serve every one of them, with bounded weights: the mixture reaches regions where a unit is
absent and draws of the full posterior never are.

Leaving a few units out moves the posterior little. So chains start in the full posterior, on the unconstrained scale,
and move in units of its covariance, and a few hundred draws are enough.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bayescal._types import Key
from bayescal.errors import InputError
from bayescal.evaluation.batches import evenly
from bayescal.evaluation.compile import random_keys
from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import sites_of
from bayescal.posterior.kernel import Kernel
from bayescal.posterior.many import Many, Progress
from bayescal.precision import double_precision

Draws = Mapping[str, Float[np.ndarray, "chains draws ..."]]  # of the latent sites, by name
Rows = Mapping[str, Int[np.ndarray, " _"]]  # by observed site, the unit of each of its rows

_AT_ONCE = 4  # refits between two reports of progress, on each device
_DENSE = 100  # most unconstrained numbers for which the whole covariance is used
_STARTS = 40  # draws of the posterior among which a chain's start is chosen
_DIVERGING = 0.01  # largest share of diverging draws that is accepted


@dataclass(frozen=True, eq=False)
class Refitted:
    """What refits predict.

    Attributes:
        elpd: log of the mean likelihood of each unit, over the draws of each refit.
        absent: the log-likelihood, at each draw, of the units that have a weight below one.
        error: Monte-Carlo standard error of `elpd`, as if draws were independent.
        failed: refits of which more than one draw in a hundred diverged, or whose likelihood is not finite.
    """

    elpd: Float[np.ndarray, "refits units"]
    absent: Float[np.ndarray, "refits draws"]
    error: Float[np.ndarray, "refits units"]
    failed: int


class _Terms(NamedTuple):
    """A log density at a point, and what it is made of.

    A point is unconstrained, centred at the posterior's mean and in units of its covariance.

    Attributes:
        at: gives (log density apart from all units, log-likelihood of each unit) at a point.
        places: the posterior's draws as such points.
    """

    at: Callable[[Float[Array, " free"]], tuple[Float[Array, ""], Float[Array, " units"]]]
    places: Float[np.ndarray, "draws free"]


def weighted_sites(model: Callable[[], Any]) -> dict[str, int]:
    """By observed site that has a row for each participant, cell or decision: how many rows."""
    with double_precision():
        sites = {n: s for n, s in sites_of(model).items() if s.kind == "observed" and s.dims}
    return {n: s.shape[0] for n, s in sites.items()}


def refit(
    model: Callable[[], Any],
    posterior: Draws,
    unit_of: Rows,
    weights: Float[np.ndarray, "refits units"],
    *,
    draws: int = 500,
    warmup: int = 150,
    seed: int = 0,
    progress: Progress | None = None,
) -> Refitted:
    """Fit a model once for each row of `weights`.

    Args:
        posterior: draws of the model's latent sites, given all units.
        unit_of: by observed site, the unit of each of its rows.
        weights: of each unit's log-likelihood in each refit: 0 leaves it out, a share leaves part of it out.
        progress: called with (refits done, refits in all) now and then.
    """
    with double_precision():
        terms = _terms(model, posterior, unit_of, weights.shape[1])

        def one(given: tuple[Key, Float[Array, " units"]]) -> tuple[Array, ...]:
            key, weight = given

            def potential(u: Float[Array, " free"]) -> Float[Array, ""]:
                rest, units = terms.at(u)
                return -rest - jnp.where(weight > 0, weight * units, 0.0).sum()

            u, diverging = _sample(potential, key, jnp.zeros(terms.places.shape[1]), warmup, draws)
            values = jax.lax.map(lambda x: terms.at(x)[1], u)
            log_mean = jax.nn.logsumexp(values, axis=0) - jnp.log(draws)
            error = jnp.std(jnp.exp(values - log_mean), axis=0) / jnp.sqrt(draws)
            return log_mean, values @ (weight < 1.0), error, diverging.sum()

        elpd, absent, error, diverging = _run_all(one, weights, seed, progress)
    failed = (diverging > _DIVERGING * draws) | ~np.isfinite(elpd).all(axis=1)
    return Refitted(elpd, absent, error, int(failed.sum()))


def left_out_together(
    model: Callable[[], Any],
    posterior: Draws,
    unit_of: Rows,
    elpd: Float[np.ndarray, " units"],
    out: Int[np.ndarray, " out"],
    *,
    draws: int = 400,
    warmup: int = 150,
    chains: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Float[np.ndarray, "runs kept units"], Float[np.ndarray, "runs kept"]]:
    """Draws from the mixture, in equal parts, of the full posterior and of those that leave out each of some units.

    Args:
        posterior, unit_of: as in `refit`.
        elpd: approximate predictive density of each unit when it is left out. It sets the mixture's weights; an error
            in it costs efficiency only.
        out: which units are left out.

    Returns:
        (log-likelihood of each unit, log density of the mixture relative to the full posterior), at each draw. The
        posterior without unit i has weights exp(-log-likelihood of i - log density), and the full posterior has
        exp(-log density). If the chains disagree, they did not move between the parts: these are too far apart.
    """
    with double_precision():
        terms = _terms(model, posterior, unit_of, len(elpd))
        starts = jnp.asarray(terms.places[evenly(len(terms.places), _STARTS)])
        guess = jnp.asarray(elpd[out])
        one_of_each = out[np.linspace(0, len(out) - 1, chains).round().astype(int)]

        def more(units: Float[Array, " units"]) -> Float[Array, ""]:
            return jax.nn.logsumexp(jnp.append(guess - units[out], 0.0))

        def one(given: tuple[Key, Int[Array, ""]]) -> tuple[Array, ...]:
            key, unit = given
            # Start where this unit's likelihood is lowest: chains start far apart, each near the posterior without it.
            start = starts[jnp.argmin(jax.lax.map(lambda x: terms.at(x)[1], starts)[:, unit])]

            def potential(u: Float[Array, " free"]) -> Float[Array, ""]:
                rest, units = terms.at(u)
                return -rest - units.sum() - more(units)

            u, _ = _sample(potential, key, start, warmup, draws)
            units = jax.lax.map(lambda x: terms.at(x)[1], u)
            return units, jax.vmap(more)(units)

        values, density = _run_all(one, one_of_each, seed, progress)
    return values, density


def _terms(model: Callable[[], Any], posterior: Draws, unit_of: Rows, units: int) -> _Terms:
    density = Density.of(model)
    _check(model, density, posterior, unit_of)
    flat = {n: np.reshape(posterior[n], (-1, *np.shape(posterior[n])[2:])) for n in density.names}
    rows = np.asarray(jax.vmap(density.flatten)(density.unconstrain(flat)))
    mean, scale, places = _standardised(rows)
    where = {n: jnp.asarray(x) for n, x in unit_of.items()}

    def at(u: Float[Array, " free"]) -> tuple[Float[Array, ""], Float[Array, " units"]]:
        parts = density.parts(density.unflatten(mean + (scale @ u if scale.ndim == 2 else scale * u)))
        by_unit = sum(jax.ops.segment_sum(parts.likelihood[n], rows, units) for n, rows in where.items())
        others = [x.sum() for n, x in parts.likelihood.items() if n not in where]
        return sum([*parts.prior.values(), *others], parts.factors), jnp.asarray(by_unit)

    return _Terms(at, places)


def _standardised(
    rows: Float[np.ndarray, "draws free"],
) -> tuple[Float[Array, " free"], Float[Array, " free"] | Float[Array, "free free"], Float[np.ndarray, "draws free"]]:
    """(mean, Cholesky factor of the covariance or standard deviations, rows in these units)."""
    mean, size = rows.mean(axis=0), rows.shape[1]
    if size <= _DENSE and len(rows) > 5 * size:
        scale = np.linalg.cholesky(np.cov(rows, rowvar=False).reshape(size, size))
        return jnp.asarray(mean), jnp.asarray(scale), np.linalg.solve(scale, (rows - mean).T).T
    scale = rows.std(axis=0)
    return jnp.asarray(mean), jnp.asarray(scale), (rows - mean) / scale


def _sample(
    potential: Callable[[Float[Array, " free"]], Float[Array, ""]],
    key: Key,
    start: Float[Array, " free"],
    warmup: int,
    draws: int,
) -> tuple[Float[Array, "draws free"], Bool[Array, " draws"]]:
    """(draws, whether each diverged) of a chain in units of the posterior."""
    kernel = Kernel(potential, warmup, target_accept=0.85, adapt_metric=False)
    return kernel.walk(kernel.init_on_plateau(key, start), draws)


def _run_all(
    one: Callable[[Any], tuple[Array, ...]],
    rows: Float[np.ndarray, "rows ..."] | Int[np.ndarray, "rows ..."],
    seed: int,
    progress: Progress | None,
) -> tuple[np.ndarray, ...]:
    """`one` of (a key, a row), for every row."""
    rng = np.random.default_rng(seed)
    return Many(one, len(rows), _AT_ONCE)(partial(random_keys, rng), rows, progress)


def _check(model: Callable[[], Any], density: Density, posterior: Draws, unit_of: Rows) -> None:
    absent = [n for n in density.names if n not in posterior]
    if absent:
        raise InputError(f"refit: the fit has no draws of {', '.join(absent)}: it is of another model.")
    rows, sites = weighted_sites(model), {n: len(of) for n, of in unit_of.items()}
    if rows != sites:
        raise InputError(f"refit: the model observes {rows or 'nothing by row'}, and units are given for {sites}.")
