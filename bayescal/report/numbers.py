"""The numbers of a report, for programs and for the page: what report.json holds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from bayescal.plain import plain
from bayescal.posterior.convergence import R_HAT
from bayescal.posterior.fit import Fit
from bayescal.posterior.summary import summarise
from bayescal.posterior.tree import group
from bayescal.report.people import everyone, own_dimension
from bayescal.study.load import Study

_GAMES = 60  # rows of the table of games
_GRIDS = 12  # grids that are listed
_COMMONEST = 4  # actions in a row of the table of games

Json = dict[str, Any]  # as JSON has it: what is not finite is None


@dataclass(frozen=True)
class GridFacts:
    """A grid of actions, and how many roles of games have it."""

    actions: int
    ordered: bool
    labels: str
    roles: int


@dataclass(frozen=True)
class ChoiceFacts:
    """What was chosen in one role of a game.

    Attributes:
        shares: the commonest actions with their shares.
        of: how many rows there are, of which the table may show fewer.
    """

    game: str
    role: str
    decisions: int
    shares: str
    of: int


@dataclass(frozen=True)
class StudyFacts:
    """Facts of the data.

    Attributes:
        found: whether the study was at hand. If not, the facts are those that the fits know; others are absent.
        units: of payoffs.
        rows: of the table; `masked` of them have no known history and are not used.
        left_out: people none of whose decisions are used.
        rounds: the first and the last.
        shares: what was chosen, by game and role.
    """

    name: str
    title: str
    decisions: int
    snapped: int
    over_time: bool
    data_hash: str
    found: bool = False
    units: str = "payoff units"
    shares: list[ChoiceFacts] = field(default_factory=list)
    source: str = ""
    licence: str = ""
    citation: str = ""
    rows: int | None = None
    masked: int = 0
    left_out: list[str] = field(default_factory=list)
    participants: int | None = None
    groups: int | None = None
    games: int | None = None
    rounds: list[int] | None = None
    grids: list[GridFacts] = field(default_factory=list)

    @classmethod
    def of(cls, study: Study | None, fits: Mapping[str, Fit]) -> "StudyFacts":
        return _of_fits(fits) if study is None else _of_study(study)


_HIDDEN = ("precision", "kind")  # the inverse of the cost, and each person's node of an integral


@dataclass(frozen=True)
class FitFacts:
    """Facts of a fit.

    Attributes:
        status: whether it can be trusted, as a sentence.
        mean_log_likelihood: posterior mean of the log-likelihood of all data, in sample.
        identifiability: "sentences" for the reader, and the "table" by parameter.
        summary: by parameter, of those that everybody shares.
        r_hat_limit: below which chains agree, where the largest R-hat of all that was sampled is looked at.
        each: whose cost (or level) is their own: "participant", "group" or "game"; None where it is one for all.
        people: by label of these, decisions and posterior intervals.
    """

    status: str
    converged: bool
    provenance: Json
    mean_log_likelihood: float | None
    identifiability: Json
    summary: Json
    each: str | None
    people: Json
    r_hat_limit: float

    @classmethod
    def of(cls, fit: Fit) -> "FitFacts":
        found, people, own = fit.identifiability(), everyone(fit), own_dimension(fit)
        shared = [str(n) for n, x in fit.tree["posterior"].data_vars.items() if x.dims[-1] != own and n not in _HIDDEN]
        return cls(
            status=str(fit.status),
            converged=fit.converged,
            provenance=plain(fit.provenance),
            mean_log_likelihood=plain(log_score(fit)),
            identifiability=plain({"sentences": found.sentences, "table": found.table.to_dict("index")}),
            summary=plain(summarise(fit.tree, shared).to_dict("index")) if shared else {},
            each=own,
            people={} if people is None else plain(people.to_dict("index")),
            r_hat_limit=fit.status.numbers.get("r_hat_limit", R_HAT),
        )


@dataclass(frozen=True)
class Numbers:
    """Everything that a report says, as data.

    Attributes:
        command: that makes the report again.
        main: the name of the fit that the report is mainly about.
        comparison: of the fits, None where they are not compared.
        checks: by the name of the fit.
        verdict, warnings: sentences.
        figures: file names.
    """

    study: StudyFacts
    command: str
    fits: dict[str, FitFacts]
    main: str
    comparison: Json | None
    checks: dict[str, Json]
    verdict: list[str]
    warnings: list[str]
    figures: list[str]

    def as_dict(self) -> Json:
        return plain(asdict(self))


def log_score(fit: Fit) -> float | None:
    """Posterior mean of the log-likelihood of all data, in sample; None of a fit that was saved without."""
    values = group(fit.tree, "log_likelihood").data_vars.values()
    return float(sum(v.mean(("chain", "draw")).sum().item() for v in values)) if values else None


def _of_fits(fits: Mapping[str, Fit]) -> StudyFacts:
    fit = next(iter(fits.values()))
    known, constant = fit.provenance, fit.tree["constant_data"].to_dataset()
    return StudyFacts(
        name=known.get("study", ""),
        title=known.get("study", "") or "Decisions",
        decisions=int(constant["total"].sum()) if "total" in constant else int(constant.sizes.get("decision", 0)),
        snapped=int(known.get("snapped", 0)),
        over_time="choice" in fit.tree["observed_data"],
        data_hash=known.get("data_hash", ""),
    )


def _of_study(study: Study) -> StudyFacts:
    decisions = study.decisions
    play, rounds = decisions.play, decisions.table.get("round")
    count = lambda level: len(decisions.levels(level)) if level in decisions.cells else None
    return StudyFacts(
        name=study.name,
        title=study.title,
        decisions=int(decisions.total) if play is None else len(play.row),
        snapped=int(decisions.snapped),
        over_time=play is not None,
        data_hash=decisions.data_hash,
        found=True,
        units=study.units,
        shares=_shares(study),
        source=study.source,
        licence=study.licence,
        citation=study.citation,
        rows=len(decisions.table),
        masked=0 if play is None else int(play.masked),
        left_out=[] if play is None else list(play.left_out),
        participants=count("participant"),
        groups=count("group"),
        games=len(decisions.game_names),
        rounds=None if rounds is None else [int(rounds.min()), int(rounds.max())],
        grids=_grids(study),
    )


def _grids(study: Study) -> list[GridFacts]:
    roles: dict[tuple[tuple[float, ...] | None, tuple[str, ...]], int] = {}
    for game in study.decisions.environments.values():
        for values, labels in zip(game.action_values, game.action_labels, strict=True):
            key = (tuple(map(float, values)) if game.ordered else None, tuple(labels))
            roles[key] = roles.get(key, 0) + 1
    return [
        GridFacts(len(labels), values is not None, _some(labels), n)
        for (values, labels), n in list(roles.items())[:_GRIDS]
    ]


def _some(labels: tuple[str, ...]) -> str:
    return ", ".join(labels) if len(labels) <= 8 else f"{', '.join(labels[:3])}, … {labels[-1]}"


def _shares(study: Study) -> list[ChoiceFacts]:
    """One row for each game and role; of many the most played."""
    found = study.decisions.chosen()
    played = set(sorted(range(len(found)), key=lambda i: -found[i].counts.sum())[:_GAMES])
    rows = []
    for x in (x for i, x in enumerate(found) if i in played):
        shares = x.counts / x.counts.sum()
        commonest = [a for a in np.argsort(-shares, kind="stable")[:_COMMONEST] if shares[a] > 0]
        chosen = ", ".join(f"{x.labels[a]} {shares[a]:.1%}" for a in sorted(commonest))
        place = f"{x.role}, {x.situation}" if x.situation else x.role
        rows.append(ChoiceFacts(x.game, place, int(x.counts.sum()), chosen, len(found)))
    return rows
