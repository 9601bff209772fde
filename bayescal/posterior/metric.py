"""One metric for all chains: each learns the posterior's shape from its own few iterations, all together from more.

Of nine numbers, the covariance of a hundred iterations is so noisy that steps must be up to half as long as the
posterior allows. Chains that agree on the mean of theirs take fewer in warm-up and after it.
"""

from typing import Any

import numpy as np
from numpyro.infer.hmc_util import build_adaptation_schedule


def window_ends(warmup: int) -> list[int]:
    """After how many iterations each chain has a new metric."""
    return [window.end + 1 for window in build_adaptation_schedule(warmup)[1:-1]]


def agree(states: Any) -> Any:
    """States of chains (along the first axis), each with the mean of all their covariances as its metric.

    Between chains nothing is added: where one is far away the others keep their scale. Where no mean can be had
    (numbers have overflowed) each keeps its own.
    """
    adapted = states.adapt_state
    each = np.asarray(adapted.inverse_mass_matrix)
    each = each[np.isfinite(each).reshape(len(each), -1).all(axis=1)]
    try:
        metric = _roots(each.mean(axis=0)) if len(each) else None
    except np.linalg.LinAlgError:
        metric = None
    if metric is None:
        return states
    names, chains = ("inverse_mass_matrix", "mass_matrix_sqrt", "mass_matrix_sqrt_inv"), adapted.step_size.shape[0]
    changed = {n: np.broadcast_to(x, (chains, *x.shape)) for n, x in zip(names, metric, strict=True)}
    return states._replace(adapt_state=adapted._replace(**changed))


def _roots(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the covariance, the root of its inverse, that root's inverse), triangles as NumPyro takes them."""
    if covariance.ndim == 1:
        return covariance, 1 / np.sqrt(covariance), np.sqrt(covariance)
    inverse = np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1].T
    return covariance, np.linalg.inv(inverse), inverse
