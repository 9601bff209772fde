"""Named shapes and the few types that functions of every room share.

Dimensions: `actions` of the (padded) grid, `roles`, `players`, `situations`, `nodes` of an integral over costs,
`people`, `rows` of data, `draws` of a posterior.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jaxtyping
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

AnyArray = jax.Array | np.ndarray
Scalar = float | int | Float[Array, ""] | Float[np.ndarray, ""] | np.floating
Costs = Scalar | Float[AnyArray, "..."]  # one cost, or one for each of something
Actions = Float[Array, " actions"]
RoleActions = Float[Array, "roles actions"]
Index = int | Int[Array, ""] | Int[np.ndarray, ""] | np.integer
Parameters = Mapping[str, Scalar | AnyArray]  # psi, phi or parameters of a game, by name
Key = PRNGKeyArray
Seen = PyTree  # what a player saw before a decision: whatever the game's `observe` returns
Observation = PyTree  # a policy's: the index of the role in a one-shot game, else (role, what was seen)
Grid = Float[AnyArray, " actions"]  # the values of the actions of one role, without padding
Number = float | int | np.floating | np.integer
Numbers = Iterable[Number] | np.ndarray  # a grid, as users give it
Nested = AnyArray | Sequence[Any]  # numbers as nested lists, or an array
Keys = jaxtyping.Key[Array, "..."]  # many keys
NumPyroModel = Callable[[], object]  # a model without arguments, called inside NumPyro's handlers
Facts = Mapping[str, Any]  # what a JSON file holds, by name
