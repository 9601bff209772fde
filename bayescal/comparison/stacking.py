"""Weights of models whose mixture predicts best what was left out (Yao, Vehtari, Simpson & Gelman 2018)."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize


def stack(pointwise: Float[np.ndarray, "units models"]) -> Float[np.ndarray, " models"]:
    """Of models, weights (adding to one) that maximise sum_i log sum_m w_m exp(pointwise[i, m]).

    The logarithm is concave in the weights, so that there is one hill; it is climbed by the EM steps of a mixture with
    known components, which stay inside the simplex whatever the units' size, and finished by SLSQP.
    """
    density = np.exp(pointwise - pointwise.max(axis=1, keepdims=True))
    models = density.shape[1]
    weights = np.full(models, 1 / models)
    for _ in range(200):
        weights = weights * np.mean(density / (density @ weights)[:, None], axis=0)
    found = minimize(
        lambda w: -np.mean(np.log(density @ w)),
        weights,
        jac=lambda w: -np.mean(density / (density @ w)[:, None], axis=0),
        bounds=[(1e-12, 1.0)] * models,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(models)},
        method="SLSQP",
    )
    better = found.success and found.fun <= -np.mean(np.log(density @ weights))
    weights = np.clip(found.x if better else weights, 0, None)
    return weights / weights.sum()
