"""Measures of all certificates, and the budget of decisions.

With n decisions, inference about a parameter t with information I each has sd 1/√(n I). A likelihood whose mean score
is b instead of 0 shifts the estimate by b / I. The error is below a tenth of the sd for all

    n <= 0.01 · I / b².
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from bayescal.environments.base import OneShot
from bayescal.policies.learned import LearnedPolicy
from bayescal.training.points import Points

Progress = Callable[[str, int, int], None]  # called with (what, done, in all)

SHARE_OF_SD = 0.1
LOG_COST = "log cost"


def ignore_progress(what: str, done: int, total: int) -> None:
    """Does nothing: the default progress."""


def at_both(
    measure: Callable[[Points], dict[str, Array]], inside: Points, corners: Points
) -> dict[str, dict[str, np.ndarray]]:
    """Measures of the points inside and of the corners, taken together so that one program is compiled for both.

    Args:
        measure: of all points at once.
    """
    found = jax.tree.map(np.asarray, measure(jax.tree.map(lambda *x: np.concatenate(x), inside, corners)))
    parts = {"inside": slice(len(inside.cost)), "corners": slice(len(inside.cost), None)}
    return {where: {name: x[part] for name, x in found.items()} for where, part in parts.items()}


def rounded(x: float | np.floating) -> float:
    """x to three significant digits."""
    return float(f"{float(x):.3g}")


def spread(x: Float[np.ndarray, " points"]) -> dict[str, float]:
    """Mean, median, 95% quantile and maximum; empty if there are no points."""
    if not len(x):
        return {}
    quantiles = {"mean": np.mean(x), "median": np.median(x), "q95": np.quantile(x, 0.95), "max": np.max(x)}
    return {name: rounded(value) for name, value in quantiles.items()}


def budget(
    names: list[str],
    bias: Float[np.ndarray, "points parameters"],
    information: Float[np.ndarray, "points parameters"],
) -> dict[str, dict[str, float]]:
    """The number of decisions up to which each parameter's error is below a tenth of its posterior sd.

    Args:
        bias, information: mean of the learned score and of the squared exact score, of one decision at each point.
    """
    decisions = SHARE_OF_SD**2 * information / np.maximum(bias**2, 1e-30)
    return {
        name: {"median": rounded(np.median(own)), "worst 5%": rounded(np.quantile(own, 0.05))}
        for name, own in zip(names, decisions.T, strict=True)
    }


def divergence(log_p: Float[Array, "rows actions"], log_q: Float[Array, "rows actions"]) -> Float[Array, " rows"]:
    """KL(p || q) of each row; actions of probability zero contribute nothing."""
    possible = jnp.isfinite(log_p) & (log_p > -700)
    difference = jnp.where(possible, log_p, 0.0) - jnp.where(possible & jnp.isfinite(log_q), log_q, 0.0)
    return jnp.sum(jnp.where(possible, jnp.exp(log_p) * difference, 0.0), axis=1)


def total_variation(log_p: Float[Array, "rows actions"], log_q: Float[Array, "rows actions"]) -> Float[Array, " rows"]:
    return 0.5 * jnp.sum(jnp.abs(jnp.exp(log_p) - jnp.exp(log_q)), axis=1)


def slope_and_value(f: Callable[[Array], Array], x: Float[Array, " parameters"]) -> tuple[Array, Array]:
    """(df/dx, f(x)), with one evaluation of f, which may solve an equilibrium."""
    return jax.jacfwd(lambda x: (f(x),) * 2, has_aux=True)(x)


def inferred_names(policy: LearnedPolicy) -> list[str]:
    """The parameters that decisions are informative about.

    One-shot games: the population's, or a known cost (its logarithm), and the prior's. Games over time: the prior's
    and the game's, and the cost unless they scale all payoffs.
    """
    if isinstance(policy.environment, OneShot):
        names = [n for n in policy.domain.names if n.startswith(("phi.", "psi."))]
        return names if policy.private else [LOG_COST, *names]
    names = [n for n in policy.domain.names if n.startswith(("psi.", "params."))]
    scaling = {f"params.{n}" for n in policy.environment.payoff_parameters}
    return names if scaling and scaling <= set(names) else [LOG_COST, *names]


def inferred_values(policy: LearnedPolicy, point: Points) -> Float[Array, " parameters"]:
    """The values of those parameters at a point; the log cost is relative to the point's."""
    values = {f"phi.{n}": x for n, x in point.phi.items()}
    values |= {f"psi.{n}": x for n, x in point.psi.items()}
    values |= {f"params.{n}": x for n, x in point.params.items()}
    return jnp.stack([jnp.zeros(()) if n == LOG_COST else values[n] for n in inferred_names(policy)])


def moved(policy: LearnedPolicy, point: Points, theta: Float[Array, " parameters"]) -> Points:
    """The point with other values of the inferred parameters."""
    values = dict(zip(inferred_names(policy), theta, strict=True))
    replace = lambda kind, old: {n: values.get(f"{kind}.{n}", x) for n, x in old.items()}
    cost = point.cost * jnp.exp(values[LOG_COST]) if LOG_COST in values else point.cost
    return Points(cost, replace("phi", point.phi), replace("psi", point.psi), replace("params", point.params))


def solved_only(figures: dict[str, np.ndarray], solved: Bool[np.ndarray, " points"]) -> dict[str, np.ndarray]:
    """The measures at the points that could be solved."""
    return {name: x[solved] for name, x in figures.items()}
