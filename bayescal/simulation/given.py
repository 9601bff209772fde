"""Parameters by name, as a policy takes them. Wrong names, shapes and ranges are refused in one sentence."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from bayescal._types import AnyArray, Parameters
from bayescal.domain import Interval
from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.populations.base import Population

Numbers = float | int | np.number | AnyArray | Sequence[object]  # as a user writes them: checked when they are read


def is_count(x: object) -> bool:
    """Whether x is a whole number of at least 1."""
    return isinstance(x, int | np.integer) and not isinstance(x, bool) and bool(x >= 1)


def population_of(policy: Policy) -> Population | None:
    """The population that private costs come from; None where everybody's cost is known."""
    return getattr(policy, "population", None) if getattr(policy, "private", False) else None


def check_box(
    policy: Policy, cost: Float[AnyArray, "..."], phi: Parameters | None, psi: Parameters, params: Parameters
) -> None:
    """Refuse values outside a learned policy's trained domain, and costs of zero or less for any policy."""
    if check := getattr(policy, "check", None):
        return check(cost, phi, psi, params)
    costs = np.atleast_1d(np.asarray(cost, float))
    wrong = costs[~(np.isfinite(costs) & (costs > 0))]
    if wrong.size:
        raise InputError(f"cost is {wrong[0]:g}: every cost must be a positive number of payoff units per nat.")


def read_phi(policy: Policy, phi: Mapping[str, Numbers] | None) -> dict[str, np.ndarray] | None:
    """The population's parameters, all of them; None where everybody's cost is known."""
    population = population_of(policy)
    if population is None:
        if phi:
            raise InputError("phi was given to a policy for costs that everybody knows: give cost instead.")
        return None
    numbers = _numbers("phi", phi, population.parameters, f"the {type(population).__name__} population")
    missing = [n for n in population.parameters if n not in numbers]
    if missing:
        raise InputError(
            f"phi has no {', '.join(missing)}: costs are private, so give the parameters of the "
            f"{type(population).__name__} population ({', '.join(population.parameters)})."
        )
    return numbers


def read_psi(policy: Policy, psi: Mapping[str, Numbers] | None) -> dict[str, np.ndarray]:
    """The prior's parameters; its defaults where nothing is given."""
    prior = getattr(policy, "prior", None)
    intervals = {} if prior is None else prior.parameters
    numbers = _numbers("psi", psi, intervals, f"the prior {type(prior).__name__}" if prior else "this policy")
    return {} if prior is None else {n: np.asarray(x, float) for n, x in prior.defaults.items()} | numbers


def read_params(environment: Environment, params: Mapping[str, Numbers] | None) -> dict[str, np.ndarray]:
    """The game's parameters; its own where nothing is given."""
    defaults = {n: np.asarray(x) for n, x in environment.params.items()}
    numbers = _numbers("params", params, dict.fromkeys(defaults), environment.name)
    wrong = [f"{n} has shape {x.shape} where {defaults[n].shape} is needed" for n, x in numbers.items()
             if x.shape != defaults[n].shape]  # fmt: skip
    if wrong:
        raise InputError(f"params of {environment.name}: {'; '.join(wrong)}.")
    return defaults | numbers


def _numbers(
    what: str, given: Mapping[str, Numbers] | None, known: Mapping[str, Interval | None], whose: str
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
