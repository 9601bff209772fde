"""One metric for all chains, from the iterations of all of them.

The covariance of nine parameters from the hundred iterations of one chain is so noisy that steps are up to half as long
as the posterior allows. Chains that use the mean of their covariances take fewer steps, in warm-up and after it.
"""

import numpy as np
from jaxtyping import Float
from numpyro.infer.hmc import HMCState
from numpyro.infer.hmc_util import build_adaptation_schedule


def window_ends(warmup: int) -> list[int]:
    """The numbers of iterations after which chains have a new metric."""
    return [window.end + 1 for window in build_adaptation_schedule(warmup)[1:-1]]


def agree(states: HMCState) -> HMCState:
    """States of chains (along the first axis), each with the mean of all their covariances as its metric.

    Variance between chains is not added, so that one chain far away does not change the scale of the others. If no
    covariance is finite and positive definite, each chain keeps its own.
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


def _roots(covariance: Float[np.ndarray, "..."]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the covariance, the square root of its inverse, the inverse of that root), triangular as NumPyro has them.

    Args:
        covariance: a matrix, or a vector of variances.
    """
    if covariance.ndim == 1:
        return covariance, 1 / np.sqrt(covariance), np.sqrt(covariance)
    inverse = np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1].T
    return covariance, np.linalg.inv(inverse), inverse
