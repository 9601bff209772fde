"""The spread of payoffs, in which default hyperpriors are stated."""

from collections.abc import Sequence

import jax
import numpy as np

from bayescal.environments.base import Environment
from bayescal.precision import double_precision

_MOST = 200  # games that are looked at


def payoff_scale(environments: Sequence[Environment]) -> float:
    """The median of the games' payoff scales."""
    # In the precision of `infer`, and from copies: JAX confuses its two where a NumPy array meets both in one process.
    with double_precision():
        kinds = {id(e): e for e in environments[:_MOST]}.values()
        return float(np.median([float(e.payoff_scale(jax.tree.map(np.array, e.params))) for e in kinds]))
