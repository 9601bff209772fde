"""Which games and values a learned policy was trained for, and what it refuses."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jax.core import Tracer

from bayescal._types import AnyArray, Costs, Parameters, Scalar
from bayescal.domain import Domain
from bayescal.environments.base import Environment, shape_key
from bayescal.errors import DomainError
from bayescal.populations.base import Population
from bayescal.priors.base import Prior

Value = Scalar | AnyArray


def check_domain(
    domain: Domain, variants: Sequence[Environment], prior: Prior, population: Population | None = None
) -> None:
    """Every name in the box must mean something, and everything that varies must be in it."""
    phi = {} if population is None else population.parameters
    needed = {"cost"} | {f"phi.{n}" for n in phi}
    known = needed | {f"psi.{n}" for n in prior.parameters} | {f"params.{n}" for n in variants[0].params}
    problems = [f"{n} is not one of {', '.join(sorted(known))}" for n in domain.names if n not in known]
    problems += [f"{n} is missing" for n in sorted(needed) if n not in domain.names]
    for name, box in domain.intervals:
        if not (math.isfinite(box.low) and math.isfinite(box.high)):
            problems.append(f"{name} is {box}, where a network needs finite ends")
        elif name == "cost" and box.low <= 0:
            problems.append(
                f"cost begins at {box.low:g}, where it must be above zero (zero itself is right by construction)"
            )
    if len({v.roles for v in variants}) > 1 or len({v.action_values for v in variants}) > 1:
        problems.append("the games differ in more than their number of players")
    if problems:
        raise DomainError(f"The domain of this policy cannot be: {'; '.join(problems)}.")


def check_values(
    domain: Domain,
    cost: Costs | None,
    phi: Parameters | None,
    psi: Parameters | None,
    params: Parameters | None,
) -> None:
    """Refuse concrete values outside the box; traced ones are kept inside by the model that draws them."""
    given: dict[str, Value] = {} if cost is None else {"cost": cost}
    for kind, values in (("phi", phi), ("psi", psi), ("params", params)):
        given |= {f"{kind}.{n}": x for n, x in (values or {}).items()}
    concrete = {n: np.asarray(x, float) for n, x in given.items() if not isinstance(x, Tracer)}
    boxes = dict(domain.intervals)
    if "cost" in concrete:
        costs = concrete["cost"]
        if np.any(np.isnan(costs)) or np.any(costs < 0):
            raise DomainError(f"cost is {costs.tolist()}: every cost must be a positive number.")
        # Costs of zero and infinity are the limits, right by construction.
        inside = costs[(costs > 0) & np.isfinite(costs)]
        concrete["cost"] = inside if inside.size else np.asarray(boxes["cost"].low)
    Domain(tuple((n, box) for n, box in domain.intervals if n in concrete)).check(concrete)


def check_params(
    domain: Domain, trained: Mapping[str, Value], own: Mapping[str, Value], given: Mapping[str, Value]
) -> None:
    """Refuse parameters of the game that the policy was trained at one value of, if they have another.

    Args:
        trained, own, given: the parameters of the game trained for, of the game played, and in place of the latter.
    """
    for name in own:
        value = given.get(name, own[name])
        # A traced policy holds traced parameters, which were checked before.
        if f"params.{name}" in domain.names or isinstance(value, Tracer) or isinstance(trained[name], Tracer):
            continue
        if not np.allclose(np.asarray(value), trained[name], rtol=1e-6):
            raise DomainError(
                f"{name} is {np.asarray(value)}, but the policy was trained at {trained[name]} only: choose that, or "
                f"train one with {name} in its domain."
            )


def same_rules(one: Environment, other: Environment) -> bool:
    """Whether two games differ in their parameters, names and labels only."""
    return shape_key(one) == shape_key(other) and _rules(one) == _rules(other)


def _rules(environment: Environment) -> dict[str, object]:
    loose = {"name", "role_names", "action_labels"}
    fields = type(environment).__dataclass_fields__.items()
    return {n: getattr(environment, n) for n, f in fields if f.metadata.get("static") and n not in loose}


def in_words(environment: Environment) -> str:
    sizes = "x".join(str(len(v)) for v in environment.action_values)
    return f"{type(environment).__name__} ({environment.players} players, {sizes} actions)"
