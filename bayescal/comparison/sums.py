"""Standard errors of sums over units."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Units:
    """Rows of units that were left out.

    Attributes:
        copies: units that each row stands for.
        group: the session or group of each row, in which units may be alike; None where that is not known.

    Example:
        >>> import numpy as np
        >>> from bayescal.comparison.sums import Units
        >>> three = np.array([1.0, 2.0, 3.0])
        >>> round(Units(np.ones(3, int)).standard_error(three), 4)  # the root of 3 times the variance, 1
        1.7321
        >>> Units(np.ones(3, int), np.array([0, 0, 1])).clusters
        2
    """

    copies: Int[np.ndarray, " units"]
    group: Int[np.ndarray, " units"] | None = None

    @property
    def count(self) -> int:
        return int(self.copies.sum())

    @property
    def clusters(self) -> int:
        """How many groups errors are clustered by; 0 where every row is one of its own."""
        groups = 0 if self.group is None else len(np.unique(self.group))
        return groups if groups < len(self.copies) else 0

    def standard_error(self, x: Float[np.ndarray, " units"]) -> float:
        """Of the sum of x, by row. Sums of groups are what is independent, where there are groups."""
        n = self.count
        if n < 2:
            return math.nan
        if self.group is not None and (clusters := self.clusters):
            apart = np.bincount(self.group, x - self.copies * x.sum() / n)
            return float(np.sqrt(clusters / (clusters - 1) * np.sum(apart**2))) if clusters > 1 else math.nan
        variance = self.copies @ (x / self.copies - x.sum() / n) ** 2 / (n - 1)
        return float(np.sqrt(n * variance))
