"""What was found, in sentences, each with what it rests on; and what speaks against believing them."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescal.posterior.fit import Fit
from bayescal.report.figures import interval
from bayescal.report.people import name_of, own_costs, own_dimension
from bayescal.report.tables import significant

POOLED = ("pooled", "common cost")


def main_fit(fits: Mapping[str, Fit], comparison: Any = None) -> str:
    """The name of the fit that the report tells most of: the best that was not excluded, or the richest."""
    if comparison is not None:
        sound = [str(n) for n, out in comparison.table["excluded"].items() if not out and n in fits]
        if sound:
            return sound[0]
    return "by game" if "by game" in fits else list(fits)[-1]


def people_fit(fits: Mapping[str, Fit], main: str) -> str | None:
    """The name of the fit whose people are shown: the main one, or the last with costs (else levels) of their own."""
    having = [name for name, fit in fits.items() if own_dimension(fit) is not None]
    having = [main] if main in having else [n for n in having if own_costs(fits[n]) is not None] or having
    return having[-1] if having else None


def pooled_fit(fits: Mapping[str, Fit]) -> str | None:
    """The name of the fit with one cost for all."""
    return next((n for n in POOLED if n in fits and "cost" in fits[n].tree["posterior"]), None)


def findings(fits: Mapping[str, Fit], main: str, units: str, parameters: tuple[str, ...]) -> list[str]:
    """What the posteriors say of costs, habits and the game."""
    told = []
    if pooled := pooled_fit(fits):
        low, mid, high = interval(fits[pooled].tree["posterior"]["cost"].to_numpy().reshape(-1))
        told.append(
            f"If one cost holds for everybody, it is {significant(mid)} {units} per nat of information (90% interval "
            f"{significant(low)} to {significant(high)})."
        )
    if (people := people_fit(fits, main)) and (spread := _spread(fits[people], units)):
        told.append(spread)
    for name in dict.fromkeys([main, *([people] if people else [])]):
        inferred = {str(n): x for n, x in fits[name].tree["posterior"].data_vars.items() if x.ndim == 2}
        game = [_told(n, inferred[n]) for n in parameters if n in inferred]
        habits = [_told(n.removeprefix("psi_"), x) for n, x in inferred.items() if n.startswith("psi_")]
        told += [f"The game: {', '.join(game)} (90% intervals)."] if game else []
        told += [f"Habits that people fall back on: {', '.join(habits)} (90% intervals)."] if habits else []
    return list(dict.fromkeys(told))


def _spread(fit: Fit, units: str) -> str | None:
    """How costs differ."""
    posterior, costs = fit.tree["posterior"].to_dataset(), own_costs(fit)
    middle, sd = ("log_cost_mean", "log_cost_sd") if "log_cost_mean" in posterior else ("log_mean", "log_sd")
    if costs is None:
        return None
    dim = str(costs.dims[-1])
    medians = costs.median(("chain", "draw")).to_numpy()
    labels = costs[dim].to_numpy()
    level, cheap, dear = name_of(dim), str(labels[medians.argmin()]), str(labels[medians.argmax()])
    extremes = f"lowest in {cheap} ({significant(medians.min())}), highest in {dear} ({significant(medians.max())})"
    if middle not in posterior or sd not in posterior:
        return f"Costs by {level} in {units} per nat: {extremes}."
    typical = interval(np.exp(posterior[middle].to_numpy().reshape(-1)))
    low, mid, high = interval(posterior[sd].to_numpy().reshape(-1))
    around = f"{significant(typical[1])} {units} per nat"
    return (
        f"Costs by {level} are spread around {around} (90% interval {significant(typical[0])} to "
        f"{significant(typical[2])}) with a standard deviation of log cost of {mid:.2f} ({low:.2f} to {high:.2f}): "
        f"{extremes}."
    )


def _told(name: str, draws: Any) -> str:
    low, mid, high = interval(draws.to_numpy().reshape(-1))
    return f"{name} {significant(mid)} ({significant(low)} to {significant(high)})"


def compared(verdict: str) -> list[str]:
    """The verdict of a comparison by sentences, as they are printed."""
    told = [x for x in re.split(r"(?<=\.) (?=[A-Z])", verdict) if x]
    return [re.sub(r"(?<![\w.])-(?=\d)", "−", f"{x[:1].upper()}{x[1:]}") for x in told]


def warnings(fits: Mapping[str, Fit], checks: Mapping[str, Any], comparison: Any = None) -> list[str]:
    """What a reader must know before believing the rest."""
    told = () if comparison is None else comparison.table.index  # which says it of those that it excludes
    out = [f"The fit “{n}” is {fit.status}" for n, fit in fits.items() if not fit.converged and n not in told]
    if comparison is None and len(fits) > 1:
        out.append(
            "The fits below have not been compared out of sample: which of them is nearest to the data that it was "
            "fitted to says little."
        )
    for name, found in checks.items():
        if not found.computed and name not in told and fits[name].converged:
            failed = [c.name for c in found.failed if c.about == "computation"]
            out.append(f"The draws of “{name}” are not to be trusted: {', '.join(failed)}.")
    return out


def tally(checks: Mapping[str, Any], main: str) -> str:
    """What the checks of the main fit say."""
    return f"Checks of “{main}” {checks[main].status}" if main in checks else ""
