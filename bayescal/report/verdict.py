"""The findings of a report in sentences, and the warnings that a reader needs."""

import re
from collections.abc import Iterable, Mapping

import numpy as np
import xarray as xr

from bayescal.comparison.compare import Comparison
from bayescal.diagnostics.check import Checks
from bayescal.posterior.fit import Fit
from bayescal.report.figures import interval
from bayescal.report.meaning import meaning_of
from bayescal.report.people import name_of, own_costs, own_dimension
from bayescal.report.tables import significant

POOLED = ("pooled", "common cost")


def main_fit(fits: Mapping[str, Fit], comparison: Comparison | None = None) -> str:
    """The fit that the report is mainly about: the best that can be trusted, or the richest."""
    if comparison is not None and (trusted := [name for name in comparison.trusted if name in fits]):
        return trusted[0]
    return "by game" if "by game" in fits else list(fits)[-1]


def people_fit(fits: Mapping[str, Fit], main: str) -> str | None:
    """The fit whose people are shown: the main one, or the last with costs (else levels) of people's own."""
    personal = [name for name, fit in fits.items() if own_dimension(fit) is not None]
    if main in personal:
        return main
    personal = [n for n in personal if own_costs(fits[n]) is not None] or personal
    return personal[-1] if personal else None


def pooled_fit(fits: Mapping[str, Fit]) -> str | None:
    """The fit with one cost for all."""
    return next((n for n in POOLED if n in fits and "cost" in fits[n].tree["posterior"]), None)


def findings(
    fits: Mapping[str, Fit], main: str, units: str, parameters: tuple[str, ...], checks: Mapping[str, Checks]
) -> list[str]:
    """What the posteriors say about costs, habits and parameters of the game. Where a fit fails its checks, the
    sentence begins with that."""
    sentences: dict[str, None] = {}  # in their order, each once

    def say(name: str, sentence: str) -> None:
        sentences[_reserved(checks.get(name), name, sentence)] = None

    if pooled := pooled_fit(fits):
        low, mid, high = interval(fits[pooled].tree["posterior"]["cost"].to_numpy().reshape(-1))
        say(
            pooled,
            f"If everybody has the same cost, it is {significant(mid)} {units} per nat of information (90% interval "
            f"{significant(low)} to {significant(high)}): {meaning_of(mid, units)}.",
        )
    people = people_fit(fits, main)
    if people and (spread := _spread(fits[people], units)):
        say(people, spread)
    for name in dict.fromkeys([main, *([people] if people else [])]):
        inferred = {str(n): x for n, x in fits[name].tree["posterior"].data_vars.items() if x.ndim == 2}
        game = [_estimate(n, inferred[n]) for n in parameters if n in inferred]
        habits = [_estimate(n.removeprefix("psi_"), x) for n, x in inferred.items() if n.startswith("psi_")]
        for what, estimates in (("game", game), ("habit", habits)):
            if estimates:
                say(name, f"Parameters of the {what}: {', '.join(estimates)} (90% intervals).")
    return list(sentences)


def _reserved(found: Checks | None, name: str, sentence: str) -> str:
    """The sentence, after what its fit fails."""
    if found is None or not found.misfit:
        return sentence
    return (
        f"“{name}” does not describe these decisions ({found.misfit}); under it, {sentence[:1].lower()}{sentence[1:]}"
    )


def reserve(verdict: list[str], main: str, checks: Mapping[str, Checks]) -> list[str]:
    """The verdict of a comparison, whose first sentence also says what the model that it names fails."""
    if main not in checks or not (misfit := checks[main].misfit):
        return verdict
    first = f"{verdict[0].rstrip('.')}; but “{main}” does not describe these decisions ({misfit})."
    return [first, *verdict[1:]]


def _spread(fit: Fit, units: str) -> str | None:
    """How costs differ."""
    posterior, costs = fit.tree["posterior"].to_dataset(), own_costs(fit)
    middle, sd = ("log_cost_mean", "log_cost_sd") if "log_cost_mean" in posterior else ("log_mean", "log_sd")
    if costs is None:
        return None
    dim = str(costs.dims[-1])
    medians = costs.median(("chain", "draw")).to_numpy()
    labels = costs[dim].to_numpy()
    level, lowest, highest = name_of(dim), str(labels[medians.argmin()]), str(labels[medians.argmax()])
    extremes = (
        f"lowest for {lowest} ({significant(medians.min())}), highest for {highest} ({significant(medians.max())})"
    )
    if middle not in posterior or sd not in posterior:
        return f"Costs by {level} in {units} per nat: {extremes}."
    typical = interval(np.exp(posterior[middle].to_numpy().reshape(-1)))
    low, mid, high = interval(posterior[sd].to_numpy().reshape(-1))
    around = f"{significant(typical[1])} {units} per nat"
    return (
        f"Costs by {level} are spread around {around} (90% interval {significant(typical[0])} to "
        f"{significant(typical[2])}) with a standard deviation of log cost of {mid:.2f} ({low:.2f} to {high:.2f}): "
        f"{extremes}; {meaning_of(float(typical[1]), units)}."
    )


def _estimate(name: str, draws: xr.DataArray) -> str:
    low, mid, high = interval(draws.to_numpy().reshape(-1))
    return f"{name} {significant(mid)} ({significant(low)} to {significant(high)})"


def compared(sentences: Iterable[str]) -> list[str]:
    """The verdict of a comparison as it is printed."""
    return [re.sub(r"(?<![\w.])-(?=\d)", "−", f"{x[:1].upper()}{x[1:]}") for x in sentences]


def warnings(fits: Mapping[str, Fit], checks: Mapping[str, Checks], comparison: Comparison | None = None) -> list[str]:
    """What a reader must know before believing the rest."""
    in_verdict = () if comparison is None else tuple(map(str, comparison.table.index))  # it names those it excludes
    sentences = [
        f"The fit “{n}” is {fit.status}" for n, fit in fits.items() if not fit.converged and n not in in_verdict
    ]
    if comparison is None and len(fits) > 1:
        sentences.append(
            "The fits below have not been compared out of sample: in-sample fit is no basis for model selection."
        )
    for name, found in checks.items():
        if not found.computed and name not in in_verdict and fits[name].converged:
            failed = [c.name for c in found.failed if c.about == "computation"]
            sentences.append(f"The draws of “{name}” are not to be trusted: {', '.join(failed)}.")
    return sentences


def tally(checks: Mapping[str, Checks], main: str) -> str:
    """The checks of the main fit in one sentence."""
    return f"Checks of “{main}” {checks[main].status}" if main in checks else ""
