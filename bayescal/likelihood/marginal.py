"""Private costs integrated out: m_i(phi), the log of the mean of exp(l_i(log cost)) over the population.

The nodes are fixed and even in log cost; the population moves their weights. The trapezoid rule is then exact to
1e-5 as long as the population is wider than the nodes' distance h and every person's likelihood wider than 1.25 h, from
which `even_nodes` chooses h. Populations narrower than h are integrated by their own quadrature, between the nodes of
which l_i, smooth even where its exponential is a spike, is interpolated by a polynomial of the fifth degree.

This holds for uniform habits. Other habits make likelihoods narrower, and `Integrated.of` then tries closer nodes.
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

_INFORMATION = 0.6  # most about log cost in one decision: 1/2 for a normal choice, 0.44 for one of two
_FEWEST, _MOST = 33, 400
_FINER = 4  # how much finer than the nodes the grid is from which costs are drawn
# Gregory's end corrections make the trapezoid rule exact to the fourth order where a bound cuts the integrand.
_ENDS = np.array([3 / 8, 7 / 6, 23 / 24])


def even_nodes(interval: Interval, decisions: int) -> Float[np.ndarray, " nodes"]:
    """Log costs from bound to bound. They are 0.8 of the smallest sd apart that a likelihood of so many decisions can
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
    """log of the mean likelihood of each person over a population truncated at the first and the last node.

    Args:
        shift: by how much each person's log cost is moved from the population's.
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
    """Log-probabilities of the nodes in the population, which is truncated beyond them."""
    log_cost = nodes if shift is None else nodes - shift[:, None]
    density = population.log_density(jnp.exp(log_cost), phi) + log_cost
    ends = np.ones(nodes.shape[0])
    ends[:3], ends[-3:] = _ENDS, _ENDS[::-1]
    return jax.nn.log_softmax(density + np.log(ends), axis=-1)


def spread_of(population: Population, phi: Phi) -> Float[Array, ""]:
    """The sd of log cost."""
    costs, weights = population.quadrature(phi)
    x = jnp.log(costs)
    mean = weights @ x
    return jnp.sqrt(jnp.maximum(weights @ (x - mean) ** 2, 1e-20))


def interpolate(
    curves: Float[Array, "people nodes"], nodes: Float[Array, " nodes"], at: Float[Array, "*people points"]
) -> Float[Array, "people points"]:
    """The curves between their nodes: the polynomial through the six nearest."""
    matrix = lagrange(nodes, at)
    return curves @ matrix.T if matrix.ndim == 2 else jnp.einsum("pg,pkg->pk", curves, matrix)


def lagrange(nodes: Float[Array, " nodes"], at: Float[Array, "*people points"]) -> Float[Array, "*people points nodes"]:
    """By which factors values at the nodes are multiplied and summed, for the polynomial through the six nearest."""
    n = nodes.shape[0]
    place = (at - nodes[0]) / (nodes[1] - nodes[0])
    first = jnp.clip(jnp.floor(jax.lax.stop_gradient(place)) - 2, 0, n - 6)
    u = place - first  # 0 to 5 inside the stencil
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
    """One draw of everybody's log cost given their decisions, from a grid so fine that its steps do not show."""
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
