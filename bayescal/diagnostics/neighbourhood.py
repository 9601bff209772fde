"""The part of a learned policy's domain in which a posterior lies."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from bayescal.domain import Domain, Interval
from bayescal.posterior.fit import Fit

TAIL = 0.005  # of the draws, left out at each end
WIDER = 0.25  # of the draws' range, added at each end
LEAST = 0.05  # of the domain's side


def neighbourhood(fit: Fit, spec: Any) -> Domain:
    """A box around nearly all draws, within the domain; what the draws don't say is kept as it is.

    Args:
        spec: that of the model that the fit was drawn from.
    """
    values = {name: _values(fit, spec, name) for name, _ in spec.policy.domain.intervals}
    return Domain(tuple((name, _around(values[name], box)) for name, box in spec.policy.domain.intervals))


def _values(fit: Fit, spec: Any, name: str) -> Float[np.ndarray, " values"] | None:
    """Values of an entry of the domain at which the fit has asked the policy; None where they are not known."""
    draws = fit.tree["posterior"]
    kind, _, short = name.partition(".")
    sites = {"cost": ("cost",), "phi": (f"belief_{short}", short), "psi": (f"psi_{short}",), "params": (short,)}[kind]
    if kind == "phi" and (spec.covariates is not None or spec.groups is not None or not isinstance(spec.beliefs, str)):
        return None  # each person has a population of its own
    for site in sites:
        if site in draws:
            return np.asarray(draws[site], float).ravel()
    if kind == "psi" and spec.psi_level is None:
        return np.ravel(np.asarray(spec.policy.prior.defaults[short], float))
    if kind == "params" and short not in spec.parameters:
        return np.array([np.asarray(env.params[short], float) for env in spec.environments]).ravel()
    return None


def _around(values: Float[np.ndarray, " values"] | None, box: Interval) -> Interval:
    if values is None or not len(values):
        return box
    to, back = (np.log, math.exp) if box.logarithmic else (np.asarray, float)
    low, high = (float(to(end)) for end in (box.low, box.high))
    ends = np.quantile(to(np.clip(values, box.low, box.high)), [TAIL, 1 - TAIL])
    margin = max(WIDER * (ends[1] - ends[0]), LEAST * (high - low) / 2)
    return Interval(back(max(low, ends[0] - margin)), back(min(high, ends[1] + margin)))
