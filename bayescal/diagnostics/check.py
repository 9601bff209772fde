"""Every check of a fit, in one call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bayescal._types import Facts, NumPyroModel
from bayescal.diagnostics.base import Check, Outcome
from bayescal.diagnostics.computed import computation, is_learned
from bayescal.diagnostics.new_people import NAME as NEW_PEOPLE
from bayescal.diagnostics.new_people import new_people, new_people_check
from bayescal.diagnostics.pit import loo_pit, pit_check
from bayescal.diagnostics.predictive import PREDICTIVE, allows, apart, predictive, predicts
from bayescal.diagnostics.sensitivity import prior_check, sensitivity
from bayescal.errors import InputError
from bayescal.plain import listed, plain
from bayescal.posterior.fit import Fit
from bayescal.posterior.summary import SHARE_AT_BOUNDS
from bayescal.study.load import Study
from bayescal.table.decisions import Decisions

_MARKS = {outcome: outcome.value for outcome in Outcome} | {Outcome.NOT_APPLICABLE: "–"}


@dataclass(frozen=True, eq=False)
class Checks:
    """The checks of a fit, and the numbers behind them.

    Attributes:
        items: the checks: outcome, what was found, and what to do about it.
        predictive: by statistic, the observed value, and mean and 90 % interval of the posterior predictive.
        prior_predictive: the same of the prior predictive.
        pit: probability integral transforms of the decisions, see `loo_pit`; None where actions have no order.
        sensitivity: by parameter, see `sensitivity`.
        walls: by parameter, the share of the posterior at the bounds of the trained domain.
        certificate: of the learned policy, where there is one and it was found.
        new_people: as `predictive`, of new people from the population in everybody's place.

    Example:
        >>> import bayescal as bc, pandas as pd
        >>> from bayescal.diagnostics import Check, Outcome
        >>> items = (Check("R-hat", Outcome.FAILED, "1.2", "Take more draws."),)
        >>> none = pd.DataFrame()
        >>> bc.Checks(items, none, none, None, none, {}, None).passed
        False
    """

    items: tuple[Check, ...]
    predictive: pd.DataFrame
    prior_predictive: pd.DataFrame
    pit: Facts | None
    sensitivity: pd.DataFrame
    walls: Mapping[str, float]
    certificate: Facts | None
    new_people: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(c for c in self.items if c.failed)

    @property
    def warnings(self) -> tuple[Check, ...]:
        return tuple(c for c in self.items if c.warns)

    @property
    def passed(self) -> bool:
        """Whether no check failed. A warning is not a failure."""
        return not self.failed

    @property
    def computed(self) -> bool:
        """Whether the draws can be trusted to be those of the posterior: no check of the computation failed."""
        return not any(c.about == "computation" for c in self.failed)

    @property
    def misfit(self) -> str:
        """What the model gets wrong about the decisions, for a sentence; empty where no check of that failed."""
        worst = apart(self.predictive) or [f"new people: {x}" for x in apart(self.new_people)]
        more = [f"{len(worst) - 1} more statistics are outside"] if len(worst) > 2 else worst[1:2]
        others = [
            f"{c.name} fails" for c in self.failed if c.about == "model" and c.name not in (PREDICTIVE, NEW_PEOPLE)
        ]
        return "; ".join([*worst[:1], *more, *others])

    @property
    def status(self) -> str:
        """The outcome in one sentence."""
        names = lambda checks: listed([c.name for c in checks], 8)
        applied = sum(c.applies for c in self.items)
        warned = f"; warnings: {names(self.warnings)}" if self.warnings else ""
        if self.passed:
            return f"passed: none of {applied} checks failed{warned}."
        meaning = "the model does not describe the decisions" if self.computed else "the draws are not to be trusted"
        return f"failed: {meaning}: {len(self.failed)} of {applied} checks failed ({names(self.failed)}){warned}."

    def __getitem__(self, name: str) -> Check:
        return next(c for c in self.items if c.name == name)

    def __str__(self) -> str:
        lines = [
            f"{_MARKS[c.outcome]:<10}{c.name}: {c.found}{f' → {c.advice}' if c.advice else ''}" for c in self.items
        ]
        return "\n".join([*lines, self.status])

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return plain(
            {
                "passed": self.passed,
                "computed": self.computed,
                "status": self.status,
                "checks": [c.as_dict() for c in self.items],
                "predictive": self.predictive.to_dict("index"),
                "prior_predictive": self.prior_predictive.to_dict("index"),
                "new_people": self.new_people.to_dict("index"),
                "pit": self.pit,
                "sensitivity": self.sensitivity.to_dict("index"),
                "walls": self.walls,
                "certificate": self.certificate,
            }
        )


def check(
    fit: Fit, model: NumPyroModel | None = None, study: Study | None = None, *, seed: int = 0, strangers: bool = False
) -> Checks:
    """Check a fit: did the sampler converge, do the data inform the parameters, does the model describe the decisions?

    Args:
        model: that was fitted; it gives the decisions where `study` is not given, and the probability of each action
            where the fit does not hold it (people in one-shot games).
        study: whose decisions were fitted, and whose learned policy has a certificate.
        seed: of the randomised probability integral transforms of discrete decisions.
        strangers: whether to predict new people from the population too, in one-shot games; it takes the model, and
            compiles it once more.

    Raises:
        InputError: the decisions are not those of the fit.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> checks = bc.check(bc.infer(model, bc.Grid(draws=200)), model)
        >>> checks.computed, checks["identifiability"].passed
        (True, True)
    """
    decisions = study.decisions if study is not None else getattr(getattr(model, "spec", None), "decisions", None)
    _refuse_others(fit, decisions)
    certificate = _certificate(fit, study)
    after = before = fresh = None
    if decisions is not None:
        after = predictive(fit, decisions)
        before = predictive(fit, decisions, group="prior_predictive")
        fresh = new_people(fit, model, decisions, seed=seed) if strangers and model is not None else None
    pit = loo_pit(fit, decisions, model, seed=seed)
    scaled = sensitivity(fit)
    items = (
        *computation(fit, certificate, None if decisions is None else decisions.total),
        _identified(fit),
        prior_check(scaled),
        allows(before),
        predicts(after, over_time=decisions is not None and decisions.play is not None),
        new_people_check(fresh),
        pit_check(pit, decisions),
    )
    none = pd.DataFrame()
    return Checks(
        items=items,
        predictive=none if after is None else after,
        prior_predictive=none if before is None else before,
        pit=pit,
        sensitivity=scaled,
        walls=fit.provenance.get(SHARE_AT_BOUNDS, {}),
        certificate=certificate,
        new_people=none if fresh is None else fresh,
    )


def _identified(fit: Fit) -> Check:
    """Whether the data say something about every parameter."""
    name, found = "identifiability", fit.identifiability()
    if "prior" not in fit.tree.children:
        return Check(name, Outcome.NOT_APPLICABLE, "the fit was saved without draws of its prior", about="model")
    if found.table.empty:
        return Check(name, Outcome.NOT_APPLICABLE, "the fit has no scalar parameter", about="model")
    if found.sentences:
        advice = "Do not read these as findings; say what was assumed."
        return Check(name, Outcome.WARNING, " ".join(found.sentences).rstrip("."), advice, "model")
    least = found.table["contraction"].idxmin()
    narrowed = f"the data narrow every parameter (least {least}, by {found.table.loc[least, 'contraction']:.0%})"
    return Check(name, Outcome.PASSED, narrowed, about="model")


def _certificate(fit: Fit, study: Study | None) -> Facts | None:
    if found := fit.provenance.get("certificate"):
        return found
    policy = getattr(study, "policy", None)
    if policy is None or not is_learned(fit):
        return None
    from bayescal.training.recipe import find_model, read_certificate

    return read_certificate(find_model(policy))


def _refuse_others(fit: Fit, decisions: Decisions | None) -> None:
    known = fit.provenance.get("data_hash")
    if decisions is not None and known is not None and known != decisions.data_hash:
        raise InputError(
            f"{decisions.source} holds other decisions than those that were fitted (data hash "
            f"{decisions.data_hash[:12]}…, the fit's is {known[:12]}…): check a fit with its own study."
        )
