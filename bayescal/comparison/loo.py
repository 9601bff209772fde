"""Expected log predictive density of units that were left out.

Leaving a unit out reweights the draws by one over its likelihood; weights are smoothed by a Pareto tail, whose shape
k-hat says whether they can be trusted: above 0.7 they cannot (Vehtari, Simpson, Gelman, Yao & Gabry 2024), and the
model is fitted again without that unit.
"""

from dataclasses import dataclass

import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Float
from scipy.special import logsumexp

from bayescal.comparison.pointwise import Pointwise

K_HAT = 0.7
_SAME = 1e-8  # nats: draws that do not differ


@dataclass(frozen=True, eq=False)
class LeftOut:
    """By unit: its log predictive density when it is left out, and k-hat (0 where nothing is weighted)."""

    elpd: Float[np.ndarray, " units"]
    k_hat: Float[np.ndarray, " units"]

    @property
    def bad(self) -> np.ndarray:
        """Which units cannot be left out by weights."""
        return np.flatnonzero(~(self.k_hat <= K_HAT))


def psis(log_likelihood: Pointwise) -> LeftOut:
    """Leave-one-out of every unit by Pareto-smoothed importance sampling."""
    values = log_likelihood.values.T
    alike = np.ptp(values, axis=1) < _SAME
    elpd, k_hat = values.mean(axis=1), np.zeros(len(values))
    if not alike.all():
        weights, k = array_stats.psislw(-values[~alike], r_eff=log_likelihood.r_eff)
        elpd[~alike], k_hat[~alike] = logsumexp(weights + values[~alike], axis=1), k
    return LeftOut(elpd, k_hat)


def log_mean(values: Float[np.ndarray, "draws units"]) -> Float[np.ndarray, " units"]:
    """Log of the mean likelihood over draws."""
    return logsumexp(values, axis=0) - np.log(len(values))
