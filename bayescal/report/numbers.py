"""Every number of a report, for programs: what report.json holds, and what the page is made from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescal.plain import plain
from bayescal.posterior.fit import Fit
from bayescal.posterior.summary import summarise
from bayescal.report.people import everyone, own_dimension
from bayescal.study.load import Study

_GAMES = 60  # rows of the table of games


def collect(study: Study | None, fits: Mapping[str, Fit], command: str) -> dict[str, Any]:
    """What could not be computed is null."""
    return plain(
        {
            "study": of_study(study, fits),
            "command": command,
            "fits": {name: of_fit(fit) for name, fit in fits.items()},
        }
    )


def of_fit(fit: Fit) -> dict[str, Any]:
    found, people = fit.identifiability(), everyone(fit)
    own = own_dimension(fit)
    shared = [str(n) for n, x in fit.tree["posterior"].data_vars.items() if x.dims[-1] != own and n != "precision"]
    return {
        "status": str(fit.status),
        "converged": fit.converged,
        "provenance": fit.provenance,
        "mean_log_likelihood": log_score(fit),
        "identifiability": {"sentences": found.sentences, "table": found.table.to_dict("index")},
        "summary": summarise(fit.tree, shared).to_dict("index") if shared else {},
        "each": own,
        "people": {} if people is None else people.to_dict("index"),
    }


def log_score(fit: Fit) -> float:
    """Posterior mean of the log-likelihood of all data, in sample."""
    return float(sum(v.sum().item() for v in fit.tree["log_likelihood"].mean(("chain", "draw")).data_vars.values()))


def of_study(study: Study | None, fits: Mapping[str, Fit]) -> dict[str, Any]:
    """Facts of the data; where the study is not at hand, those that the fits know."""
    known = next(iter(fits.values()))
    told: dict[str, Any] = {
        "name": known.provenance.get("study", ""),
        "title": known.provenance.get("study", "") or "Decisions",
        "decisions": _decisions(known),
        "snapped": known.provenance.get("snapped", 0),
        "over_time": "choice" in known.tree["observed_data"],
        "data_hash": known.provenance.get("data_hash", ""),
        "units": "payoff units",
        "found": study is not None,
        "shares": [],
    }
    if study is None:
        return told
    decisions = study.decisions
    play = decisions.play
    rounds = decisions.table.get("round")
    levels = {f"{n}s": len(decisions.levels(n)) if n in decisions.cells else None for n in ("participant", "group")}
    return told | {
        "name": study.name,
        "title": study.title,
        "source": study.source,
        "licence": study.licence,
        "citation": study.citation,
        "units": study.units,
        "decisions": decisions.total if play is None else len(play.row),
        "rows": len(decisions.table),
        "snapped": decisions.snapped,
        "masked": 0 if play is None else play.masked,
        "left_out": [] if play is None else list(play.left_out),
        "over_time": play is not None,
        "data_hash": decisions.data_hash,
        **levels,
        "games": len(decisions.game_names),
        "rounds": None if rounds is None else [int(rounds.min()), int(rounds.max())],
        "grids": _grids(study),
        "shares": _shares(study),
    }


def _decisions(fit: Fit) -> int:
    constant = fit.tree["constant_data"].to_dataset()
    return int(constant["total"].sum()) if "total" in constant else int(constant.sizes.get("decision", 0))


def _grids(study: Study) -> list[dict[str, Any]]:
    """Each different grid of actions, and how many roles of games have it."""
    found: dict[Any, int] = {}
    for game in study.decisions.environments.values():
        for values, labels in zip(game.action_values, game.action_labels, strict=True):
            key = (tuple(map(float, values)) if game.ordered else None, tuple(labels))
            found[key] = found.get(key, 0) + 1
    return [
        {"actions": len(labels), "ordered": values is not None, "labels": _some(labels), "roles": n}
        for (values, labels), n in list(found.items())[:12]
    ]


def _some(labels: tuple[str, ...]) -> str:
    return ", ".join(labels) if len(labels) <= 8 else f"{', '.join(labels[:3])}, … {labels[-1]}"


def _shares(study: Study) -> list[dict[str, Any]]:
    """One line per game and role: decisions, and the commonest actions with their shares."""
    decisions, out = study.decisions, []
    pairs = zip(decisions.cells["game_index"], decisions.cells["role_index"], strict=True)
    totals: dict[tuple[int, int], np.ndarray] = {}
    for counts, pair in zip(decisions.counts, pairs, strict=True):
        totals[pair] = totals.get(pair, 0) + counts
    played = sorted(totals, key=lambda pair: -totals[pair].sum())[:_GAMES]
    for (g, r), counts in totals.items():
        if (g, r) not in played:
            continue
        env = decisions.environments[decisions.game_names[g]]
        shares = counts / counts.sum()
        top = [a for a in np.argsort(-shares, kind="stable")[:4] if shares[a] > 0]
        told = ", ".join(f"{env.action_labels[r][a]} {shares[a]:.1%}" for a in sorted(top))
        line = {"game": decisions.game_names[g], "role": env.role_names[r], "decisions": int(counts.sum())}
        out.append(line | {"shares": told, "of": len(totals)})
    return out
