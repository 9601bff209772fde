"""Put a report together and write it: whole files or none."""

import io
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from bayescal.data.study import Study
from bayescal.errors import InputError
from bayescal.files import write_atomically
from bayescal.inference.fit import Fit
from bayescal.report import figures
from bayescal.report.priors import prior_picture


def write_report(study: Study, fits: Mapping[str, Fit], out: str | Path, *, command: str = "") -> Path:
    """Write report.html, report.json and figures/ into the folder `out`; returns the path of report.html."""
    out = Path(out)
    fits = dict(fits)
    best = fits.get("by game") or next(reversed(fits.values()))
    drawn: dict[str, Figure | None] = {
        "cost": figures.cost_forest(fits, study.units),
        "choices": _predicted(study, best),
        "prior": figures.prior_and_posterior(fits, study.units),
        "beliefs": prior_picture(best, units=study.units),
    }
    shown = {name: fig for name, fig in drawn.items() if fig is not None}
    numbers = collect(study, fits, command)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            study=study,
            verdict=verdict(study, fits),
            numbers=numbers,
            data=_rows(study),
            figures={name: Markup(_svg(fig, name)) for name, fig in shown.items()},
            command=command,
        )
    )
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
        for name, fig in shown.items():
            write_atomically(out / "figures" / f"{name}.svg", _image(fig, "svg"))
            write_atomically(out / "figures" / f"{name}.png", _image(fig, "png"))
        write_atomically(out / "report.json", json.dumps(numbers, indent=1, allow_nan=False).encode())
        write_atomically(out / "report.html", page.encode())
    except OSError as error:
        raise InputError(f"{out}: the report cannot be written ({error.strerror}); choose another folder.") from None
    return out / "report.html"


def _predicted(study: Study, fit: Fit) -> Figure:
    """What people did beside what was predicted of them."""
    if study.decisions.play is None:
        people = "cell_participant" in fit.tree["constant_data"]  # whose cells are not those of the decisions
        return figures.observed_and_predicted(
            fit, None if people else rational_play(study), "Observed and predicted choices"
        )
    environment = next(iter(study.decisions.environments.values()))
    values, labels = np.asarray(environment.action_values[0]), environment.action_labels[0]
    return figures.play_and_predicted(fit, values, labels, environment.ordered)


def verdict(study: Study, fits: Mapping[str, Fit]) -> list[str]:
    """What was found, in sentences; each ends with what it rests on."""
    sentences = []
    if "pooled" in fits and "cost" in fits["pooled"].tree["posterior"]:
        low, mid, high = figures.interval(fits["pooled"].tree["posterior"]["cost"].to_numpy().reshape(-1))
        sentences.append(
            f"If one cost holds for everybody, it is {mid:.3g} {study.units} per nat of information "
            f"(90% interval {low:.3g} to {high:.3g})."
        )
    for name, fit in fits.items():
        posterior = fit.tree["posterior"].to_dataset()
        middle, sd = ("log_cost_mean", "log_cost_sd") if "log_cost_mean" in posterior else ("log_mean", "log_sd")
        if not (name.startswith("by ") or name == "people") or middle not in posterior:
            continue
        level = "person" if name == "people" else name.removeprefix("by ")
        costs = figures.personal(fit)["cost"]
        typical = figures.interval(np.exp(posterior[middle].to_numpy().reshape(-1)))
        low, mid, high = figures.interval(posterior[sd].to_numpy().reshape(-1))
        medians = costs.median(("chain", "draw")).to_numpy()
        labels = costs[costs.dims[-1]].to_numpy()
        cheap, dear = str(labels[medians.argmin()]), str(labels[medians.argmax()])
        sentences.append(
            f"Costs by {level} are spread around {typical[1]:.3g} (90% interval {typical[0]:.3g} to "
            f"{typical[2]:.3g}) with a standard deviation of log cost of {mid:.2f} ({low:.2f} to {high:.2f}): "
            f"lowest in {cheap} ({medians.min():.3g}), highest in {dear} ({medians.max():.3g})."
        )
    for fit in fits.values():
        inferred = {str(n): x for n, x in fit.tree["posterior"].data_vars.items()}
        game = [_told(n, inferred[n]) for n in study.parameters if n in inferred]
        habits = [_told(n.removeprefix("psi_"), x) for n, x in inferred.items() if n.startswith("psi_")]
        sentences += [f"The game: {', '.join(game)} (90% intervals)."] if game else []
        sentences += [f"Habits that people fall back on: {', '.join(habits)} (90% intervals)."] if habits else []
    if "pooled" in fits and "by game" in fits:
        gain = log_score(fits["by game"]) - log_score(fits["pooled"])
        sentences.append(
            f"Letting the cost differ by game raises the average log-likelihood of the data by {gain:.1f} nats; this "
            "is fit to the same data, not yet a comparison out of sample."
        )
    return sentences


def _told(name: str, draws: Any) -> str:
    low, mid, high = figures.interval(draws.to_numpy().reshape(-1))
    return f"{name} {mid:.3g} ({low:.3g} to {high:.3g})"


def log_score(fit: Fit) -> float:
    """Posterior mean of the log-likelihood of all data."""
    return float(sum(v.sum().item() for v in fit.tree["log_likelihood"].mean(("chain", "draw")).data_vars.values()))


def rational_play(study: Study) -> np.ndarray | None:
    """Each cell's strategy at a cost near zero (a Nash equilibrium), or None where one is not found."""
    import jax

    from bayescal.environments.base import shape_key
    from bayescal.policies.exact import ExactPolicy

    decisions = study.decisions
    rows = []
    first: dict[Any, Any] = {}
    with jax.enable_x64(True):
        for environment in decisions.environments.values():
            policy = ExactPolicy(first.setdefault(shape_key(environment), environment))
            cost = 1e-4 * float(environment.payoff_scale(environment.params))
            rows.append(np.asarray(policy.solve(cost, params=environment.params).strategies))
    out = np.full(decisions.counts.shape, np.nan)
    for cell, (g, r) in enumerate(zip(decisions.cells["game_index"], decisions.cells["role_index"], strict=True)):
        out[cell, : rows[g].shape[1]] = rows[g][r]
    return None if np.isnan(out[decisions.mask]).any() else out


def collect(study: Study, fits: Mapping[str, Fit], command: str) -> dict[str, Any]:
    """Every number of the report, for programs. What could not be computed is null."""
    return {
        "study": {
            "name": study.name,
            "title": study.title,
            "citation": study.citation,
            "decisions": study.decisions.total,
            "snapped": study.decisions.snapped,
            "masked": study.decisions.play.masked if study.decisions.play is not None else 0,
            "over_time": study.decisions.play is not None,
            "data_hash": study.decisions.data_hash,
        },
        "command": command,
        "fits": {
            name: {
                "status": fit.status,
                "provenance": fit.provenance,
                "mean_log_likelihood": log_score(fit),
                "identifiability": _said(fit),
                "summary": {
                    str(p): {str(k): float(v) if np.isfinite(v) else None for k, v in row.items()}
                    for p, row in fit.summary().iterrows()
                    if not str(p).startswith(("log_cost[", "log_cost_offset["))
                },
            }
            for name, fit in fits.items()
        },
    }


def _said(fit: Fit) -> dict[str, Any]:
    """What the data say of each parameter."""
    found = fit.identifiability()
    return {"sentences": found.sentences, "table": found.table.to_dict("index")}


def _rows(study: Study) -> list[dict[str, Any]]:
    """One line per game and role: decisions, and the commonest actions with their shares."""
    decisions, out = study.decisions, []
    pairs = zip(decisions.cells["game_index"], decisions.cells["role_index"], strict=True)
    totals: dict[tuple[int, int], np.ndarray] = {}
    for counts, pair in zip(decisions.counts, pairs, strict=True):
        totals[pair] = totals.get(pair, 0) + counts
    for (g, r), counts in totals.items():
        env = decisions.environments[decisions.game_names[g]]
        shares = counts / counts.sum()
        top = [a for a in np.argsort(-shares, kind="stable")[:4] if shares[a] > 0]
        out.append(
            {
                "game": decisions.game_names[g],
                "role": env.role_names[r],
                "decisions": int(counts.sum()),
                "shares": ", ".join(f"{env.action_labels[r][a]} {shares[a]:.1%}" for a in sorted(top)),
            }
        )
    return out


def _environment() -> jinja2.Environment:
    templates = jinja2.DictLoader({"report.html": files("bayescal.report").joinpath("report.html").read_text()})
    env = jinja2.Environment(loader=templates, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    env.filters["num"] = lambda x, digits=3: "–" if x is None else f"{x:,.{digits}f}"
    return env


def _image(fig: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # Without a date the same fit gives the same file.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    fig.savefig(buffer, format=kind, dpi=150, metadata=metadata)
    return buffer.getvalue()


def _svg(fig: Figure, name: str) -> str:
    """An <svg> element to stand in a page: no XML head, and ids that no other figure has."""
    text = _image(fig, "svg").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", text, count=1)
