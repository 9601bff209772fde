"""The rival models of a study, fitted and compared."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bayescal.comparison.compare import Comparison, Progress, compare, refuse_one
from bayescal.comparison.pointwise import Unit
from bayescal.comparison.rivals import Rivals, rivals
from bayescal.errors import InputError
from bayescal.policies.base import Policy
from bayescal.posterior.calibrate import calibrate
from bayescal.posterior.fit import Fit
from bayescal.posterior.nuts import LONGEST, NUTS
from bayescal.study.load import Study
from bayescal.table.decisions import Decisions

_CAREFUL = 0.95  # target acceptance with which a model that diverged is fitted again


def compare_study(
    study: Study,
    *,
    only: Sequence[str] | None = None,
    full: bool = False,
    policy: Policy | None = None,
    among: Rivals | None = None,
    unit: Unit | None = None,
    folds: int | None = None,
    draws: int = 500,
    warmup: int = 300,
    chains: int = 4,
    seed: int = 0,
    checkpoints: Path | None = None,
    resume: bool = True,
    progress: Progress | None = None,
) -> tuple[dict[str, Fit], Comparison]:
    """Fit the rival models of a study's decisions, and compare their predictions out of sample.

    Args:
        study: of `load_study`.
        only: names of some of the rival models, see `bayescal.comparison.rivals.RIVALS`.
        full: fit the whole cross of behaviours, habits, heterogeneity and pooling.
        policy: the likelihood of people with costs of their own, where it is not the study's.
        among: models in place of the rivals (`ablation(study)`).
        unit, folds: see `compare`.
        draws, warmup, chains, seed: of NUTS, for every model. While chains disagree, up to six times as many draws are
            taken. A model that diverged is fitted once more, with smaller steps and twice the warm-up.
        checkpoints: a folder in which NUTS keeps a checkpoint of each fit; with `resume` an interrupted run continues
            from there, with the same draws. They are deleted when the fits are saved.
        progress: called with (model, iterations done, iterations in all) now and then.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> fits, found = bc.compare_study(study, only=["common cost"], unit="decision", draws=50, chains=2)
        >>> int(found.decisions.sum()), sorted(fits)
        (9600, ['common cost'])
    """
    check_units(study.decisions, unit, folds)
    field = rivals(study, only=only, full=full, policy=policy) if among is None else among
    if not field.models:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in field.left_out.items())
        raise InputError(f"{study.name}: no rival model applies ({reasons}).")
    # Costs are integrated out, so there is no funnel that needs small steps.
    sizes: dict[str, Any] = {"draws": draws, "warmup": warmup, "chains": chains, "longest": LONGEST * draws}
    method = NUTS(**sizes, seed=seed, target_accept=0.8, resume=resume)
    fits = calibrate(study, models=field.models, method=method, checkpoints=checkpoints, progress=progress)
    diverged = {n: f for n, f in fits.items() if f.tree["sample_stats"]["diverging"].any()}
    method = replace(method, warmup=2 * warmup, target_accept=_CAREFUL)
    again = None if progress is None else lambda name, *done: progress(f"{name}, carefully", *done)
    careful = calibrate(study, models={n: field.models[n] for n in diverged}, method=method, progress=again)
    # The checkpoint of the first fit stays until the careful one is saved.
    fits |= {n: replace(fit, checkpoint=diverged[n].checkpoint) for n, fit in careful.items()}
    return fits, compare(
        fits,
        field.models,
        study.decisions,
        unit=unit,
        folds=folds,
        seed=seed,
        left_out=field.left_out,
        made_of=field.made_of,
        progress=progress,
    )


def check_units(decisions: Decisions, unit: Unit | None, folds: int | None) -> None:
    """Refuse what cannot be compared before the long work, not after it."""
    if unit in ("participant", "group", "game"):
        refuse_one(unit, decisions.levels(unit))
    if folds is not None and (unit == "decision" or folds < 2):
        raise InputError(
            f"{folds} folds by {unit or 'unit'}: at least two parts of people, groups or games are left out."
        )
