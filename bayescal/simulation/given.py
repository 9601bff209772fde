"""Parameters by name, as a policy takes them: unknown names, shapes and ranges are refused in one sentence."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescal.domain import Interval
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.populations.base import Population


def is_count(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool) and x >= 1


def population_of(policy: Policy) -> Population | None:
    """What people know of the others' costs, where those are private; None where everybody's cost is known."""
    return getattr(policy, "population", None) if getattr(policy, "private", False) else None


def check_box(policy: Policy, cost: Any, phi: Any, psi: Any, params: Any) -> None:
    """Refuse what the policy has no answer for: a learned one outside its box, any other at a cost of zero."""
    if check := getattr(policy, "check", None):
        return check(cost, phi, psi, params)
    costs = np.atleast_1d(np.asarray(cost, float))
    wrong = costs[~(np.isfinite(costs) & (costs > 0))]
    if wrong.size:
        raise InputError(f"cost is {wrong[0]:g}: every cost must be a positive number of payoff units per nat.")


def read_phi(policy: Policy, phi: Mapping[str, Any] | None) -> dict[str, np.ndarray] | None:
    """The population's parameters, all of them; None where everybody's cost is known."""
    population = population_of(policy)
    if population is None:
        if phi:
            raise InputError("phi was given to a policy for costs that everybody knows: give cost instead.")
        return None
    found = _numbers("phi", phi, population.parameters, f"the {type(population).__name__} population")
    missing = [n for n in population.parameters if n not in found]
    if missing:
        raise InputError(
            f"phi has no {', '.join(missing)}: costs are private, so give the parameters of the "
            f"{type(population).__name__} population ({', '.join(population.parameters)})."
        )
    return found


def read_psi(policy: Policy, psi: Mapping[str, Any] | None) -> dict[str, np.ndarray]:
    """The prior's parameters; its defaults where nothing is given."""
    prior = getattr(policy, "prior", None)
    intervals = {} if prior is None else prior.parameters
    found = _numbers("psi", psi, intervals, f"the prior {type(prior).__name__}" if prior else "this policy")
    return {} if prior is None else {n: np.asarray(x, float) for n, x in prior.defaults.items()} | found


def read_params(environment: Environment, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """The game's parameters; its own where nothing is given."""
    own = dict(environment.params)
    found = _numbers("params", params, dict.fromkeys(own), environment.name)
    wrong = [f"{n} has shape {x.shape} where {np.shape(own[n])} is needed" for n, x in found.items()
             if x.shape != np.shape(own[n])]  # fmt: skip
    if wrong:
        raise InputError(f"params of {environment.name}: {'; '.join(wrong)}.")
    return own | found


def _numbers(
    what: str, given: Mapping[str, Any] | None, known: Mapping[str, Interval | None], whose: str
) -> dict[str, np.ndarray]:
    given = dict(given or {})
    if unknown := [n for n in given if n not in known]:
        names = f"has {', '.join(known)}" if known else "has none"
        raise InputError(f"{what} names {', '.join(unknown)}, but {whose} {names}.")
    out = {}
    for name, value in given.items():
        try:
            out[name] = np.asarray(value, float)
        except (TypeError, ValueError):
            raise InputError(f"{what}: {name} is {value!r}, which is not a number.") from None
        box = known[name]
        if box is not None and out[name].ndim:
            raise InputError(f"{what}: {name} has shape {out[name].shape}, where one number is needed.")
        if not np.all(np.isfinite(out[name])) or (box is not None and not box.contains(out[name])):
            raise InputError(f"{what}: {name} is {value}, where a number in {box or '(-inf, inf)'} is needed.")
    return out
