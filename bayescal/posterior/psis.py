"""Pareto-smoothed importance sampling (PSIS: Vehtari, Simpson, Gelman, Yao & Gabry 2024).

The same as ArviZ (tests compare them), vectorised over units: one by one, thousands of people take half a minute.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

K_HAT = 0.7  # shape of the tail, up to which weights of many draws are reliable

_SAME = 1e-8  # nats, below which weights are equal
_LEAST_TAIL = 5  # draws
_AT_ONCE = 500  # units in one batch


def k_hat_limit(draws: int) -> float:
    """Up to which k-hat weights of so many draws are reliable: min(1 - 1 / log10(draws), 0.7).

    Example:
        >>> from bayescal.posterior.psis import k_hat_limit
        >>> [round(k_hat_limit(n), 3) for n in (100, 1000, 4000)]
        [0.5, 0.667, 0.7]
    """
    return min(1 - 1 / float(np.log10(max(draws, 11))), K_HAT)


def smoothed_weights(
    against: Float[np.ndarray, "draws units"], r_eff: float = 1.0
) -> tuple[Float[np.ndarray, "draws units"], Float[np.ndarray, " units"]]:
    """(log weights, normalised in every column; k-hat) of the weights exp(-against). k-hat is 0 where the largest
    weights are equal, which leaves no tail to smooth, and infinite where there are too few draws to estimate it.

    Args:
        against: the log-likelihood of each unit that is left out.
        r_eff: effective sample size as a share of draws.
    """
    log_w, k_hat, draws = -against.T, np.zeros(against.shape[1]), len(against)
    log_w -= log_w.max(axis=1, keepdims=True)
    tail = int(3 * np.sqrt(draws / r_eff) if draws * r_eff > 225 else draws / 5)  # as ArviZ has it
    if tail < _LEAST_TAIL:
        k_hat[np.ptp(log_w, axis=1) > _SAME] = np.inf
        return _normalised(log_w), k_hat
    largest = np.argsort(log_w, axis=1)[:, -tail - 1 :]
    top = np.take_along_axis(log_w, largest, axis=1)
    for units in np.array_split(np.flatnonzero(top[:, -1] - top[:, 1] > _SAME), -(-len(top) // _AT_ONCE) or 1):
        smooth, k_hat[units] = _smooth_tail(top[units])
        place = largest[units, 1:]
        log_w[units[:, None], place] = np.where(np.isfinite(k_hat[units, None]), smooth, log_w[units[:, None], place])
    return _normalised(log_w), k_hat


def _normalised(log_w: Float[np.ndarray, "units draws"]) -> Float[np.ndarray, "draws units"]:
    return (log_w - logsumexp(log_w, axis=1, keepdims=True)).T


def _smooth_tail(
    top: Float[np.ndarray, "units tail_and_one"],
) -> tuple[Float[np.ndarray, "units tail"], Float[np.ndarray, " units"]]:
    """(quantiles of the generalised Pareto distribution fitted to the tail, its shape).

    Args:
        top: sorted log weights; the first is the largest below the tail.
    """
    with np.errstate(all="ignore"):
        cutoff = np.exp(top[:, :1])
        k, sigma = _generalised_pareto(np.exp(top[:, 1:]) - cutoff)
        share = (np.arange(top.shape[1] - 1) + 0.5) / (top.shape[1] - 1)
        rate = np.log1p(-share)
        beyond = np.where(k == 0, -rate, np.expm1(-k * rate) / k)
        smooth = np.where(sigma > 0, np.log(cutoff + sigma * beyond), np.nan)
    return np.minimum(smooth, top[:, -1:]), k[:, 0]


def _generalised_pareto(
    x: Float[np.ndarray, "units tail"],
) -> tuple[Float[np.ndarray, "units 1"], Float[np.ndarray, "units 1"]]:
    """(k, sigma) of sorted excesses: the empirical-Bayes estimate of Zhang & Stephens (2009), with k shrunk towards
    1/2. Not a number where the lowest quarter of the excesses are equal."""
    n = x.shape[1]
    grid = 30 + int(np.sqrt(n))
    quartile = x[:, int(n / 4 + 0.5) - 1, None]
    b = 1 / x[:, -1:] + (1 - np.sqrt(grid / (np.arange(grid) + 0.5))) / (3 * quartile)
    k = np.log1p(-b[:, :, None] * x[:, None, :]).mean(axis=2)
    profile = n * (np.log(-b / k) - k - 1)
    weight = np.exp(profile - logsumexp(profile, axis=1, keepdims=True))
    weight = np.where(weight >= 10 * np.finfo(float).eps, weight, 0.0)
    weight /= weight.sum(axis=1, keepdims=True)
    mean = np.nansum(b * weight, axis=1, keepdims=True)
    k = np.log1p(-mean * x).mean(axis=1, keepdims=True)
    sigma = -k / mean
    k = (n * k + 10 * 0.5) / (n + 10)
    alike = quartile <= x[:, :1]
    return np.where(alike, np.nan, np.where(np.isnan(k), np.inf, k)), np.where(alike, np.nan, sigma)
