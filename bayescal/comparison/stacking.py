"""Weights of models whose mixture predicts best what was left out (Yao, Vehtari, Simpson & Gelman 2018)."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize


def stack(
    pointwise: Float[np.ndarray, "units models"], copies: Int[np.ndarray, " units"] | None = None
) -> Float[np.ndarray, " models"]:
    """Weights of models, adding to one, that maximise sum_i copies_i log sum_m w_m exp(pointwise[i, m]).

    The objective is concave in the weights, so there is one maximum. EM steps of a mixture with known components come
    near it, staying inside the simplex however large the units are; SLSQP finishes.
    """
    density = np.exp(pointwise - pointwise.max(axis=1, keepdims=True))
    models, share = density.shape[1], np.ones(len(density)) if copies is None else copies
    share = share / share.sum()
    weights = np.full(models, 1 / models)
    for _ in range(200):
        weights = weights * ((share / (density @ weights)) @ density)
    result = minimize(
        lambda w: -share @ np.log(density @ w),
        weights,
        jac=lambda w: -(share / (density @ w)) @ density,
        bounds=[(1e-12, 1.0)] * models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(models)},
        method="SLSQP",
    )
    better = result.success and result.fun <= -share @ np.log(density @ weights)
    weights = np.clip(result.x if better else weights, 0, None)
    return weights / weights.sum()
