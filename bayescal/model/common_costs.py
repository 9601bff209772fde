"""The model of costs that everybody knows, or of a population where nobody is named."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro import distributions as dist

from bayescal._types import Scalar
from bayescal.domain import Interval
from bayescal.likelihood.base import CommonLikelihood, play_in
from bayescal.likelihood.one_shot import OneShotCommon
from bayescal.likelihood.over_time import OverTimeCommon
from bayescal.model.hyperpriors import (
    Hyperpriors,
    default_cost,
    default_game_parameter,
    inside,
    read_hyperpriors,
    refuse_outside,
)
from bayescal.model.log_costs import inside_bounds
from bayescal.model.model import Model
from bayescal.model.payoffs import payoff_scale
from bayescal.model.people import site_of
from bayescal.model.private_costs import INFORMED
from bayescal.model.spec import ModelSpec
from bayescal.policies.base import Policy
from bayescal.precision import double_precision


def common_costs(spec: ModelSpec) -> Model:
    """The model of one cost for everybody, one for each level, or one that is known.

    If costs are private but nobody is named, each decision is made by somebody else, and only the population's
    parameters are inferred.
    """
    # Before its bounds are compared with hyperpriors: a policy that was trained for other games or people is refused.
    play_in(spec.policy, spec.environments[0], spec.population if spec.private else None)
    box = _site_box(spec.policy)
    hyperpriors = _hyperpriors(spec, box)
    likelihood = _likelihood(spec, hyperpriors)
    levels = () if spec.by is None else spec.decisions.levels(spec.by)
    natural = {f"psi_{n}": i for n, i in spec.habit_parameters.items()}
    return Model(
        spec=spec,
        sample=_sample(spec, likelihood, hyperpriors, len(levels), box.get("log_cost")),
        coords=likelihood.data.coords | ({} if spec.by is None else {spec.by: np.asarray(levels, dtype=str)}),
        dims={"choices": ("action",)},
        constant_data=likelihood.data.constant,
        hyperpriors=hyperpriors,
        box={n: i for n, i in box.items() if n in hyperpriors or (n == "log_cost" and spec.cost is None)},
        description=_describe(spec),
        numbers=likelihood.data.size,
        natural=natural | (dict(spec.population.parameters) if spec.private else {}),
    )


def _hyperpriors(spec: ModelSpec, box: Mapping[str, Interval]) -> Hyperpriors:
    scale = payoff_scale(spec.environments)
    defaults: Hyperpriors = {}
    if spec.private:
        defaults |= spec.population.default_hyperpriors(scale)
    elif spec.cost is None and spec.by is None:
        defaults["log_cost"] = default_cost(scale)
    elif spec.cost is None:
        defaults |= {"log_cost_mean": default_cost(scale), "log_cost_sd": dist.HalfNormal(1.0)}
    if spec.habit is not None and spec.habit_parameters:
        defaults |= {f"psi_{n}": d for n, d in spec.habit.default_hyperpriors(scale).items()}
    defaults |= {n: default_game_parameter(spec.environments[0].params[n]) for n in spec.parameters}
    if spec.lapse:
        defaults["lapse"] = dist.Beta(1.0, 19.0)
    chosen = read_hyperpriors(spec.hyperpriors, defaults)
    refuse_outside({n: chosen[n] for n in spec.hyperpriors if n in chosen}, box)
    return {n: inside(n, d, box[n]) if n in box else d for n, d in chosen.items()}


def _likelihood(spec: ModelSpec, hyperpriors: Hyperpriors) -> CommonLikelihood:
    decisions, by = spec.decisions, spec.by
    constant = not set(hyperpriors) - {"lapse"}
    options: dict[str, Any] = {"constant": constant, "given": {} if spec.cost is None else {"cost": float(spec.cost)}}
    with double_precision():
        if decisions.play is None:
            population = spec.population if spec.private else None
            level = None if by is None else decisions.by(by)
            likelihood = OneShotCommon.of(spec.policy, population, decisions, level=level, **options)
        else:  # where costs are private, everybody is somebody: see `private_costs`
            likelihood = OverTimeCommon.of(spec.policy, None, decisions, by=by, **options)
        likelihood.check_support()
    return likelihood


def _sample(
    spec: ModelSpec, likelihood: CommonLikelihood, hyperpriors: Hyperpriors, levels: int, bounds: Interval | None
) -> Callable[[], None]:
    """The NumPyro model."""
    centred = _informed(spec) if spec.centred is None else spec.centred
    draw = lambda name: jnp.asarray(numpyro.sample(name, hyperpriors[name]))

    def costs() -> dict[str, Any]:
        """The cost, of each level if there are several, or what it is drawn from."""
        if spec.private:
            return {f"phi.{n}": draw(n) for n in spec.population.parameters}
        if spec.cost is not None:
            return {}
        if spec.by is None:
            return {"cost": _cost(draw("log_cost"))}
        mean, sd = draw("log_cost_mean"), draw("log_cost_sd")
        with numpyro.plate(spec.by, levels):
            return {"cost": _cost(_level_costs(mean, sd, bounds, centred=centred))}

    def model() -> None:
        shared: dict[str, Any] = costs()
        shared |= {f"psi.{n}": draw(f"psi_{n}") for n in spec.habit_parameters}
        if spec.lapse:
            shared["lapse"] = draw("lapse")
        likelihood.observe(shared | {f"params.{n}": draw(n) for n in spec.parameters})

    return model


def _informed(spec: ModelSpec) -> bool:
    """Whether every level has decisions enough to be sampled by itself."""
    if spec.by is None:
        return False
    decisions = spec.decisions
    return bool(np.bincount(decisions.by(spec.by), decisions.counts.sum(axis=1)).min() >= INFORMED)


def _cost(log_cost: Any) -> Any:
    cost = numpyro.deterministic("cost", jnp.exp(log_cost))
    numpyro.deterministic("precision", 1 / jnp.asarray(cost))
    return cost


def _level_costs(mean: Scalar, sd: Scalar, bounds: Interval | None, *, centred: bool) -> Any:
    """Log costs of the levels around their mean, inside the bounds of the trained domain."""
    if centred:
        normal = dist.Normal(mean, sd)
        if bounds is not None:
            normal = dist.TruncatedNormal(mean, sd, low=bounds.low, high=bounds.high)
        return numpyro.sample("log_cost", normal)
    offset: Any = numpyro.sample("log_cost_offset", dist.Normal(0.0, 1.0))
    log_cost = mean + sd * offset if bounds is None else inside_bounds(offset, mean, sd, bounds)
    return numpyro.deterministic("log_cost", log_cost)


def _site_box(policy: Policy) -> dict[str, Interval]:
    """The trained domain of a learned policy by the names of the model's sites."""
    domain: Any = getattr(policy, "domain", None)
    if domain is None:
        return {}
    renamed = {}
    for name, interval in domain.intervals:
        if name == "cost":
            renamed["log_cost"] = Interval(float(np.log(interval.low)), float(np.log(interval.high)))
        else:
            renamed[site_of(name)] = interval
    return renamed


def _describe(spec: ModelSpec) -> str:
    if spec.private:
        costs = f"private costs drawn from a {type(spec.population).__name__} population"
    elif spec.cost is not None:
        costs = f"a known cost of {spec.cost:g}"
    elif spec.by is None:
        costs = "one cost for everybody in all games"
    else:
        costs = f"one cost for each {spec.by}, partially pooled"
    more = f"; {', '.join(spec.parameters)} of the game inferred" if spec.parameters else ""
    more += "; lapses" if spec.lapse else ""
    inferred = " (parameters inferred)" if spec.habit_parameters else ""
    return f"{type(spec.policy).__name__} with a {type(spec.habit).__name__} prior{inferred} and {costs}{more}"
