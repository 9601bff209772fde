"""Named shapes and the few types that functions of every room share.

Dimensions: `actions` of the (padded) grid, `roles`, `players`, `situations`, `nodes` of an integral over costs,
`people`, `rows` of data, `draws` of a posterior.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jaxtyping
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

AnyArray = jax.Array | np.ndarray
Scalar = float | int | Float[Array, ""] | Float[np.ndarray, ""] | np.floating
Costs = Scalar | Float[AnyArray, "..."]  # one cost, or one for each of something
Actions = Float[Array, " actions"]
RoleActions = Float[Array, "roles actions"]
Index = int | Int[Array, ""] | Int[np.ndarray, ""] | np.integer
Parameters = Mapping[str, Scalar | AnyArray]  # psi, phi or parameters of a game, by name
Key = PRNGKeyArray
Keys = jaxtyping.Key[Array, "..."]  # many keys
NumPyroModel = Callable[[], object]  # a model without arguments, called inside NumPyro's handlers
Facts = Mapping[str, Any]  # what a JSON file holds, by name
