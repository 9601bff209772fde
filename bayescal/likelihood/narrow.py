"""Private costs integrated out over a population that is narrower than the nodes of log cost are apart.

Between the nodes l_i, smooth even where its exponential is a spike, is the polynomial through twelve of them. The
integrand, exp(l_i + log density), has one top, which Newton's method finds, and is close to a normal density there: the
trapezoid rule with points half a standard deviation apart is exact to many digits (Trefethen & Weideman 2014). The
points of people whose decisions pull them many standard deviations away from the population's mean are around their own
top.

Points so close together that rounding moves them (`is_point`) give any number. There the population is a normal density
with the same mean and standard deviation, and l_i a parabola: the integral is known.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from bayescal.likelihood.stencil import ends
from bayescal.populations.base import Phi, Population, moments

_REACH, _POINTS = 6.0, 25  # standard deviations, and points, of each integral
_WINDOW = 12  # nodes around the top between which is interpolated: wider than _REACH, since the population is narrow
_STEPS = 5  # of Newton's method
_LOWEST = -1e30  # in place of -inf, which has no slope

# From values at the window's nodes, numbered from -1 to 1, to the coefficients of the polynomial through them.
_TO_POWERS = np.linalg.inv(np.vander(np.linspace(-1, 1, _WINDOW), increasing=True)).T

People = Float[Array, " people"]
Points = Float[Array, "people points"]
Curve = Callable[[Points], Points]
Bounds = tuple[People, People]


def is_point(sd: Float[Array, ""]) -> Bool[Array, ""]:
    """Whether a standard deviation of log cost is so small that rounding hides differences of cost."""
    return sd < (1e-5 if sd.dtype == jnp.float64 else 1e-3)


def log_mean_near(
    curves: Float[Array, "people nodes"],
    nodes: Float[Array, " nodes"],
    population: Population,
    phi: Phi,
    shift: People | None = None,
) -> People:
    """log of the mean likelihood of each person over a population that `is_point`."""
    mean, sd = moments(population, phi)
    moved = jnp.zeros(len(curves), nodes.dtype) if shift is None else shift
    centre = mean.astype(nodes.dtype) + moved
    at = jnp.clip(centre, nodes[0], nodes[-1])
    sd = jnp.where(at == centre, sd, 0.0)  # those who are truncated are all at the bound
    value, slope, bend = _between(curves, nodes, at).derivatives(at)
    remains = jnp.maximum(1 - bend * sd**2, 0.5)
    return value + (slope * sd) ** 2 / (2 * remains) - 0.5 * jnp.log(remains)


def log_mean_over(
    curves: Float[Array, "people nodes"],
    nodes: Float[Array, " nodes"],
    population: Population,
    phi: Phi,
    shift: People | None = None,
) -> People:
    """log of the mean likelihood of each person over a population truncated at the first and the last node."""
    moved = jnp.zeros(len(curves), nodes.dtype) if shift is None else shift
    # Where the points are has no derivative.
    fixed, still, shape = jax.lax.stop_gradient((phi, moved, curves))
    mean, sd = (x.astype(nodes.dtype) for x in moments(population, fixed))

    def density(x: Points, phi: Phi, moved: People) -> Points:
        base = x - moved[:, None]
        return jnp.asarray(population.log_density(jnp.exp(base), phi) + base)

    def alone(x: Points) -> Points:
        return jnp.maximum(density(x, fixed, still), _LOWEST)

    bounds = _bounds(nodes, population, still)
    centre = jnp.clip(mean + still, *bounds)
    at, step = _points(alone, centre, sd, bounds)
    mass = _log_sum(density(at, phi, moved), step)

    on_nodes = alone(jnp.broadcast_to(nodes, curves.shape)) + shape
    best = nodes[jnp.argmax(on_nodes, axis=-1)]
    at_centre = alone(centre[:, None])[:, 0] + _between(shape, nodes, centre)(centre[:, None])[:, 0]
    start = jnp.where(at_centre > on_nodes.max(axis=-1), centre, jnp.clip(best, *bounds))
    curve = _between(curves, nodes, start)
    frozen = jax.lax.stop_gradient(curve)
    within = jnp.maximum(curve.low, bounds[0]), jnp.minimum(curve.high, bounds[1])
    at, step = _points(lambda x: frozen(x) + alone(x), start, sd, within)
    return _log_sum(curve(at) + density(at, phi, moved), step) - mass


class _Between(NamedTuple):
    """Each person's polynomial through the nodes of a window.

    Attributes:
        level: the value at the node in the middle, which is taken off before interpolating.
        powers: coefficients, lowest power first, of a variable that goes from -1 to 1 in the window.
        low, high: the window's bounds.
    """

    level: People
    powers: Float[Array, "people terms"]
    low: People
    high: People

    def __call__(self, x: Points) -> Points:
        return self.level[:, None] + _horner(self.powers, self._unit(x))

    def derivatives(self, x: People) -> tuple[People, People, People]:
        """(value, first and second derivative) at one point each."""
        first = _derivative(self.powers)
        u, inner = self._unit(x[:, None]), 2 / (self.high - self.low)
        slope, bend = (_horner(powers, u)[:, 0] for powers in (first, _derivative(first)))
        return self(x[:, None])[:, 0], slope * inner, bend * inner**2

    def _unit(self, x: Points) -> Points:
        return (2 * x - (self.low + self.high)[:, None]) / (self.high - self.low)[:, None]


def _between(curves: Float[Array, "people nodes"], nodes: Float[Array, " nodes"], around: People) -> _Between:
    """The polynomials through the twelve nodes around a point of each person's."""
    place = (jax.lax.stop_gradient(around) - nodes[0]) / (nodes[1] - nodes[0])
    nearest = jnp.clip(jnp.round(place).astype(int), 0, len(nodes) - 1)
    first = jnp.clip(nearest - _WINDOW // 2, 0, len(nodes) - _WINDOW)
    values = jnp.take_along_axis(curves, first[:, None] + np.arange(_WINDOW), axis=1).astype(nodes.dtype)
    level = jnp.take_along_axis(curves, nearest[:, None], axis=1).astype(nodes.dtype)
    powers = (values - level) @ jnp.asarray(_TO_POWERS, nodes.dtype)
    return _Between(level[:, 0], powers, nodes[first], nodes[first + _WINDOW - 1])


def _bounds(nodes: Float[Array, " nodes"], population: Population, moved: People) -> Bounds:
    """Of log cost, for each person: the first and last node, and the population's support."""
    tight = 8 * float(jnp.finfo(nodes.dtype).eps)  # so that rounding leads no point outside
    with np.errstate(divide="ignore"):
        low, high = np.log(population.support.low) + tight, np.log(population.support.high) - tight
    return jnp.maximum(nodes[0], low + moved), jnp.minimum(nodes[-1], high + moved)


def _points(f: Curve, start: People, sd: Float[Array, ""], bounds: Bounds) -> tuple[Points, People]:
    """(even points around the top of f, which is near `start`; how far apart they are)."""
    apart = 0.1 * sd
    inside = bounds[0] + apart, bounds[1] - apart

    def slope_and_bend(x: People) -> tuple[People, People]:
        below, here, above = f(x[:, None] + apart * np.array([-1.0, 0.0, 1.0])).T
        bend = (2 * here - below - above) / apart**2
        return (above - below) / (2 * apart), jnp.clip(bend, 0.3 / sd**2, 30 / sd**2)

    def newton(_: Int[Array, ""], x: People) -> People:
        slope, bend = slope_and_bend(x)
        return jnp.clip(x + slope / bend, *inside)

    near = jax.lax.fori_loop(0, _STEPS, newton, jnp.clip(start, *inside))
    slope, bend = slope_and_bend(near)
    top = jnp.clip(near + slope / bend, *bounds)
    # At a bound f may fall off as an exponential does, steeply.
    reach = _REACH / jnp.sqrt(bend + (slope / 2) ** 2)
    low, high = jnp.clip(top - reach, *bounds), jnp.clip(top + reach, *bounds)
    return jnp.linspace(low, high, _POINTS, axis=-1), (high - low) / (_POINTS - 1)


def _log_sum(log_f: Points, step: People) -> People:
    """log of the integral of f, from its values at even points."""
    return jax.nn.logsumexp(log_f + np.log(ends(_POINTS)), axis=-1) + jnp.log(step)


def _derivative(coefficients: Float[Array, "people terms"]) -> Float[Array, "people fewer"]:
    return coefficients[:, 1:] * np.arange(1.0, coefficients.shape[1])


def _horner(coefficients: Float[Array, "people terms"], u: Points) -> Points:
    """Polynomials, lowest power first."""
    out = jnp.zeros_like(u)
    for k in reversed(range(coefficients.shape[1])):
        out = out * u + coefficients[:, k, None]
    return out
