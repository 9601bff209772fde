"""What draws must look like to be trusted."""

from collections.abc import Iterable

import arviz_stats as azs
import numpy as np
import xarray as xr
from jaxtyping import Float

R_HAT = 1.01  # below which chains agree
ESS = 400  # effective draws that are wanted


def enough(draws: Iterable[Float[np.ndarray, "chains draws *shape"]]) -> bool:
    """Whether the chains of every number agree, and are worth as many independent draws as are wanted.

    Example:
        >>> import numpy as np
        >>> from bayescal.posterior.convergence import enough
        >>> rng = np.random.default_rng(0)
        >>> enough([rng.normal(size=(4, 500))]), enough([rng.normal(size=(4, 50))])
        (True, False)
    """
    for x in draws:
        moving = x.reshape(*x.shape[:2], -1)
        moving = moving[:, :, np.ptp(moving, axis=(0, 1)) > 0]
        if moving.size:
            data = xr.DataArray(moving, dims=("chain", "draw", "number"))
            effective = [float(azs.ess(data, method=m).min()) for m in ("bulk", "tail")]
            if not (min(effective) >= ESS and float(azs.rhat(data).max()) < R_HAT):
                return False
    return True
