"""Leaving out games (or groups) that have numbers of their own: these are integrated out at each draw of the rest.

Draws of the posterior know what a game's own number is, so weights that take the game's likelihood away from them never
reach what that number could be without the game. Given the numbers that all games share, a game's own number is one
integral, and of what is shared one game among several says little: the weights of the integrals are even (Merkle, Furr
& Rabe-Hesketh 2019; Vehtari et al. 2016).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from numpyro import handlers
from numpyro.distributions import constraints

from bayescal.comparison.refit import Draws, Progress, Rows
from bayescal.evaluation.batches import evenly
from bayescal.evaluation.sites import latent_sites, trace_of
from bayescal.precision import double_precision

_DRAWS = 500  # of what is shared
_AT_ONCE = 25  # draws between two reports of progress
_NEAR = np.linspace(-7.0, 7.0, 41)  # where the integrand is evaluated: in its own standard deviations about its mode,
_FAR = np.linspace(-6.0, 6.0, 33)  # and in those of the prior about its mean
_EDGE, _STEEP = 5.0, 16  # where, and how steeply, the one gives way to the other
_SEARCH, _STEP = 4, 0.02  # turns of the search for the mode, and its step in standard deviations of the draws


@dataclass(frozen=True, eq=False)
class _Own:
    """The numbers that units have of their own, at one draw of the rest.

    Attributes:
        model: the NumPyro model.
        name: of the site with a number for each owner, a game or a place in it.
        of_row: by observed site, the owner of each of its rows; one past the last for rows that no own number moves.
    """

    model: Callable[[], Any]
    name: str
    of_row: Mapping[str, Int[Array, " rows"]]

    def by_owner(
        self, shared: Mapping[str, Array], own: Float[Array, " owners"]
    ) -> tuple[Float[Array, " owners"], dict[str, Array]]:
        """(log prior and likelihood of each number, log-likelihood of the rows that none moves, else 0)."""
        trace = trace_of(handlers.substitute(self.model, data={**shared, self.name: own}), 0)
        total, rest = jnp.broadcast_to(_log_prob(trace[self.name]), own.shape), {}
        for n, owner in self.of_row.items():
            log_p = _log_prob(trace[n])
            total = total + jax.ops.segment_sum(log_p, owner, len(total) + 1)[:-1]
            rest[n] = jnp.where(owner == len(total), log_p, 0.0)
        return total, rest

    def prior(self, shared: Mapping[str, Array], own: Float[Array, " owners"]) -> tuple[Array, Array]:
        """(mean, standard deviation) of the numbers."""
        fn = trace_of(handlers.substitute(self.model, data={**shared, self.name: own}), 0)[self.name]["fn"]
        return jnp.broadcast_to(fn.mean, own.shape), jnp.broadcast_to(jnp.sqrt(fn.variance), own.shape)

    def integrals(
        self, shared: Mapping[str, Array], own: Float[Array, " owners"], sd: Float[np.ndarray, " owners"]
    ) -> tuple[Float[Array, " owners"], dict[str, Array]]:
        """(log of the integral over each number, log-likelihood of the rows that none moves).

        Args:
            own: a draw, where the search for the mode begins.
            sd: of all draws.
        """
        density = lambda x: self.by_owner(shared, x)[0]
        step = _STEP * sd

        def closer(_: Int[Array, ""], at: tuple[Array, Array]) -> tuple[Array, Array]:
            x = at[0]
            low, here, high = jax.lax.map(density, jnp.stack([x - step, x, x + step]))
            bend = (low - 2 * here + high) / step**2
            width = jnp.where(bend < 0, 1 / jnp.sqrt(jnp.maximum(-bend, 1e-300)), sd)
            width = jnp.minimum(width, 2 * sd)
            move = (high - low) / (2 * step) * width**2
            return x + jnp.clip(move, -width, width), width

        mode, width = jax.lax.fori_loop(0, _SEARCH, closer, (own, jnp.asarray(sd)))
        mean, spread = self.prior(shared, own)
        # Two even grids, each exact for what is smooth on its scale: about the mode, and the rest of the prior.
        near, far = mode + width * _NEAR[:, None], mean + spread * _FAR[:, None]
        far_off = ((far - mode) / (_EDGE * width)) ** _STEEP
        log_near = jax.lax.map(density, near) - ((_NEAR / _EDGE) ** _STEEP)[:, None] + jnp.log(width)
        log_far = jax.lax.map(density, far) + jnp.log(-jnp.expm1(-far_off)) + jnp.log(spread)
        both = jnp.concatenate([log_near + np.log(_NEAR[1] - _NEAR[0]), log_far + np.log(_FAR[1] - _FAR[0])])
        return jax.nn.logsumexp(both, axis=0), self.by_owner(shared, own)[1]


def without_own_numbers(
    model: Callable[[], Any],
    own: str,
    posterior: Draws,
    unit_of: Rows,
    units: int,
    *,
    progress: Progress | None = None,
) -> Float[np.ndarray, "some units"] | None:
    """The log-likelihood of each unit at draws of what units share, with its own numbers integrated out; None where
    that is not one integral for each of them.

    Args:
        own: the site with the units' own numbers.
        posterior: draws of the model's latent sites.
        unit_of: by observed site, the unit of each of its rows.
        progress: called with (draws done, draws in all) now and then.
    """
    with double_precision():
        sites = latent_sites(model)
        if len(sites[own].shape) != 1 or sites[own].support is not constraints.real:
            return None
        flat = {n: np.reshape(posterior[n], (-1, *np.shape(posterior[n])[2:])) for n in sites}
        some = {n: jnp.asarray(x[evenly(len(x), _DRAWS)]) for n, x in flat.items()}
        sd = flat[own].std(axis=0)
        moved = _moved(model, own, {n: x[0] for n, x in some.items()}, sd, unit_of)
        owners = _owners(moved, unit_of, units)
        if owners is None:
            return None
        of_row, unit_of_owner = owners
        parts = _Own(model, own, {n: jnp.asarray(x) for n, x in of_row.items()})

        @jax.jit
        def run(draws: dict[str, Array]) -> Float[Array, "some units"]:
            def one(draw: dict[str, Array]) -> Float[Array, " units"]:
                shared = {n: x for n, x in draw.items() if n != own}
                log_mass, rest = parts.integrals(shared, draw[own], sd)
                total = jax.ops.segment_sum(log_mass, unit_of_owner, units)
                return total + sum(jax.ops.segment_sum(x, jnp.asarray(unit_of[n]), units) for n, x in rest.items())

            return jax.lax.map(one, draws)

        count, rows = len(some[own]), []
        for start in range(0, count, _AT_ONCE):
            which = np.arange(start, start + _AT_ONCE) % count
            rows.append(np.asarray(run({n: x[which] for n, x in some.items()})))
            if progress is not None:
                progress(min(start + _AT_ONCE, count), count)
    return np.concatenate(rows)[:count]


def _moved(
    model: Callable[[], Any],
    own: str,
    draw: Mapping[str, Array],
    sd: Float[np.ndarray, " owners"],
    sites: Iterable[str],
) -> dict[str, Bool[np.ndarray, "owners rows"]]:
    """By observed site, which rows each number moves."""

    @jax.jit
    def rows(numbers: Float[Array, " owners"]) -> dict[str, Array]:
        trace = trace_of(handlers.substitute(model, data={**draw, own: numbers}), 0)
        return {n: _log_prob(trace[n]) for n in sites}

    numbers = draw[own]
    before = rows(numbers)
    after = [rows(numbers.at[k].add(0.5 * sd[k])) for k in range(len(numbers))]
    return {n: np.stack([np.asarray(a[n] != before[n]) for a in after]) for n in before}


def _log_prob(site: Any) -> Array:
    """Of a site of a trace, row by row."""
    return site["fn"].log_prob(site["value"])


def _owners(
    moved: Mapping[str, Bool[np.ndarray, "owners rows"]], unit_of: Rows, units: int
) -> tuple[dict[str, np.ndarray], Int[np.ndarray, " owners"]] | None:
    """(by observed site, the owner of each row; the unit of each owner); None where a row has several, or an owner."""
    of_row, unit_of_owner = {}, None
    for n, by_owner in moved.items():
        count = by_owner.sum(axis=0)
        if (count > 1).any():
            return None
        of_row[n] = np.where(count > 0, by_owner.argmax(axis=0), len(by_owner))
        unit_of_owner = np.full(len(by_owner), -1) if unit_of_owner is None else unit_of_owner
        for owner in range(len(by_owner)):
            found = set(np.asarray(unit_of[n])[by_owner[owner]].tolist()) | ({unit_of_owner[owner]} - {-1})
            if len(found) > 1:
                return None
            unit_of_owner[owner] = found.pop() if found else -1
    if unit_of_owner is None or (unit_of_owner < 0).any() or len(set(unit_of_owner.tolist())) < units:
        return None
    return of_row, unit_of_owner
