"""What is believed of the parameters before the data: defaults, and how a user writes their own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpyro import distributions as dist
from numpyro.distributions.truncated import TwoSidedTruncatedDistribution

from bayescal.domain import Interval
from bayescal.errors import InputError
from bayescal.populations.base import default_log_cost

Hyperpriors = dict[str, dist.Distribution]

default_cost = default_log_cost  # of the site log_cost, where everybody has one cost

_OUTSIDE = 0.2  # of a hyperprior's mass, that may be cut off

NOT_IDENTIFIED = (
    "cost and payoff scale cannot be inferred together: doubling every payoff and every cost changes no "
    "prediction, so the data say nothing about the pair. Keep payoffs in the experiment's money and infer the cost."
)


def default_game_parameter(value: Any) -> dist.Distribution:
    """Of a parameter of the game: around the value that the environment has, give or take a factor of e."""
    if np.ndim(value) or not np.isfinite(value):
        raise InputError("Only parameters of the game that are one number can be inferred.")
    return dist.LogNormal(np.log(value), 1.0) if value > 0 else dist.Normal(value, 1.0)


def inside(name: str, distribution: dist.Distribution, box: Interval) -> dist.Distribution:
    """The distribution, cut off at the box that a learned policy answers for."""
    d, low, high = distribution, box.low, box.high
    if isinstance(d, dist.Normal):
        return dist.TruncatedNormal(d.loc, d.scale, low=low, high=high)
    if isinstance(d, dist.HalfNormal):
        return dist.TruncatedNormal(0.0, d.scale, low=max(low, 0.0), high=high)
    if isinstance(d, dist.LogNormal):
        cut = inside(name, dist.Normal(d.loc, d.scale), Interval(np.log(max(low, 1e-300)), np.log(high)))
        return dist.TransformedDistribution(cut, dist.transforms.ExpTransform())
    if isinstance(d, dist.Uniform):
        return dist.Uniform(max(low, float(d.low)), min(high, float(d.high)))
    raise InputError(
        f"The hyperprior of {name} is a {type(d).__name__}, which cannot be cut off at the box {box} that the learned "
        "policy answers for: give a Normal, HalfNormal, LogNormal or Uniform, or use ExactPolicy."
    )


def refuse_outside(given: Hyperpriors, box: Mapping[str, Interval]) -> None:
    """A hyperprior of the user's own must be about values that a learned policy answers for."""
    faults = []
    for name in sorted(set(given) & set(box)):
        d, walls = given[name], box[name]
        try:
            inside = float(d.cdf(walls.high) - d.cdf(walls.low))
        except NotImplementedError:
            continue
        if inside < 1 - _OUTSIDE:
            faults.append(
                f"The hyperprior of {name}, {describe(d)}, puts {1 - inside:.0%} of its mass outside the box {walls} "
                "that the learned policy answers for: give a narrower one, or a policy with a larger box."
            )
    if faults:
        raise InputError(" ".join(faults))


def read_hyperpriors(given: Mapping[str, Any] | None, defaults: Hyperpriors) -> Hyperpriors:
    """The defaults with the user's own in their place.

    An entry is a NumPyro distribution, or, as in dataset.toml, `[location, scale]` of a normal or the scale
    of a half-normal.
    """
    chosen = dict(defaults)
    problems = []
    for name, value in (given or {}).items():
        if name == "payoff_scale":
            problems.append(NOT_IDENTIFIED)
        elif name not in defaults:
            problems.append(f"hyperpriors name {name!r}, which this model does not have; it has {', '.join(defaults)}.")
        elif isinstance(value, dist.Distribution):
            chosen[name] = value
        elif _is_number(value) and value > 0:
            chosen[name] = dist.HalfNormal(float(value))
        elif isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_number, value)) and value[1] > 0:
            chosen[name] = dist.Normal(float(value[0]), float(value[1]))
        else:
            problems.append(
                f"hyperprior {name!r} is {value!r}: give a NumPyro distribution, [location, scale] of a normal, "
                "or the scale of a half-normal."
            )
    if problems:
        raise InputError(" ".join(problems))
    return chosen


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def describe(distribution: dist.Distribution) -> str:
    """`Normal(1.52, 1.41)` or `LogNormal(-1.51, 1) between 0.15 and 2.4`, for reports.

    Example:
        >>> from bayescal.domain import Interval
        >>> from bayescal.model.hyperpriors import default_game_parameter, describe, inside
        >>> describe(inside("kappa", default_game_parameter(0.22), Interval(0.15, 2.4)))
        'LogNormal(-1.51413, 1) between 0.15 and 2.4'
    """
    d, through, value = distribution, "", lambda x: x
    if isinstance(d, dist.TransformedDistribution) and isinstance(d.transforms[0], dist.transforms.ExpTransform):
        d, through, value = d.base_dist, "Log", np.exp
    if isinstance(d, TwoSidedTruncatedDistribution):
        low, high = (float(value(x)) for x in (d.low, d.high))
        return f"{through}{describe(d.base_dist)} between {low:g} and {high:g}"
    names = [n for n in distribution.arg_constraints if n not in ("validate_args",)]
    values = [getattr(distribution, n, None) for n in names]
    numbers = [f"{float(v):g}" for v in values if v is not None and np.ndim(v) == 0]
    return f"{type(distribution).__name__}({', '.join(numbers)})"
