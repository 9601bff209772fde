"""Sharpening: fit again with a policy that is better where the posterior is, and report what moved.

In one-shot games the policy becomes a `SharpenedPolicy`, which is the equilibrium itself. In staged games over time the
policy is trained on in the posterior's neighbourhood.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayescal._types import Facts
from bayescal.diagnostics.neighbourhood import neighbourhood
from bayescal.diagnostics.reweighted import MOVE
from bayescal.domain import Domain
from bayescal.errors import InputError
from bayescal.model.build import from_spec
from bayescal.model.model import Model
from bayescal.plain import plain
from bayescal.policies.base import Policy
from bayescal.policies.learned import LearnedPolicy
from bayescal.policies.sharpened import SharpenedPolicy
from bayescal.policies.staged import StagedPolicy
from bayescal.posterior.assemble import Method
from bayescal.posterior.fit import Fit
from bayescal.posterior.grid import Grid
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS
from bayescal.posterior.svi import SVI
from bayescal.training.look_ahead import LookAhead
from bayescal.training.train import Progress, train

STEPS = 1500  # of training in a neighbourhood: a few minutes on two cores
_GENTLY = 2e-3  # learning rate, from weights that are about right
_FURTHER = 8  # rounds beyond the one that is paid, by which own actions are followed
_ERRORS = 2.0  # Monte-Carlo errors by which a shift must be clear of the limit
_SAME = ("study", "name", "data_hash", "snapped", "grids", "loaded")  # provenance that the data have, whatever the fit


@dataclass(frozen=True, eq=False)
class Sharpening:
    """A fit made again with a sharpened policy.

    Attributes:
        fit: the new fit.
        model: that it was drawn from; `model.spec.policy` is the sharpened policy.
        table: by parameter, mean and sd of the first fit, `sharpened_mean` and `sharpened_sd`, and `shift`, by how many
            of the first fit's sds the mean moved, with its Monte-Carlo error `shift_error`.
    """

    fit: Fit
    model: Model
    table: pd.DataFrame

    @property
    def largest(self) -> str:
        """The parameter that moved most."""
        return str(self.table["shift"].abs().idxmax())

    @property
    def settled(self) -> bool | None:
        """Whether no mean moved by more than a tenth of its sd; None if a shift is too near that limit for its
        Monte-Carlo error, or a fit has not converged."""
        shift, error = self.table["shift"].abs(), _ERRORS * self.table["shift_error"]
        if bool((shift - error > MOVE).any()):
            return False
        return True if self.fit.converged and bool((shift + error <= MOVE).all()) else None

    @property
    def verdict(self) -> str:
        """What moved, in a sentence."""
        row = self.table.loc[self.largest]
        moved = f"{self.largest} moves most, by {row['shift']:+.2f} ± {row['shift_error']:.2f} sd"
        if not self.fit.converged:
            return f"undecided: the sharpened fit has not converged ({self.fit.status}); {moved}."
        match self.settled:
            case True:
                return f"the learned policy was good enough: no mean moves by more than {MOVE:g} sd ({moved})."
            case False:
                return f"the learned policy was not good enough: {moved}. Use the sharpened fit."
        return f"undecided: {moved}, too near the limit of {MOVE:g} sd. Use the sharpened fit, or take more draws."

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        facts = {"verdict": self.verdict, "settled": self.settled, "status": str(self.fit.status)}
        return plain(facts | {"parameters": self.table.to_dict("index")})

    def __str__(self) -> str:
        return f"{self.table.to_string(float_format='{:.3f}'.format)}\n{self.verdict}"


def sharpen(
    fit: Fit,
    model: Model,
    method: Method | None = None,
    *,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Sharpening:
    """Fit again with a policy that is better where the posterior is, and compare.

    In a one-shot game that policy is the exact equilibrium. In a staged game over time the learned policy is trained on
    in the posterior's neighbourhood (`neighbourhood`); where the shift is large, sharpen the new fit once more.

    Args:
        fit: drawn from `model`.
        model: built on a learned policy.
        method: of the new fit; with the settings of `fit` when None.
        steps, seed, progress: of the training, in games over time (see `bayescal.training.train`).

    Raises:
        InputError: the model is not built on a learned policy, or on one that cannot be sharpened.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.load_model("normal-form-2x2")
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> found = bc.sharpen(bc.infer(model, bc.Grid()), model)
        >>> found.fit.provenance["policy"]["kind"], found.settled  # nine thousand choices show the difference
        ('sharpened', False)
    """
    fitted = fit.provenance.get("model")
    if fitted and model.description and fitted != model.description:
        raise InputError(f"The fit was drawn from another model ({fitted}) than the one given ({model.description}).")
    policy = model.spec.policy
    check_sharpenable(policy)
    if isinstance(policy, StagedPolicy):
        sharp = trained_on(policy, neighbourhood(fit, model.spec), steps=steps, seed=seed, progress=progress)
    else:
        assert isinstance(policy, LearnedPolicy)
        sharp = SharpenedPolicy(policy)
    built = rebuilt(model, sharp)
    known = {name: fit.provenance[name] for name in _SAME if name in fit.provenance}
    again = infer(built, method or method_of(fit), provenance=known)
    return Sharpening(again, built, shifts(fit.summary(), again.summary()))


def check_sharpenable(policy: Policy) -> None:
    """An InputError if a policy cannot be sharpened: it was not learned, or its game is over time and not staged."""
    if isinstance(policy, StagedPolicy):
        return
    if isinstance(policy, SharpenedPolicy) or not isinstance(policy, LearnedPolicy):
        raise InputError(f"{type(policy).__name__} is not a learned policy: only a learned policy can be sharpened.")
    SharpenedPolicy(policy)


def trained_on(
    policy: StagedPolicy, box: Domain, *, steps: int = STEPS, seed: int = 0, progress: Progress | None = None
) -> StagedPolicy:
    """The policy trained on in a part of its domain. It answers for all of the domain, but is better only there."""
    horizon = policy.environment.paid_after + _FURTHER
    trainer = LookAhead(policy, steps=steps, learning_rate=_GENTLY, horizon=horizon, focus=box)
    trained = train(trainer, seed=seed, progress=progress).policy
    assert isinstance(trained, StagedPolicy)
    return trained


def rebuilt(model: Model, policy: Policy) -> Model:
    """The same model, built on another policy."""
    spec: Any = model.spec
    changes: Facts = {"policy": policy}
    if getattr(spec, "evidence", None) is not None:
        changes = {**changes, "evidence": None}  # that of the learned policy
    return from_spec(dataclasses.replace(spec, **changes))


def method_of(fit: Fit) -> Method:
    """The method that a fit was made with, and its settings."""
    facts = fit.provenance
    pick = lambda *names: {n: facts[n] for n in names if n in facts}
    match facts.get("method", "NUTS"):
        case "SVI":
            return SVI(**pick("guide", "steps", "draws", "particles", "learning_rate", "seed"))
        case "Grid":
            points = {"points": facts["grid_points"]} if "grid_points" in facts else {}
            return Grid(draws=fit.tree["posterior"].sizes["draw"], **points, **pick("seed"))
    return NUTS(**pick("draws", "warmup", "chains", "target_accept", "seed"))


def shifts(first: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """See `Sharpening.table`.

    Args:
        first, again: `Fit.summary` of the two fits.
    """
    names = [n for n in first.index if n in again.index and first.loc[n, "sd"] > 0]
    first, again = first.loc[names], again.loc[names]
    error = np.hypot(first["mcse_mean"], again["mcse_mean"])
    return pd.DataFrame(
        {
            "mean": first["mean"],
            "sd": first["sd"],
            "sharpened_mean": again["mean"],
            "sharpened_sd": again["sd"],
            "shift": (again["mean"] - first["mean"]) / first["sd"],
            "shift_error": error / first["sd"],
        }
    )
