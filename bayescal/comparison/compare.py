"""Which model predicts best out of sample, and is the difference clear?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int, Num

from bayescal.comparison.ingredients import Ingredients
from bayescal.comparison.loo import LeftOut, leave_one_out, leave_parts_out, parts_of
from bayescal.comparison.pointwise import UNITS, Pointwise, Unit, constants_of, default_unit, people_in, pointwise
from bayescal.comparison.refit import Progress as Refits
from bayescal.comparison.same import refuse_different
from bayescal.comparison.scores import score_all
from bayescal.comparison.stacking import stack
from bayescal.comparison.sums import Units
from bayescal.comparison.verdict import Verdict, clear
from bayescal.errors import InputError
from bayescal.model.model import Model
from bayescal.plain import plain
from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Status
from bayescal.table.decisions import Decisions

Progress = Callable[[str, int, int], None]  # (model, done, in all)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What models predict of units that were left out.

    Attributes:
        unit: what is left out: "participant", "group", "game" or "decision".
        units: their labels; `decisions` says how many decisions each stands for. The unit "decision" is all that one
            person took for the same action in one role of one game, each left out by itself.
        table: by model, best first: elpd (expected log predictive density, in nats) and its standard error se,
            per_decision, difference to the best and difference_se, weight (stacking), k_hat (the largest), k_bad (how
            many units are above its limit before any refit), unreliable (how many of these were not left out in another
            way), how ("psis", "mixture for 8", "10-fold", "formula"), status of the fit as a sentence, reason (what is
            wrong with the fit), and excluded (the fit cannot be trusted: it is shown, but not in the verdict).
        pointwise: elpd of each unit (rows) in each model (columns).
        scores: by model, of a new person: share_predicted, mean_error (units of the action), log_score and floor (nats
            per decision), with floor_se; floor_known and its error are those of people who are known.
        calibration: (model, predicted, observed, low, high, n): how often what was predicted with some probability
            happened.
        left_out: by name, why a rival model does not apply to the study.
        made_of: the ingredients of each model; empty where they are not known.
        group: the session or group of each unit, by which standard errors are clustered; None where that is not known.

    Example:
        >>> import bayescal as bc, numpy as np, pandas as pd
        >>> table = pd.DataFrame({"elpd": [-90.0, -95.0], "excluded": [True, False]}, index=["new", "old"])
        >>> pointwise = pd.DataFrame({"new": [-40.0, -50.0], "old": [-45.0, -50.0]})
        >>> bc.Comparison("game", ("a", "b"), np.array([60, 70]), table, pointwise).best  # of the fits to be trusted
        'old'
    """

    unit: str
    units: tuple[str, ...]
    decisions: Num[np.ndarray, " units"]
    table: pd.DataFrame
    pointwise: pd.DataFrame
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration: pd.DataFrame = field(default_factory=pd.DataFrame)
    left_out: Mapping[str, str] = field(default_factory=dict)
    made_of: Mapping[str, Ingredients] = field(default_factory=dict)
    group: Int[np.ndarray, " units"] | None = None

    @property
    def trusted(self) -> tuple[str, ...]:
        """The models whose fits can be trusted, best first."""
        return tuple(map(str, self.table.index[~self.table["excluded"].to_numpy(bool)]))

    @property
    def best(self) -> str | None:
        """The best model whose fit can be trusted; None where there is none."""
        return self.trusted[0] if self.trusted else None

    @cached_property
    def conclusion(self) -> Verdict:
        """The verdict as data."""
        # A unit "decision" stands for several decisions that are alike, each left out by itself.
        copies = self.decisions.astype(int) if self.unit == "decision" else np.ones(len(self.units), int)
        return Verdict.of(self.table, self.unit, Units(copies, self.group), self.pointwise, self.made_of)

    @property
    def clusters(self) -> int:
        """How many groups of people the standard errors are clustered by; 0 where units are not in groups."""
        return self.conclusion.clusters

    @property
    def ingredients(self) -> pd.DataFrame:
        """What each ingredient is worth out of sample: in nats, with a standard error, in how many pairs of models."""
        rows = [(w.ingredient, w.over, w.nats, w.se, len(w.pairs), clear(w.nats, w.se)) for w in self.conclusion.worth]
        return pd.DataFrame(rows, columns=["ingredient", "over", "nats", "se", "pairs", "clear"])

    @property
    def verdict(self) -> str:
        """The verdict in a few sentences."""
        return str(self.conclusion)

    def as_dict(self) -> dict[str, Any]:
        """Every number, as JSON takes it: what is not finite is null."""
        return plain(
            {
                "verdict": self.verdict,
                "conclusion": self.conclusion.as_dict(),
                "unit": self.unit,
                "units": self.units,
                "decisions": self.decisions,
                "table": self.table.to_dict("index"),
                "pointwise": self.pointwise.to_dict("list"),
                "scores": self.scores.to_dict("index"),
                "calibration": self.calibration.to_dict("records"),
                "left_out": self.left_out,
                "clusters": self.clusters,
                "ingredients": self.ingredients.to_dict("records"),
                "made_of": {n: asdict(i) for n, i in self.made_of.items()},
            }
        )

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
    made_of: Mapping[str, Ingredients] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare fits of the same decisions by what they predict of units that were left out.

    Args:
        fits: by name.
        models: that were fitted, by the same names. Those whose fit can be trusted are fitted again without the units
            that importance weights cannot leave out, and their predictions of a new person are scored.
        decisions: that were fitted; those of the models when None.
        unit: what is left out; by default participants where they are named, or else groups, or games.
        folds: leave out as many parts of the units, whole groups together, instead of one unit at a time.
        left_out: by name, why a rival model was not fitted.
        made_of: by name, the ingredients of models (`Rivals.made_of`).
        progress: called with ("MODEL, again", refits done, refits in all).

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> models = bc.rivals(study, only=["random play", "common cost"]).models
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
    points = {name: pointwise(fit, unit, decisions, models.get(name)) for name, fit in fits.items()}
    if unit != "decision":
        refuse_one(unit, next(iter(points.values())).units)
    unit_of_person = people_in(decisions, constants, unit)

    def shown(name: str) -> Refits | None:
        return None if progress is None else lambda done, total: progress(f"{name}, again", done, total)

    if folds is None:
        # A fit that is excluded is not worth its refits.
        refitted = {n: m for n, m in models.items() if fits[n].converged}
        left = {
            n: leave_one_out(points[n], fit, refitted.get(n), unit, unit_of_person, seed=seed, progress=shown(n))
            for n, fit in fits.items()
        }
    else:
        if missing := [n for n in fits if n not in models]:
            raise InputError(f"k-fold fits models again: give the models of {', '.join(missing)} too.")
        units = next(iter(points.values())).units
        groups = people_in(decisions, constants, "group") if unit == "participant" else {}
        parts = pd.Series(parts_of(units, groups, folds, seed), index=list(units))
        left = {
            n: leave_parts_out(
                points[n],
                fit,
                models[n],
                unit,
                unit_of_person,
                parts[list(points[n].units)].to_numpy(),
                seed=seed,
                progress=shown(n),
            )
            for n, fit in fits.items()
        }
    scores, calibration = (None, None) if decisions is None else score_all(models, fits, decisions, seed=seed)
    statuses = {n: f.status for n, f in fits.items()}
    more = {"scores": scores, "calibration": calibration, "left_out": left_out, "made_of": made_of}
    group_of = people_in(decisions, constants, "group") if unit == "participant" else {}
    return judge(unit, points, left, statuses, group_of=group_of, **more)


def refuse_one(unit: str, labels: Sequence[str]) -> None:
    """Refuse to leave out the only unit there is: nothing would be left to predict it from.

    Example:
        >>> from bayescal.comparison.compare import refuse_one
        >>> refuse_one("game", ["a", "b"])
    """
    if len(labels) < 2:
        raise InputError(
            f"unit={unit!r}: there is only one {unit} ({', '.join(labels)}), and nothing is left to predict it from: "
            "compare by decision."
        )


def judge(
    unit: str,
    points: Mapping[str, Pointwise],
    left: Mapping[str, LeftOut],
    statuses: Mapping[str, Status],
    *,
    scores: pd.DataFrame | None = None,
    calibration: pd.DataFrame | None = None,
    left_out: Mapping[str, str] | None = None,
    group_of: Mapping[str, str] | None = None,
    made_of: Mapping[str, Ingredients] | None = None,
) -> Comparison:
    """The comparison, from the predictive densities of each model.

    Args:
        points, left: by model, the log-likelihood of each unit, and its predictive density when it is left out.
        statuses: of the fits.
        group_of: the session or group of each unit, by which standard errors are clustered; empty where not known.
    """
    first = next(iter(points.values()))
    units, decisions, copies = first.units, first.decisions, first.copies
    over = Units(copies, pd.factorize(np.array([group_of.get(u, u) for u in units]))[0] if group_of else None)
    elpd = pd.DataFrame(
        {n: pd.Series(x.elpd, index=list(points[n].units)).reindex(list(units)).to_numpy() for n, x in left.items()},
        index=pd.Index(units, name=unit),
    )
    trusted = [n for n in elpd if statuses[n].converged]
    order = sorted(elpd, key=lambda n: (n not in trusted, -elpd[n].sum()))
    weights = (
        dict(zip(trusted, stack(elpd[trusted].to_numpy() / copies[:, None], copies), strict=True)) if trusted else {}
    )
    rows = []
    for name in order:
        difference = elpd[name] - elpd[order[0]]
        how, bad = left[name].how, len(left[name].bad)
        rows.append(
            {
                "elpd": elpd[name].sum(),
                "se": over.standard_error(elpd[name].to_numpy()),
                "per_decision": elpd[name].sum() / decisions.sum(),
                "difference": difference.sum(),
                "difference_se": over.standard_error(difference.to_numpy()) if name != order[0] else 0.0,
                "weight": weights.get(name, np.nan),
                "k_hat": float(np.max(left[name].k_hat)),
                "k_bad": bad,
                "unreliable": bad if how.by_weights else 0,
                "how": str(how),
                "status": str(statuses[name]),
                "reason": statuses[name].reason,
                "excluded": name not in trusted,
            }
        )
    return Comparison(
        unit=unit,
        units=units,
        decisions=decisions,
        table=pd.DataFrame(rows, index=pd.Index(order, name="model")),
        pointwise=elpd[order],
        scores=pd.DataFrame() if scores is None else scores.reindex(order),
        calibration=pd.DataFrame() if calibration is None else calibration,
        left_out=dict(left_out or {}),
        made_of={n: i for n, i in (made_of or {}).items() if n in elpd},
        group=over.group,
    )
