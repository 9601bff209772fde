"""The box of a learned policy in the unit of the game's payoffs (`Environment.rescale`).

Doubling all payoffs and all costs of information changes nobody's choices. In the game's own unit this is no longer a
dimension of the box that a network has to learn.
"""

import math
from collections.abc import Mapping
from itertools import product

import numpy as np

from bayescal._types import Parameters, Scalar
from bayescal.domain import Domain, Interval
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.populations.base import Population

Ends = Mapping[str, tuple[float, float]]


def box_in_own_unit(box: Domain, environment: Environment, population: Population | None) -> Domain | None:
    """The smallest box that contains the rescaled points of `box`; None if rescaling moves none of them.

    A parameter that is one number after rescaling is left out. The extremes are at corners, since rescaled parameters
    are ratios.

    Example:
        >>> import bayescal as bc
        >>> from bayescal.policies.own_unit import box_in_own_unit
        >>> ranges = {"cost": (2.0, 200.0), "params.intercept": (80.0, 120.0), "params.slope": (0.5, 2.0)}
        >>> box_in_own_unit(bc.Domain.from_dict(ranges), bc.RepeatedCournot(), None).as_dict()
        {'cost': [1.0, 400.0], 'params.intercept': [40.0, 240.0], 'params.cost': [0.5, 2.0]}
    """
    ends = {n.removeprefix("params."): (i.low, i.high) for n, i in box.intervals if n.startswith("params.")}
    shapes = {n: np.shape(x) for n, x in environment.params.items()}
    found: dict[str, list[np.ndarray]] = {n: [] for n in environment.params}
    units = []
    for corner in product(*ends.values()):
        at = {n: np.full(shapes[n], x) for n, x in zip(ends, corner, strict=True)}
        params, unit = environment.rescale({**environment.params, **at})
        units.append(float(unit))
        for name, x in params.items():
            found[name].append(np.asarray(x))
    if all(unit == 1 for unit in units):
        return None
    low, high = math.log(min(units)), math.log(max(units))
    try:
        inside = _shifted_box(box, population, (-high, -low))
    except InputError:  # costs of this population cannot be rescaled
        return None
    params = {f"params.{n}": (float(np.min(x)), float(np.max(x))) for n, x in found.items()}
    varying = {n: ends for n, ends in params.items() if ends[0] < ends[1] * (1 - 1e-12)}
    return Domain(tuple((n, Interval(*ends)) for n, ends in (inside | varying).items()))


def _shifted_box(box: Domain, population: Population | None, by: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """The entries of a box but for parameters of the game, with log costs moved by anything between these numbers."""
    out = {n: (i.low, i.high) for n, i in box.intervals if not n.startswith("params.")}
    out["cost"] = (out["cost"][0] * math.exp(by[0]), out["cost"][1] * math.exp(by[1]))
    phi = {n.removeprefix("phi."): ends for n, ends in out.items() if n.startswith("phi.")}
    corners = [dict(zip(phi, corner, strict=True)) for corner in product(*phi.values())]
    moved = [shifted(population, corner, x) or {} for corner in corners for x in by]
    for name in phi:
        values = [float(m[name]) for m in moved]
        out[f"phi.{name}"] = (min(values), max(values))
    return out


def shifted(population: Population | None, phi: Parameters | None, by: Scalar | float) -> Parameters | None:
    """phi of people whose log costs have moved."""
    return phi if population is None or phi is None else population.shifted(phi, by)
