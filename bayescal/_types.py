"""Named shapes and the few types that functions of every room share.

Dimensions: `actions` of the (padded) grid, `roles`, `players`, `situations`, `nodes` of an integral over costs,
`people`, `rows` of data, `draws` of a posterior.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

AnyArray: TypeAlias = jax.Array | np.ndarray
Scalar: TypeAlias = float | int | Float[Array, ""] | Float[np.ndarray, ""] | np.floating
Costs: TypeAlias = Scalar | Float[AnyArray, "..."]  # one cost, or one for each of something
Actions: TypeAlias = Float[Array, " actions"]
RoleActions: TypeAlias = Float[Array, "roles actions"]
Index: TypeAlias = int | Int[Array, ""] | Int[np.ndarray, ""] | np.integer
Parameters: TypeAlias = Mapping[str, Scalar | AnyArray]  # psi, phi or parameters of a game, by name
Key: TypeAlias = PRNGKeyArray
Number: TypeAlias = float | int | np.floating | np.integer
Numbers: TypeAlias = Iterable[Number] | np.ndarray  # a grid, as users give it
Nested: TypeAlias = AnyArray | Sequence[Any]  # numbers as nested lists, or an array
