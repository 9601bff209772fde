"""The main job: a study in, its standard fits out."""

from collections.abc import Callable
from typing import Any

from bayescal.errors import InputError
from bayescal.inference.fit import Fit
from bayescal.inference.infer import prepare
from bayescal.inference.model import build_model
from bayescal.inference.nuts import NUTS
from bayescal.policies.base import Policy
from bayescal.policies.exact import ExactPolicy
from bayescal.populations.homogeneous import Homogeneous
from bayescal.priors.base import Prior
from bayescal.priors.uniform import Uniform

Report = Callable[[str, int, int], None]  # (fit, iterations done, iterations in all)


def calibrate(
    study: Any,
    *,
    draws: int = 1000,
    warmup: int = 600,
    chains: int = 4,
    seed: int = 0,
    prior: Prior | None = None,
    policy: Policy | None = None,
    progress: Report | None = None,
) -> dict[str, Fit]:
    """Fit a study's standard models on exact policies: one cost for all ("pooled") and, where it has several
    games or groups, one cost for each, partially pooled ("by game", "by group").

    Args:
        prior: what people fall back on; uniform when None.
        policy: the likelihood, a learned one for example; games are solved exactly when None.
    """
    decisions = study.decisions
    unknown = sorted(set(study.hyperpriors) - {"log_cost", "log_cost_mean", "log_cost_sd"})
    if unknown:
        raise InputError(
            f"{study.name}: the hyperpriors name {', '.join(unknown)}, which no standard model has; they have log_cost "
            "(pooled), log_cost_mean and log_cost_sd (by game or group)."
        )
    levels: list[Any] = [None, *(x for x in ("game", "group") if x in decisions.cells and len(decisions.levels(x)) > 1)]
    if policy is None:
        policy = ExactPolicy(next(iter(decisions.environments.values())), prior or Uniform())
    elif prior is not None:
        raise InputError("A policy has a prior of its own: give a policy or a prior, not both.")
    begun = {}
    for by in levels:
        name = f"by {by}" if by else "pooled"
        tell = None if progress is None else lambda i, n, name=name: progress(name, i, n)
        mine = {"log_cost_mean", "log_cost_sd"} if by else {"log_cost"}
        model = build_model(
            policy,
            Homogeneous(),
            decisions,
            by=by,
            hyperpriors={k: v for k, v in study.hyperpriors.items() if k in mine},
        )
        method = NUTS(draws=draws, warmup=warmup, chains=chains, seed=seed, progress=tell)
        begun[name] = prepare(model, method)
    provenance = {"study": study.name, "data_hash": decisions.data_hash}
    return {name: run(provenance) for name, run in begun.items()}
