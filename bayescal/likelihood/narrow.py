"""Private costs integrated out over a population that is narrower than the nodes of log cost are apart.

Between the nodes l_i, smooth even where its exponential is a spike, is the polynomial through twelve of them. The
integrand, exp(l_i + log density), has one top, which Newton's method finds, and is close to a normal density there: the
trapezoid rule with points half a standard deviation apart is exact to many digits (Trefethen & Weideman 2014). The
points of people whose decisions pull them many standard deviations away from the population's mean are around their own
top.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.likelihood.stencil import ends
from bayescal.populations.base import Phi, Population, moments

_REACH, _POINTS = 6.0, 25  # standard deviations, and points, of each integral
_WINDOW = 12  # nodes around the top between which is interpolated: wider than _REACH, since the population is narrow
_STEPS = 5  # of Newton's method

# From values at the window's nodes, numbered from -1 to 1, to the coefficients of the polynomial through them.
_TO_POWERS = np.linalg.inv(np.vander(np.linspace(-1, 1, _WINDOW), increasing=True)).T

People = Float[Array, " people"]
Points = Float[Array, "people points"]
Curve = Callable[[Points], Points]


def log_mean_over(
    curves: Float[Array, "people nodes"],
    nodes: Float[Array, " nodes"],
    population: Population,
    phi: Phi,
    shift: People | None = None,
) -> People:
    """log of the mean likelihood of each person over a population truncated at the first and the last node."""
    moved = jnp.zeros(1, nodes.dtype) if shift is None else shift
    # Where the points are has no derivative.
    fixed, still, shape = jax.lax.stop_gradient((phi, moved, curves))
    sd = moments(population, fixed)[1]

    def density(
        x: Float[Array, "#people points"], phi: Phi, moved: Float[Array, " #people"]
    ) -> Float[Array, "#people points"]:
        base = x - moved[:, None]
        return jnp.asarray(population.log_density(jnp.exp(base), phi) + base)

    at_nodes = density(jnp.broadcast_to(nodes, (len(still), len(nodes))), fixed, still)
    alone = nodes[jnp.argmax(at_nodes, axis=-1)]
    at, step = _points(lambda x: density(x, fixed, still), alone, sd, (nodes[0], nodes[-1]))
    mass = _log_sum(density(at, phi, moved), step)

    nearest = jnp.argmax(shape + at_nodes, axis=-1)
    first = jnp.clip(nearest - _WINDOW // 2, 0, len(nodes) - _WINDOW)
    values = jnp.take_along_axis(curves, first[:, None] + np.arange(_WINDOW), axis=1).astype(nodes.dtype)
    level = jnp.take_along_axis(curves, nearest[:, None], axis=1).astype(nodes.dtype)
    powers = (values - level) @ _TO_POWERS
    low, high = nodes[first], nodes[first + _WINDOW - 1]

    def between(x: Points, powers: Float[Array, "people terms"]) -> Points:
        return _horner(powers, (2 * x - (low + high)[:, None]) / (high - low)[:, None])

    start = jax.lax.stop_gradient(powers)
    near_top = lambda x: between(x, start) + density(x, fixed, still)
    at, step = _points(near_top, nodes[nearest], sd, (low, high))
    return level[:, 0] + _log_sum(between(at, powers) + density(at, phi, moved), step) - mass


def _points(
    f: Curve, start: People, sd: Float[Array, ""], between: tuple[Float[Array, "..."], Float[Array, "..."]]
) -> tuple[Points, People]:
    """(even points around the top of f, which is near `start`; how far apart they are)."""
    apart = 0.1 * sd

    def slope_and_width(x: People) -> tuple[People, People]:
        below, here, above = f(x[:, None] + apart * np.array([-1.0, 0.0, 1.0])).T
        bend = (2 * here - below - above) / apart**2
        return (above - below) / (2 * apart), 1 / jnp.sqrt(jnp.maximum(bend, 0.3 / sd**2))

    def newton(_: Int[Array, ""], x: People) -> People:
        slope, width = slope_and_width(x)
        return jnp.clip(x + slope * width**2, *between)

    top = jax.lax.fori_loop(0, _STEPS, newton, start)
    reach = _REACH * slope_and_width(top)[1]
    low, high = jnp.clip(top - reach, *between), jnp.clip(top + reach, *between)
    return jnp.linspace(low, high, _POINTS, axis=-1), (high - low) / (_POINTS - 1)


def _log_sum(log_f: Points, step: People) -> People:
    """log of the integral of f, from its values at even points."""
    return jax.nn.logsumexp(log_f + np.log(ends(_POINTS)), axis=-1) + jnp.log(step)


def _horner(coefficients: Float[Array, "people terms"], u: Points) -> Points:
    """Polynomials, lowest power first."""
    out = jnp.zeros_like(u)
    for k in reversed(range(coefficients.shape[1])):
        out = out * u + coefficients[:, k, None]
    return out
