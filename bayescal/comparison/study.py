"""The rivals of a study, fitted and compared."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bayescal.comparison.compare import Comparison, Progress, compare
from bayescal.comparison.pointwise import Unit
from bayescal.decisions import Decisions
from bayescal.errors import InputError
from bayescal.inference.fit import Fit
from bayescal.inference.infer import prepare
from bayescal.inference.nuts import NUTS
from bayescal.inference.rivals import Rivals, rivals


def compare_study(
    study: Any,
    *,
    only: Sequence[str] | None = None,
    policy: Any = None,
    among: Rivals | None = None,
    unit: Unit | None = None,
    folds: int | None = None,
    draws: int = 750,
    warmup: int = 400,
    chains: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[dict[str, Fit], Comparison]:
    """Fit every rival explanation of a study's decisions, and compare what they predict of people they have not seen.

    Args:
        study: of `load_study`.
        only: names of some of the rivals, see `bayescal.inference.rivals.NAMES`.
        policy: the likelihood of people with costs of their own, where it is not the study's.
        among: models in place of the rivals (`ablation(study)`).
        unit, folds: see `compare`.
        draws, warmup, chains, seed: of NUTS, for every model.
        progress: called with (model, iterations done, iterations in all) now and then.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> fits, found = bc.compare_study(study, only=["common cost"], unit="decision", draws=50, chains=2)
        >>> int(found.decisions.sum()), sorted(fits)
        (9600, ['common cost'])
    """
    _check(study.decisions, unit, folds)
    found = rivals(study, only=only, policy=policy) if among is None else among
    if not found.models:
        raise InputError(f"{study.name}: no explanation can be fitted. {' '.join(found.left_out.values())}")
    method = NUTS(draws=draws, warmup=warmup, chains=chains, seed=seed)
    # All are prepared before the first is run, so that compilation is side by side.
    begun = {n: prepare(m, _told(method, n, progress)) for n, m in found.models.items()}
    provenance = {"study": study.name, **facts_of(study.decisions)}
    fits = {n: run(provenance | {"rival": n}) for n, run in begun.items()}
    compared = compare(
        fits,
        found.models,
        study.decisions,
        unit=unit,
        folds=folds,
        seed=seed,
        left_out=found.left_out,
        progress=progress,
    )
    return fits, compared


def _check(decisions: Decisions, unit: Unit | None, folds: int | None) -> None:
    """Refused before the long work, not after it."""
    if unit in ("participant", "group", "game"):
        decisions.levels(unit)
    if folds is not None and (unit == "decision" or folds < 2):
        raise InputError(
            f"{folds} folds by {unit or 'unit'}: at least two parts of people, groups or games are left out."
        )


def facts_of(decisions: Decisions) -> dict[str, Any]:
    """By which fits of the same decisions on the same grid are known."""
    grids = {
        f"{role}: {len(values)} values from {values[0]:g} to {values[-1]:g}"
        for game in decisions.environments.values()
        for role, values in zip(game.role_names, game.action_values, strict=True)
    }
    return {"data_hash": decisions.data_hash, "snapped": decisions.snapped, "grids": sorted(grids)}


def _told(method: NUTS, name: str, progress: Callable[[str, int, int], None] | None) -> NUTS:
    """The method with progress of this model."""
    if progress is None:
        return method
    settings: Mapping[str, Any] = {n: getattr(method, n) for n in ("draws", "warmup", "chains", "seed")}
    return NUTS(**settings, progress=lambda done, total: progress(name, done, total))
