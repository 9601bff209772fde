"""Integrals over private costs: m_i(phi), the log of the mean of exp(l_i(log cost)) over the population.

The nodes are fixed and evenly spaced in log cost; the population determines their weights. The error of the trapezoid
rule is below 1e-5 if the population is wider than the spacing h and every person's likelihood is wider than 1.25 h;
`even_nodes` chooses h accordingly. Populations narrower than h are integrated by their own quadrature; l_i, which is
smooth even if its exponential is a spike, is then interpolated between the nodes by a polynomial of degree five.

This holds for uniform habits. Other habits make likelihoods narrower; `Integrated.of` then tries smaller spacings.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from bayescal._types import Key
from bayescal.domain import Interval
from bayescal.populations.base import Phi, Population
from bayescal.populations.homogeneous import Homogeneous
from bayescal.populations.mixture import Mixture

_INFORMATION = 0.6  # most Fisher information on log cost in one decision: 1/2 if choices are normal, 0.44 if binary
_FEWEST, _MOST = 33, 400
_FINER = 4  # grid points per node when costs are drawn
# Gregory's end corrections: the trapezoid rule is of fourth order where a bound cuts the integrand.
_ENDS = np.array([3 / 8, 7 / 6, 23 / 24])


def even_nodes(interval: Interval, decisions: int) -> Float[np.ndarray, " nodes"]:
    """Log costs from bound to bound; the spacing is 0.8 of the smallest sd that a likelihood of so many decisions can
    have."""
    narrowest = 1 / np.sqrt(_INFORMATION * max(decisions, 1))
    wanted = int(np.ceil((interval.high - interval.low) / (0.8 * narrowest))) + 1
    return np.linspace(interval.low, interval.high, int(np.clip(wanted, _FEWEST, _MOST)))


def log_marginal(
    curves: Float[Array, "people nodes"],
    nodes: Float[Array, " nodes"],
    population: Population,
    phi: Phi,
    shift: Float[Array, " people"] | None = None,
) -> Float[Array, " people"]:
    """Log of the mean likelihood of each person, over the population truncated at the first and last node.

    Args:
        shift: added to each person's log cost.
    """
    if isinstance(population, Mixture):
        parts = [
            log_share + log_marginal(curves, nodes, part, own, shift) for log_share, part, own in population.parts(phi)
        ]
        return jax.nn.logsumexp(jnp.stack(parts), axis=0)
    spacing = nodes[1] - nodes[0]

    def wide():
        log_w = log_weights(nodes, population, phi, shift).astype(curves.dtype)
        return jax.nn.logsumexp(log_w + curves, axis=-1).astype(nodes.dtype)

    def narrow():
        costs, weights = population.quadrature(phi)
        at = jnp.log(costs) + (0.0 if shift is None else shift[:, None])
        between = jnp.clip(at, nodes[0], nodes[-1])
        moved = interpolate(curves, nodes, between)
        return jax.nn.logsumexp(moved + jnp.log(weights), axis=-1).astype(nodes.dtype)

    if isinstance(population, Homogeneous):
        return narrow()
    return jax.lax.cond(spread_of(population, phi) >= spacing, wide, narrow)


def log_weights(
    nodes: Float[Array, " nodes"], population: Population, phi: Phi, shift: Float[Array, " people"] | None = None
) -> Float[Array, "*people nodes"]:
    """Log-probabilities of the nodes in the truncated population."""
    log_cost = nodes if shift is None else nodes - shift[:, None]
    density = population.log_density(jnp.exp(log_cost), phi) + log_cost
    ends = np.ones(nodes.shape[0])
    ends[:3], ends[-3:] = _ENDS, _ENDS[::-1]
    return jax.nn.log_softmax(density + np.log(ends), axis=-1)


def spread_of(population: Population, phi: Phi) -> Float[Array, ""]:
    """Standard deviation of log cost."""
    costs, weights = population.quadrature(phi)
    x = jnp.log(costs)
    mean = weights @ x
    return jnp.sqrt(jnp.maximum(weights @ (x - mean) ** 2, 1e-20))


def interpolate(
    curves: Float[Array, "people nodes"], nodes: Float[Array, " nodes"], at: Float[Array, "*people points"]
) -> Float[Array, "people points"]:
    """The curves between their nodes, by the polynomial through the six nearest nodes."""
    matrix = lagrange(nodes, at)
    return curves @ matrix.T if matrix.ndim == 2 else jnp.einsum("pg,pkg->pk", curves, matrix)


def lagrange(nodes: Float[Array, " nodes"], at: Float[Array, "*people points"]) -> Float[Array, "*people points nodes"]:
    """Weights of the values at the nodes in the polynomial through the six nearest nodes."""
    n = nodes.shape[0]
    place = (at - nodes[0]) / (nodes[1] - nodes[0])
    first = jnp.clip(jnp.floor(jax.lax.stop_gradient(place)) - 2, 0, n - 6)
    u = place - first  # from 0 to 5 within the six nodes
    others = np.array([[k for k in range(6) if k != j] for j in range(6)])
    scale = np.array([np.prod([j - k for k in others[j]]) for j in range(6)], float)
    weights = jnp.prod(u[..., None, None] - others, axis=-1) / scale
    column = first[..., None].astype(int) + np.arange(6)
    return jnp.sum(jnp.where(column[..., None] == np.arange(n), weights[..., None], 0.0), axis=-2)


def draw_log_costs(
    key: Key,
    curves: Float[Array, "people nodes"],
    nodes: Float[Array, " nodes"],
    population: Population,
    phi: Phi,
    shift: Float[Array, " people"] | None = None,
) -> Float[Array, " people"]:
    """One draw of everybody's log cost given their decisions, from a fine grid, uniform within its cells."""
    fine = jnp.linspace(nodes[0], nodes[-1], _FINER * (nodes.shape[0] - 1) + 1)
    log_cost = fine if shift is None else fine - shift[:, None]
    density = population.log_density(jnp.exp(log_cost), phi) + log_cost
    log_p = density + interpolate(curves, nodes, fine)
    pick, within = jax.random.split(key)
    u = jax.random.uniform(pick, (curves.shape[0], 1))
    p = jnp.cumsum(jax.nn.softmax(log_p, axis=-1), axis=-1)
    index = jnp.clip(jnp.sum(p < u * p[:, -1:], axis=-1), 0, fine.shape[0] - 1)
    step = fine[1] - fine[0]
    x = fine[index] + step * jax.random.uniform(within, index.shape, minval=-0.5, maxval=0.5)
    return jnp.clip(x, nodes[0], nodes[-1])
