"""Which explanation predicts best what it has not seen, and is the difference clear?"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bayescal.comparison.loo import LeftOut, leave_one_out, leave_parts_out, parts_of
from bayescal.comparison.pointwise import UNITS, Pointwise, Unit, constants_of, default_unit, people_in, pointwise
from bayescal.comparison.same import refuse_different
from bayescal.comparison.scores import score_all
from bayescal.comparison.stacking import stack
from bayescal.errors import InputError
from bayescal.model.build import Model
from bayescal.plain import listed, plain
from bayescal.posterior.fit import Fit
from bayescal.posterior.psis import K_HAT
from bayescal.posterior.status import Status
from bayescal.table.decisions import Decisions

Progress = Callable[[str, int, int], None]  # (model, done, in all)

_CLEAR_SE = 2.0  # standard errors, and
_CLEAR_NATS = 4.0  # nats, beyond both of which a difference is clear: below four nats its error is not to be trusted


@dataclass(frozen=True, eq=False)
class Comparison:
    """What models predict of units that were left out.

    Attributes:
        unit: what is left out: "participant", "group", "game" or "decision".
        units: their labels; `decisions` says how many decisions each stands for (of the unit "decision", all that one
            person took for the same action in one role of one game, each left out by itself).
        table: by model, best first: elpd (expected log predictive density, in nats) and its standard error se,
            per_decision, difference to the best and difference_se, weight (stacking), k_hat (the largest) and k_bad
            (how many units are above 0.7 at first), how ("psis", "mixture for 8", "10-fold"), status of the fit,
            reason (what is wrong with it), and excluded (its fit is not to be trusted: shown, not in the verdict).
        pointwise: elpd of each unit (rows) in each model (columns).
        scores: by model, of a new person: share_predicted, mean_error (units of the action), log_score and floor (nats
            a decision).
        calibration: (model, predicted, observed, low, high, n): how often what was predicted with some probability
            happened.
        verdict: one or two sentences.
        left_out: by name, why an explanation is not in the table.

    Example:
        >>> import bayescal as bc, numpy as np, pandas as pd
        >>> table = pd.DataFrame({"elpd": [-90.0, -95.0], "excluded": [True, False]}, index=["new", "old"])
        >>> pointwise = pd.DataFrame({"new": [-40.0, -50.0], "old": [-45.0, -50.0]})
        >>> bc.Comparison("game", ("a", "b"), np.array([60, 70]), table, pointwise, "").best  # that can be trusted
        'old'
    """

    unit: str
    units: tuple[str, ...]
    decisions: np.ndarray
    table: pd.DataFrame
    pointwise: pd.DataFrame
    verdict: str
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> str | None:
        """The model that the verdict names first; None where no fit can be trusted."""
        trusted = self.table.index[~self.table["excluded"].to_numpy(bool)]
        return str(trusted[0]) if len(trusted) else None

    def as_dict(self) -> dict[str, Any]:
        """Every number, as JSON takes it: what is not a number is null."""
        told = {
            "verdict": self.verdict,
            "unit": self.unit,
            "units": self.units,
            "decisions": self.decisions,
            "table": self.table.to_dict("index"),
            "pointwise": self.pointwise.to_dict("list"),
            "scores": self.scores.to_dict("index"),
            "calibration": self.calibration.to_dict("records"),
            "left_out": self.left_out,
        }
        return plain(told)

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.table.to_string(float_format='{:.3f}'.format)}"

    __repr__ = __str__


def compare(
    fits: Mapping[str, Fit],
    models: Mapping[str, Model] | None = None,
    decisions: Decisions | None = None,
    *,
    unit: Unit | None = None,
    folds: int | None = None,
    seed: int = 0,
    left_out: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare fits of the same decisions by what they predict of units that were left out.

    Args:
        fits: by name.
        models: that were fitted, by the same names. Those whose fit can be trusted are fitted again without the units
            that weights cannot leave out, and their predictions of a new person are scored.
        decisions: that were fitted; those of the models when None.
        unit: what is left out; participants where they are named, or else groups, or games.
        folds: leave out as many parts of the units, whole groups together, instead of one unit at a time.
        left_out: by name, why an explanation was not fitted.
        progress: called with ("MODEL, again", refits done, refits in all).

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> models = bc.rivals(study, only=["prior only", "common cost"]).models
        >>> fits = {name: bc.infer(model, bc.Grid(draws=200)) for name, model in models.items()}
        >>> bc.compare(fits, models, unit="decision").best
        'common cost'
    """
    if not fits:
        raise InputError("compare: give at least one fit.")
    if unit is not None and unit not in UNITS:
        raise InputError(f"unit={unit!r}: choose {', '.join(UNITS)}.")
    refuse_different(fits)
    models = {n: m for n, m in (models or {}).items() if n in fits}
    decisions = decisions or next((m.spec.decisions for m in models.values()), None)
    constants = constants_of(next(iter(fits.values())))
    unit = unit or default_unit(constants)
    told = {name: pointwise(fit, unit, decisions, models.get(name)) for name, fit in fits.items()}
    belongs = people_in(decisions, constants, unit)
    units = next(iter(told.values())).units

    def again(name: str) -> dict[str, Any]:
        """How a model is fitted again."""
        shown = None if progress is None else lambda done, total: progress(f"{name}, again", done, total)
        return {"seed": seed, "progress": shown}

    if folds is None:
        # A fit that is excluded is not worth its refits.
        trusted = {n: m for n, m in models.items() if fits[n].converged}
        left = {n: leave_one_out(told[n], fit, trusted.get(n), unit, belongs, **again(n)) for n, fit in fits.items()}
    else:
        if missing := [n for n in fits if n not in models]:
            raise InputError(f"k-fold fits models again: give the models of {', '.join(missing)} too.")
        groups = people_in(decisions, constants, "group") if unit == "participant" else {}
        parts = pd.Series(parts_of(units, groups, folds, seed), index=list(units))
        left = {
            n: leave_parts_out(
                told[n], fit, models[n], unit, belongs, parts[list(told[n].units)].to_numpy(), **again(n)
            )
            for n, fit in fits.items()
        }
    scores, reliable = (None, None) if decisions is None else score_all(models, fits, decisions, seed=seed)
    statuses = {n: f.status for n, f in fits.items()}
    return judge(unit, told, left, statuses, scores=scores, calibration=reliable, left_out=left_out)


def judge(
    unit: str,
    told: Mapping[str, Pointwise],
    left: Mapping[str, LeftOut],
    statuses: Mapping[str, Status],
    *,
    scores: pd.DataFrame | None = None,
    calibration: pd.DataFrame | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Comparison:
    """The table and the verdict.

    Args:
        told, left: by model: what it says of each unit, and what when that is left out.
        statuses: of the fits.
    """
    first = next(iter(told.values()))
    units, decisions, copies = first.units, first.decisions, first.copies
    matrix = {n: pd.Series(x.elpd, index=list(told[n].units)).reindex(list(units)).to_numpy() for n, x in left.items()}
    points = pd.DataFrame(matrix, index=pd.Index(units, name=unit))
    trusted = [n for n in points if statuses[n].converged]
    order = sorted(points, key=lambda n: (n not in trusted, -points[n].sum()))
    weights = (
        dict(zip(trusted, stack(points[trusted].to_numpy() / copies[:, None], copies), strict=True)) if trusted else {}
    )
    rows = []
    for name in order:
        difference = points[name] - points[order[0]]
        rows.append(
            {
                "elpd": points[name].sum(),
                "se": _se(points[name], copies),
                "per_decision": points[name].sum() / decisions.sum(),
                "difference": difference.sum(),
                "difference_se": _se(difference, copies) if name != order[0] else 0.0,
                "weight": weights.get(name, np.nan),
                "k_hat": float(np.max(left[name].k_hat)),
                "k_bad": len(left[name].bad),
                "how": left[name].how,
                "status": str(statuses[name]),
                "reason": statuses[name].reason,
                "excluded": name not in trusted,
            }
        )
    table = pd.DataFrame(rows, index=pd.Index(order, name="model"))
    return Comparison(
        unit=unit,
        units=units,
        decisions=decisions,
        table=table,
        pointwise=points[order],
        verdict=verdict(table, unit, int(copies.sum())),
        scores=pd.DataFrame() if scores is None else scores.reindex(order),
        calibration=pd.DataFrame() if calibration is None else calibration,
        left_out=dict(left_out or {}),
    )


def clear(difference: float, se: float) -> bool:
    """Whether a difference is clear."""
    return abs(difference) > _CLEAR_NATS and not abs(difference) <= _CLEAR_SE * se


def verdict(table: pd.DataFrame, unit: str, units: int) -> str:
    """What the table says, in words."""
    trusted = table[~table["excluded"].astype(bool)]
    told = []
    if len(trusted) == 0:
        told.append("No explanation can be named: no fit has converged.")
    elif len(trusted) == 1:
        told.append(f"There is only {trusted.index[0]} to compare ({_per_decision(trusted)} nats per decision).")
    else:
        told.append(_ranked(trusted, unit, units))
    if unsure := _unsure(trusted):
        told.append(f"Leaving out by weights is not to be trusted in {listed(unsure, None)}.")
    if excluded := [f"{n} ({why})" for n, why in table[table["excluded"].astype(bool)]["reason"].items()]:
        told.append(f"Not in the verdict: {listed(excluded, None)}.")
    return " ".join(told)


def _ranked(trusted: pd.DataFrame, unit: str, units: int) -> str:
    best, rest = str(trusted.index[0]), trusted.iloc[1:]
    certain = np.array([clear(d, s) for d, s in zip(rest["difference"], rest["difference_se"], strict=True)])
    close, beaten = rest[~certain], rest[certain]
    beats = [f"{n} by {_apart(row)} nats" for n, row in beaten.iterrows()]
    if len(close):
        shown = [f"{n} ({_apart(row)} nats)" for n, row in close.iterrows()]
        said = f"{best} predicts best, but cannot be told apart from {listed(shown, None)}"
        said += f"; it beats {listed(beats, None)}" if beats else ""
    else:
        said = f"{best} beats {listed(beats, None)}"
    return f"{said} (out of sample: {units} {unit}{'s' * (units != 1)}, {_per_decision(trusted)} nats per decision)."


def _apart(row: Any) -> str:
    places = 0 if row["difference_se"] >= 3 else 1
    return f"{abs(row['difference']):.{places}f} ± {row['difference_se']:.{places}f}"


def _per_decision(trusted: pd.DataFrame) -> str:
    return f"{trusted['per_decision'].iloc[0]:.4f}"


def _unsure(trusted: pd.DataFrame) -> list[str]:
    """Models with units above k-hat 0.7 that were not fitted again."""
    rows = trusted[(trusted["k_bad"] > 0) & (trusted["how"] == "psis")]
    return [f"{n} ({int(k)} above k-hat {K_HAT})" for n, k in rows["k_bad"].items()]


def _se(x: pd.Series, copies: np.ndarray) -> float:
    """Standard error of a sum over units, of which some stand for several that are alike."""
    n = copies.sum()
    if n < 2:
        return math.nan
    variance = copies @ (x / copies - x.sum() / n) ** 2 / (n - 1)
    return float(np.sqrt(n * variance))
