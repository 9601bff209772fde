"""Supply chains: order what is missing from a level of inventory plus supply line (Clark & Scarf 1960)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from bayescal.environments.base import Environment
from bayescal.environments.supply_chain import SupplyChain
from bayescal.training.replies.base import Rule


class OrderUpTo(Rule):
    """Candidates are levels from one to eight weeks of demand.

    Example:
        >>> from bayescal.training.replies import OrderUpTo
        >>> OrderUpTo().name
        'order-up-to'
    """

    @property
    def name(self) -> str:
        return "order-up-to"

    def wanted(self, environment: Environment, role: int, seen: PyTree, params: PyTree) -> Float[Array, " candidates"]:
        return levels(environment) - seen["inventory"] - seen["supply_line"]


def levels(environment: Environment) -> Float[np.ndarray, " candidates"]:
    """Levels of the inventory position, in units, that are tried."""
    assert isinstance(environment, SupplyChain)
    return environment.usual * np.array([1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0])


class SmoothedOrderUpTo(Rule):
    """Half of what is missing from the level, and half of a usual week's demand."""

    @property
    def name(self) -> str:
        return "smoothed order-up-to"

    def wanted(self, environment: Environment, role: int, seen: PyTree, params: PyTree) -> Float[Array, " candidates"]:
        assert isinstance(environment, SupplyChain)
        missing = levels(environment) - seen["inventory"] - seen["supply_line"]
        return 0.5 * environment.usual + 0.5 * jnp.asarray(missing)
