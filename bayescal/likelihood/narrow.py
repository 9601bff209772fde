"""Private costs integrated out over a population that is narrower than the nodes of log cost are apart.

Between the nodes l_i, smooth even where its exponential is a spike, is a polynomial of the fifth degree. The integrand,
exp(l_i + log density), has one top, which Newton's method finds, and is close to a normal density there: the trapezoid
rule with points half a standard deviation apart is exact to many digits (Trefethen & Weideman 2014). The points of
people whose decisions pull them many standard deviations away from the population's mean are around their own top.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bayescal.likelihood.stencil import ends, lagrange
from bayescal.populations.base import Phi, Population, moments

_REACH, _POINTS = 6.0, 25  # standard deviations, and points, of each integral
_WINDOW = 12  # nodes around the top between which is interpolated: wider than _REACH, since the population is narrow
_STEPS = 5  # of Newton's method

# From values at six even nodes, numbered from the third, to the coefficients of the polynomial through them.
_TO_POWERS = np.linalg.inv(np.vander(np.arange(-2.0, 4.0), increasing=True)).T

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
    fixed, still, shape = jax.lax.stop_gradient((phi, moved, curves.astype(nodes.dtype)))
    sd = moments(population, fixed)[1]
    spacing = nodes[1] - nodes[0]

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
    third = jnp.clip(nearest, 2, len(nodes) - 4)
    powers = jnp.take_along_axis(shape, third[:, None] + np.arange(-2, 4), axis=1) @ _TO_POWERS

    def near_top(x: Points) -> Points:
        return _horner(powers, (x - nodes[third][:, None]) / spacing) + density(x, fixed, still)

    first = jnp.clip(nearest - _WINDOW // 2, 0, len(nodes) - _WINDOW)
    values = jnp.take_along_axis(curves, first[:, None] + np.arange(_WINDOW), axis=1).astype(nodes.dtype)
    at, step = _points(near_top, nodes[nearest], sd, (nodes[first], nodes[first + _WINDOW - 1]))
    weights = lagrange(jnp.arange(_WINDOW, dtype=nodes.dtype), (at - nodes[first][:, None]) / spacing)
    # A product and a sum: many small matrix products take ten times as long.
    return _log_sum(jnp.sum(values[:, None, :] * weights, axis=-1) + density(at, phi, moved), step) - mass


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
