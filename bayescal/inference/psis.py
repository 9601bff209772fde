"""Importance weights with a smoothed tail, and whether they can be relied on (PSIS: Vehtari, Simpson, Gelman, Yao &
Gabry 2024)."""

import numpy as np
from arviz_stats.base import array_stats
from jaxtyping import Float
from scipy.special import logsumexp

K_HAT = 0.7  # shape of the tail up to which weights can be relied on

_SAME = 1e-8  # nats: weights that do not differ
_LEAST_TAIL = 5


def smoothed_weights(
    against: Float[np.ndarray, "draws units"], r_eff: float = 1.0
) -> tuple[Float[np.ndarray, "draws units"], Float[np.ndarray, " units"]]:
    """(log weights, which add to one in every column; k-hat) of weights exp(-against). k-hat is 0 where the largest
    weights are as good as equal, which have no tail to smooth, and infinite where draws are too few to tell.

    Args:
        against: of a unit that is to be left out, its log-likelihood.
        r_eff: effective draws as a share of draws.
    """
    log_w, k_hat, draws = -against.T, np.zeros(against.shape[1]), len(against)
    tail = int(3 * np.sqrt(draws / r_eff) if draws * r_eff > 225 else draws / 5)  # as ArviZ has it
    uneven = np.ptp(np.sort(log_w, axis=1)[:, -max(tail, 1) :], axis=1) > _SAME
    if tail < _LEAST_TAIL:
        k_hat[np.ptp(log_w, axis=1) > _SAME] = np.inf
    elif uneven.any():
        with np.errstate(all="ignore"):
            log_w[uneven], k_hat[uneven] = array_stats.psislw(against.T[uneven], r_eff=r_eff)
    return (log_w - logsumexp(log_w, axis=1, keepdims=True)).T, k_hat
