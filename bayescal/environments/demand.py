"""What customers want: a distribution on a grid, drawn from without a table look-up."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from bayescal._types import Number, Numbers
from bayescal.errors import InputError

Chances = Mapping[Any, Number]  # {value: probability}
Distribution = tuple[tuple[float, ...], tuple[float, ...]]  # values in rising order, and their probabilities


def uniform(values: Numbers) -> dict[float, float]:
    """Every value with the same probability."""
    grid = [float(v) for v in values]
    return dict.fromkeys(grid, 1 / len(grid))


def distribution(demand: Chances, who: str) -> Distribution:
    """A demand {value: probability}, validated; `who` asks is named in errors."""
    values = np.asarray(sorted(demand), float)
    weights = np.asarray([demand[v] for v in sorted(demand)], float)
    if not len(values) or not np.all(np.isfinite(values)) or values[0] < 0:
        raise InputError(f"{who}: demand is {dict(demand)}; give {{value: probability}} with values of zero or more.")
    if not np.all(weights >= 0) or not np.isclose(weights.sum(), 1.0, atol=1e-6):
        raise InputError(f"{who}: the probabilities of demand are {weights.tolist()}; they must add up to one.")
    weights = weights / weights.sum()
    return tuple(values.tolist()), tuple(weights.tolist())


def mean(demand: Distribution) -> float:
    return float(np.dot(*map(np.asarray, demand)))


def draw(key: PRNGKeyArray, demand: Distribution, shape: tuple[int, ...] = ()) -> Float[Array, "..."]:
    """Draws by inversion: one uniform number each, and as many comparisons as there are values."""
    values, weights = map(np.asarray, demand)
    if len(values) == 1:
        return jnp.full(shape, values[0], jnp.result_type(float))
    chance = jax.random.uniform(key, shape, jnp.float32)
    drawn = jnp.full(shape, values[0], jnp.result_type(float))
    for below, jump in zip(np.cumsum(weights)[:-1], np.diff(values), strict=True):
        drawn = drawn + jnp.where(chance >= below, jump, 0.0)
    return drawn
