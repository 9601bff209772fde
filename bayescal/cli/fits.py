"""Fits as tables, and as JSON."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayescal.cli.show import empty_table, print_json, say, stdout_console

if TYPE_CHECKING:
    from rich.table import Table

    from bayescal.diagnostics import Checks
    from bayescal.posterior.fit import Fit
    from bayescal.posterior.mle import Estimate
    from bayescal.study import Study

MANY = 40  # entries of one name; of more, only the range is printed


def posterior_table(name: str, fit: "Fit") -> "Table":
    from rich.markup import escape

    columns = ["mean", "sd", "5%", "95%", "ESS", "R-hat"]
    table = empty_table(f"Posterior, {name} (90% intervals)", ["parameter"], columns)
    summary = fit.summary()
    many = _many(summary.index)
    for label, row in summary.iterrows():
        if str(label).startswith(("log_cost[", "log_cost_offset[")):
            continue  # the table has the costs themselves
        if (stem := str(label).split("[")[0]) in many:
            if str(label) == many[stem][0]:
                means = summary.loc[many[stem], "mean"]
                table.add_row(escape(f"{stem}[{len(means)} of them]"), f"{means.min():.3f} to {means.max():.3f}")
            continue
        values = [f"{row[c]:.3f}" for c in ("mean", "sd", "eti90_lb", "eti90_ub")]
        table.add_row(escape(str(label)), *values, f"{row['ess_bulk']:.0f}", _r_hat(row["r_hat"]))
    return table


def _many(labels: Iterable[object]) -> dict[str, list[str]]:
    """By name, the entries of a parameter that has too many of them to print."""
    entries: dict[str, list[str]] = {}
    for label in map(str, labels):
        entries.setdefault(label.split("[")[0], []).append(label)
    return {stem: of for stem, of in entries.items() if len(of) > MANY}


def _r_hat(x: float) -> str:
    return f"{x:.3f}" if math.isfinite(x) else "–"  # a grid has one chain


def as_dict(fits: "Mapping[str, Fit]", report: Path, checks: "Mapping[str, Checks]") -> dict[str, Any]:
    """A calibration for JSON: statuses and posterior summaries."""
    return {
        "report": str(report),
        "fits": {
            name: {
                "status": str(fit.status),
                "converged": fit.converged,
                "unidentified": fit.identifiability().sentences,
                "checks": checks[name].status,
                "summary": fit.summary().to_dict("index"),
            }
            for name, fit in fits.items()
        },
    }


def show_estimates(estimates: "Mapping[str, Estimate]", study: "Study", as_json: bool) -> None:
    """The maximum-likelihood estimates of one model; log_likelihood includes that of the chance moves."""

    (estimate,) = estimates.values()
    chance = study.chance_log_likelihood
    total = estimate.log_likelihood + chance
    if as_json:
        play = study.decisions.play
        print_json(
            {
                **estimate.values,
                "log_likelihood": total,
                "log_likelihood_decisions": estimate.log_likelihood,
                "log_likelihood_chance": chance,
                "standard_errors": dict(estimate.standard_errors),
                "status": str(estimate.status),
                "seconds": round(estimate.seconds, 4),
                "seconds_compiling": round(estimate.seconds_compiling, 2),
                "decisions": study.decisions.total if play is None else len(play.row),
            }
        )
        return
    table = empty_table("Maximum likelihood", ["parameter"], ["estimate", "standard error"])
    for name, value in estimate.values.items():
        table.add_row(name, f"{value:.4f}", f"{estimate.standard_errors[name]:.4f}")
    stdout = stdout_console()
    stdout.print(table)
    parts = f" ({estimate.log_likelihood:.3f} of the decisions, {chance:.3f} of the chance moves)" if chance else ""
    say(stdout, f"log-likelihood {total:.3f}{parts}; {estimate.status}")
