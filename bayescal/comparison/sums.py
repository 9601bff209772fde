"""Standard errors of sums over units."""

import math

import numpy as np
from jaxtyping import Float, Int


def standard_error(x: Float[np.ndarray, " units"], copies: Int[np.ndarray, " units"]) -> float:
    """Standard error of a sum over units, some of which stand for several that are alike.

    Example:
        >>> import numpy as np
        >>> from bayescal.comparison.sums import standard_error
        >>> round(standard_error(np.array([1.0, 2.0, 3.0]), np.ones(3, int)), 4)  # the root of 3 times the variance, 1
        1.7321
    """
    n = copies.sum()
    if n < 2:
        return math.nan
    variance = copies @ (x / copies - x.sum() / n) ** 2 / (n - 1)
    return float(np.sqrt(n * variance))
