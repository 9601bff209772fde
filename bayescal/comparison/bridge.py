"""The ratio of two densities' normalising constants, from draws of both (Bennett 1976; Meng & Wong 1996).

The predictive density of decisions that were left out is the mean of their likelihood over the posterior without them.
Where the log-likelihood varies by more than a nat or two, this mean depends on values that hardly any draw reaches;
draws of the posterior with these decisions reach them.
"""

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import expit


def log_mass_ratio(without: Float[np.ndarray, " n"], within: Float[np.ndarray, " m"]) -> tuple[float, float]:
    """(log of the integral of p·exp(x) over that of p, its standard error as if draws were independent).

    Args:
        without, within: x at draws from p, and at draws from p·exp(x).

    Example:
        >>> import numpy as np
        >>> from bayescal.comparison.bridge import log_mass_ratio
        >>> rng = np.random.default_rng(0)
        >>> ratio, error = log_mass_ratio(3 * rng.normal(size=2000), 9 + 3 * rng.normal(size=2000))
        >>> abs(ratio - 4.5) < 3 * error, error < 0.1  # exp of a normal variable: half of its variance
        (True, True)
    """
    n, m = len(without), len(within)
    tilt = np.log(m / n)

    def surplus(ratio: float) -> float:  # rises with the ratio, and is zero at Bennett's estimate
        return expit(without - ratio + tilt).sum() - expit(ratio - within - tilt).sum()

    ends = np.concatenate([without, within])
    ratio = brentq(surplus, ends.min() - abs(tilt) - 50, ends.max() + abs(tilt) + 50, xtol=1e-6)
    variance = 0.0
    for share in (expit(without - ratio + tilt), expit(ratio - within - tilt)):
        variance += (np.mean(share**2) / np.mean(share) ** 2 - 1) / len(share)
    return float(ratio), float(np.sqrt(variance))
