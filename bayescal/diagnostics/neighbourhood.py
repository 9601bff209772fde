"""The part of a learned policy's domain in which a posterior lies."""

from typing import Any

import numpy as np
from jaxtyping import Float

from bayescal.domain import Domain, Interval
from bayescal.model.people import site_of
from bayescal.policies.learned import to_unit
from bayescal.posterior.fit import Fit

TAIL = 0.005  # of the draws, left out at each end
WIDER = 0.25  # of the draws' range, added at each end
LEAST = 0.025  # of the domain's side, added at each end


def neighbourhood(fit: Fit, spec: Any) -> Domain:
    """A box around nearly all draws, within the domain; what the draws don't say is kept as it is.

    Args:
        spec: that of the model that the fit was drawn from.
    """
    intervals = spec.policy.domain.intervals
    return Domain(tuple((name, _around(_values(fit, spec, name), box)) for name, box in intervals))


def _values(fit: Fit, spec: Any, name: str) -> Float[np.ndarray, " values"] | None:
    """Values of an entry of the domain at which the fit has asked the policy; None where they are not known."""
    draws = fit.tree["posterior"]
    kind, _, short = name.partition(".")
    if kind == "phi" and (spec.covariates is not None or spec.groups is not None or not isinstance(spec.beliefs, str)):
        return None  # each person has a population of its own
    site = name if name == "cost" else site_of(name, spec.beliefs)
    if found := [n for n in draws if n == site or str(n).startswith(f"{site}_by_")]:
        return np.concatenate([np.asarray(draws[n], float).ravel() for n in found])
    if kind == "psi" and spec.psi_level is None:
        return np.ravel(np.asarray(spec.policy.prior.defaults[short], float))
    if kind == "params" and short not in spec.parameters:
        return np.array([np.asarray(env.params[short], float) for env in spec.environments]).ravel()
    return None


def _around(values: Float[np.ndarray, " values"] | None, box: Interval) -> Interval:
    if values is None:
        return box
    shares = (np.asarray(to_unit(values, box), float) + 1) / 2
    low, high = np.quantile(shares, [TAIL, 1 - TAIL])
    margin = max(WIDER * (high - low), LEAST)
    return Interval(*(float(box.at(share)) for share in (max(0.0, low - margin), min(1.0, high + margin))))
