"""Everything to look at before a fit is believed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from bayescal.diagnostics.base import Check
from bayescal.diagnostics.computed import computation, is_learned
from bayescal.diagnostics.pit import is_uniform, loo_pit
from bayescal.diagnostics.predictive import allows, predictive, predicts
from bayescal.diagnostics.sensitivity import hangs_on_prior, sensitivity
from bayescal.errors import InputError
from bayescal.plain import listed, plain
from bayescal.posterior.fit import Fit
from bayescal.table.decisions import Decisions


@dataclass(frozen=True, eq=False)
class Checks:
    """What was looked at, and the numbers behind it.

    Attributes:
        items: one for each check: passed (None: a warning, or not applicable), what was found, and what to do.
        predictive: by statistic what was observed, and mean and 90 % interval of what the posterior predicts.
        prior_predictive: the same of what the hyperpriors predict.
        pit: places of decisions in their predictive distributions, see `loo_pit`; None where actions have no order.
        sensitivity: by parameter, see `sensitivity`.
        walls: by parameter, the share of the posterior against the walls of a learned policy's box.
        certificate: of the learned policy, where there is one and it was found.

    Example:
        >>> import bayescal as bc, pandas as pd
        >>> from bayescal.diagnostics import Check
        >>> items = (Check("R-hat", False, "1.2", "Take more draws."),)
        >>> none = pd.DataFrame()
        >>> bc.Checks(items, none, none, None, none, {}, None).passed
        False
    """

    items: tuple[Check, ...]
    predictive: pd.DataFrame
    prior_predictive: pd.DataFrame
    pit: Mapping[str, Any] | None
    sensitivity: pd.DataFrame
    walls: Mapping[str, float]
    certificate: Mapping[str, Any] | None

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(c for c in self.items if c.passed is False)

    @property
    def warnings(self) -> tuple[Check, ...]:
        return tuple(c for c in self.items if c.warns)

    @property
    def passed(self) -> bool:
        """Whether no check failed. A warning is no failure."""
        return not self.failed

    @property
    def computed(self) -> bool:
        """Whether the draws can be taken for those of the posterior: no check of the computation failed."""
        return not any(c.about == "computation" for c in self.failed)

    @property
    def status(self) -> str:
        """One sentence."""
        names = lambda checks: listed([c.name for c in checks], 8)
        applied = sum(c.applies for c in self.items)
        warned = f"; to be looked at: {names(self.warnings)}" if self.warnings else ""
        if self.passed:
            return f"passed: none of {applied} checks failed{warned}."
        whose = "the model does not do what people do" if self.computed else "the draws are not to be trusted"
        return f"failed: {whose}: {len(self.failed)} of {applied} checks failed ({names(self.failed)}){warned}."

    def __getitem__(self, name: str) -> Check:
        return next(c for c in self.items if c.name == name)

    def __str__(self) -> str:
        mark = lambda c: "failed" if c.passed is False else "passed" if c.passed else "look" if c.warns else "–"
        lines = [f"{mark(c):<7}{c.name}: {c.found}{f' → {c.advice}' if c.advice else ''}" for c in self.items]
        return "\n".join([*lines, self.status])

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return plain(
            {
                "passed": self.passed,
                "computed": self.computed,
                "status": self.status,
                "checks": [asdict(c) for c in self.items],
                "predictive": self.predictive.to_dict("index"),
                "prior_predictive": self.prior_predictive.to_dict("index"),
                "pit": self.pit,
                "sensitivity": self.sensitivity.to_dict("index"),
                "walls": self.walls,
                "certificate": self.certificate,
            }
        )


def check(fit: Fit, model: Any = None, study: Any = None, *, seed: int = 0) -> Checks:
    """Look at a fit: has the sampler done its work, do the data move the parameters, would the model do what people do?

    Args:
        model: that was fitted; it tells of the decisions where `study` is not given, and of the probability of each
            action where the fit does not (people of one-shot games).
        study: whose decisions were fitted, and whose learned policy has a certificate.
        seed: of the parts of a discrete decision's own probability that lie below it.

    Raises:
        InputError: the decisions are not those of the fit.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> found = bc.check(bc.infer(model, bc.Grid(draws=200)), model)
        >>> found.computed, found["identifiability"].passed
        (True, True)
    """
    decisions = study.decisions if study is not None else getattr(getattr(model, "spec", None), "decisions", None)
    _refuse_others(fit, decisions)
    certificate = _certificate(fit, study)
    after = before = None
    if decisions is not None:
        after = predictive(fit, decisions)
        before = predictive(fit, decisions, group="prior_predictive")
    pit = loo_pit(fit, decisions, model, seed=seed)
    scaled = sensitivity(fit)
    items = (
        *computation(fit, certificate, None if decisions is None else decisions.total),
        _identified(fit),
        hangs_on_prior(scaled),
        allows(before),
        predicts(after, over_time=decisions is not None and decisions.play is not None),
        is_uniform(pit, decisions),
    )
    none = pd.DataFrame()
    return Checks(
        items=items,
        predictive=none if after is None else after,
        prior_predictive=none if before is None else before,
        pit=pit,
        sensitivity=scaled,
        walls=fit.provenance.get("posterior_share_at_the_walls", {}),
        certificate=certificate,
    )


def _identified(fit: Fit) -> Check:
    """What the data say of each parameter."""
    name, found = "identifiability", fit.identifiability()
    if found.table.empty:
        return Check(name, None, "the fit has no parameter that is one number", about="model")
    if not found.sentences:
        least = found.table["contraction"].idxmin()
        told = f"the data narrow every parameter (least {least}, by {found.table.loc[least, 'contraction']:.0%})"
        return Check(name, True, told, about="model")
    return Check(
        name,
        None,
        " ".join(found.sentences).rstrip("."),
        "Do not read these as findings; say what was assumed.",
        "model",
    )


def _certificate(fit: Fit, study: Any) -> Mapping[str, Any] | None:
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
            f"{decisions.source} has other decisions than the fit was made of (data hash {decisions.data_hash[:12]}…, "
            f"the fit's is {known[:12]}…): check a fit with its own study."
        )
