"""Certificates: the accuracy of a learned policy, measured over its trained domain and at the corners.

If an exact policy exists the learned one is compared with it: divergence, total variation, the slope of the
log-likelihood, and from these a **budget of decisions** (`measures.budget`). Otherwise the certificate reports how far
the policy is from being its own best reply, with a verdict: pass, fail, or undecided.
"""

from collections.abc import Sequence
from typing import Any

from bayescal.environments.base import OneShot
from bayescal.environments.repeated import Repeated
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.learned import LearnedPolicy
from bayescal.training.certificate.cells import Keeper
from bayescal.training.certificate.improvement import Settings
from bayescal.training.certificate.in_play import certify_in_play
from bayescal.training.certificate.measures import Progress
from bayescal.training.certificate.one_shot import certify_one_shot, oracle_kl
from bayescal.training.certificate.over_time import certify_against_exact_play, has_exact
from bayescal.training.certificate.repeated import certify_repeated

__all__ = [
    "Keeper", "Settings", "certify", "certify_against_exact_play", "certify_in_play", "certify_one_shot", "has_exact",
    "oracle_kl",
]  # fmt: skip


def certify(
    policy: LearnedPolicy,
    *,
    points: int = 300,
    seed: int = 0,
    ensemble: Sequence[LearnedPolicy] = (),
    settings: Settings = Settings(),  # noqa: B008 - frozen
    keeper: Keeper | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure a policy: against the exact one if there is one, else in games that it plays with itself.

    Args:
        points: number of points, drawn uniformly from the domain with `seed`.
        ensemble: policies trained with other seeds; their disagreement is reported.
        settings: how much is rolled out and played, where there is no exact policy.
        keeper: where that is kept as it is measured, to go on from after an interruption.
        progress: called with (text, done, in all).

    Example:
        >>> import bayescal as bc
        >>> shop = bc.Newsvendor(orders=range(0, 101, 25), rounds=2)
        >>> policy = bc.AmortisedPolicy(shop, {"cost": (10.0, 1000.0)}, width=8, depth=1)
        >>> measured = bc.certify(policy, points=4)  # not trained
        >>> sorted(measured["kl"]), measured["kl"]["mean"] > 0.001
        (['max', 'mean', 'median', 'q95'], True)
    """
    if isinstance(policy.environment, Repeated) and policy.others == "average":
        return certify_repeated(policy, points=points, seed=seed, progress=progress)
    if has_exact(policy):
        return certify_against_exact_play(policy, games=points, seed=seed, progress=progress)
    if isinstance(policy.environment, OneShot):
        return certify_one_shot(policy, points=points, seed=seed, ensemble=ensemble, progress=progress)
    others = [p for p in ensemble if isinstance(p, AmortisedPolicy)]
    return certify_in_play(
        policy, games=points, seed=seed, ensemble=others, settings=settings, keeper=keeper, progress=progress
    )
