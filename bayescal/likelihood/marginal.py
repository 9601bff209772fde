"""Integrals over private costs: m_i(phi), the log of the mean of exp(l_i(log cost)) over the population.

The nodes are fixed and evenly spaced in log cost; the population determines their weights. The error of the trapezoid
rule is below 1e-5 if the population is wider than the spacing h and every person's likelihood is wider than 1.25 h;
`even_nodes` chooses h accordingly: the more decisions, the narrower likelihoods become and the more nodes there are.
Populations narrower than h have a rule of their own (narrow.py).

This holds for uniform habits. Other habits make likelihoods narrower; `Integrated.of` then tries smaller spacings.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from bayescal._types import Key
from bayescal.domain import Interval
from bayescal.errors import InputError
from bayescal.likelihood.narrow import is_point, log_mean_near, log_mean_over
from bayescal.likelihood.stencil import ends, interpolate
from bayescal.populations.base import Phi, Population, moments
from bayescal.populations.discrete import Discrete
from bayescal.populations.homogeneous import Homogeneous
from bayescal.populations.mixture import Mixture

_INFORMATION = 0.6  # most Fisher information on log cost in one decision: 1/2 if choices are normal, 0.44 if binary
_FEWEST, _MOST = 33, 20_000
_FINER = 4  # grid points per node when costs are drawn


def even_nodes(interval: Interval, decisions: int) -> Float[np.ndarray, " nodes"]:
    """Log costs from bound to bound; the spacing is 0.8 of the smallest sd that a likelihood of so many decisions can
    have.

    Args:
        decisions: the most that one person made.

    Raises:
        InputError: they are so many that the nodes would be more than 20,000.
    """
    narrowest = 1 / np.sqrt(_INFORMATION * max(decisions, 1))
    wanted = int(np.ceil((interval.high - interval.low) / (0.8 * narrowest))) + 1
    if wanted > _MOST:
        raise InputError(
            f"Somebody made {decisions:,} decisions: {wanted:,} nodes of cost would be needed to integrate over costs, "
            f'more than {_MOST:,}. Sample everybody\'s cost instead (method="joint"), or fit a part of the decisions.'
        )
    return np.linspace(interval.low, interval.high, max(wanted, _FEWEST))


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
    if isinstance(population, Homogeneous | Discrete):
        costs, weights = population.quadrature(phi)
        at = jnp.log(costs) + (0.0 if shift is None else shift[:, None])
        moved = interpolate(curves, nodes, jnp.clip(at, nodes[0], nodes[-1]))
        return jax.nn.logsumexp(moved + jnp.log(weights), axis=-1).astype(nodes.dtype)
    sd = jax.lax.stop_gradient(moments(population, phi)[1])
    kind = jnp.where(is_point(sd), 0, jnp.where(sd < nodes[1] - nodes[0], 1, 2))

    def rule(chosen: int, integral: Callable[..., Float[Array, " people"]]) -> Callable[[], Float[Array, " people"]]:
        # vmap computes every rule, also those that are not chosen: their slopes, which may be nan, are not used.
        own_curves, own_phi, own_shift = _slopes_if(kind == chosen, (curves, phi, shift))
        return lambda: integral(own_curves, nodes, population, own_phi, own_shift).astype(nodes.dtype)

    rules = (log_mean_near, log_mean_over, _log_mean_on_nodes)
    return jax.lax.switch(kind, [rule(k, integral) for k, integral in enumerate(rules)])


def _log_mean_on_nodes(
    curves: Float[Array, "people nodes"],
    nodes: Float[Array, " nodes"],
    population: Population,
    phi: Phi,
    shift: Float[Array, " people"] | None,
) -> Float[Array, " people"]:
    log_w = log_weights(nodes, population, phi, shift).astype(curves.dtype)
    return jax.nn.logsumexp(log_w + curves, axis=-1)


def _slopes_if(condition: Bool[Array, ""], numbers: PyTree) -> PyTree:
    """The same numbers, which have derivatives only if the condition holds."""
    return jax.tree.map(lambda x: jnp.where(condition, x, jax.lax.stop_gradient(x)), numbers)


def log_weights(
    nodes: Float[Array, " nodes"], population: Population, phi: Phi, shift: Float[Array, " people"] | None = None
) -> Float[Array, "*people nodes"]:
    """Log-probabilities of the nodes in the truncated population."""
    log_cost = nodes if shift is None else nodes - shift[:, None]
    density = population.log_density(jnp.exp(log_cost), phi) + log_cost
    return jax.nn.log_softmax(density + np.log(ends(nodes.shape[0])), axis=-1)


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
