"""The time of each decision, for costs that drift over the rounds."""

import numpy as np
from jaxtyping import Float

from bayescal.errors import InputError
from bayescal.table.decisions import Decisions

BLOCKS = 10  # of rounds; a drifting cost is constant within a block


def rounds_as_time(decisions: Decisions) -> Float[np.ndarray, " rows"]:
    """From 0 in the first round to 1 in the last, in at most `BLOCKS` steps.

    Raises:
        InputError: the rounds are not known, or there is only one.
    """
    if "round" not in decisions.table:
        raise InputError(f"{decisions.source} has no column 'round', so costs cannot drift: leave out learning.")
    round_ = decisions.table["round"].to_numpy(float)
    first, last = round_.min(), round_.max()
    if not last > first:
        raise InputError(
            f"{decisions.source} has only one round ({first:g}), so costs cannot drift: leave out learning."
        )
    time = (round_ - first) / (last - first)
    if len(np.unique(time)) <= BLOCKS:
        return time
    return (np.minimum(np.floor(time * BLOCKS), BLOCKS - 1) + 0.5) / BLOCKS
