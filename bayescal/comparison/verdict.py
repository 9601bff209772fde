"""What a comparison says, as data; its sentences are made from that."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from bayescal.comparison.ingredients import ADDED, HABIT_ALONE, Ingredients, Worth, worths
from bayescal.comparison.sums import Units
from bayescal.plain import listed

_CLEAR_SE = 2.0  # a difference is clear beyond so many standard errors, and
_CLEAR_NATS = 4.0  # beyond so many nats: below four nats the standard error itself is unreliable


def clear(difference: float, se: float) -> bool:
    """Whether a difference of expected log predictive densities is clear.

    Example:
        >>> from bayescal.comparison.verdict import clear
        >>> clear(-5.0, 2.0), clear(-5.0, 3.0), clear(-3.0, 0.1)
        (True, False, False)
    """
    return abs(difference) > _CLEAR_NATS and not abs(difference) <= _CLEAR_SE * se


def in_nats(nats: float, se: float) -> str:
    """A difference with its standard error, without its sign.

    Example:
        >>> from bayescal.comparison.verdict import in_nats
        >>> in_nats(-84.6, 25.2), in_nats(2.04, 0.6)
        ('85 ± 25', '2.0 ± 0.6')
    """
    places = 0 if se >= 3 else 1
    return f"{abs(nats):.{places}f} ± {se:.{places}f}"


@dataclass(frozen=True)
class Partner:
    """The same behaviour as a model's, with the ingredients of the best one.

    Attributes:
        model: its name.
        nats, se: by how much it is better than the model, which is what these ingredients make of the gap.
    """

    model: str
    nats: float
    se: float


@dataclass(frozen=True)
class Gap:
    """How far a model is behind the best one.

    Attributes:
        model: its name.
        nats: of expected log predictive density, over all units.
        se: standard error of that.
        lacks: the ingredients that the best model has and this one has not.
        partner: this behaviour with these ingredients; None where it was not compared.
    """

    model: str
    nats: float
    se: float
    lacks: tuple[str, ...] = ()
    partner: Partner | None = None

    @property
    def clear(self) -> bool:
        return clear(self.nats, self.se)

    def __str__(self) -> str:
        return in_nats(self.nats, self.se)


@dataclass(frozen=True)
class Economics:
    """What payoffs add.

    Attributes:
        best: the best model with payoffs.
        null: the best model without.
        nats, se: by how much the first is ahead of the second; negative where it is behind.
    """

    best: str
    null: str
    nats: float
    se: float

    def __str__(self) -> str:
        ahead = "ahead of" if self.nats > 0 else "behind"
        sure = "" if clear(self.nats, self.se) else ", which is not clear"
        return (
            f"Payoffs: the best model with them ({self.best}) is {in_nats(self.nats, self.se)} nats {ahead} the best "
            f"without ({self.null}){sure}."
        )


@dataclass(frozen=True)
class Verdict:
    """Which model predicts best out of sample.

    Attributes:
        unit: what was left out: "participant", "group", "game" or "decision".
        units: how many of them.
        best: the name of the best model; None where no fit converged.
        per_decision: its expected log predictive density, in nats per decision.
        behind: the other models whose fits converged, best first.
        unreliable: by model, how many units were left out by weights that cannot be trusted.
        excluded: by model whose fit did not converge, the reason.
        clusters: how many groups of units standard errors are clustered by; 0 where there are none.
        worth: what each ingredient is worth; empty where ingredients are not known.
        economics: what payoffs add; None where models with and without them are not compared.

    Example:
        >>> from bayescal.comparison.verdict import Gap, Verdict
        >>> print(Verdict("game", 12, "new", -0.61, (Gap("old", 30.2, 5.1),)))
        new beats old by 30 ± 5 nats (out of sample: 12 games, -0.6100 nats per decision).
    """

    unit: str
    units: int
    best: str | None
    per_decision: float | None = None
    behind: tuple[Gap, ...] = ()
    unreliable: Mapping[str, int] | None = None
    excluded: Mapping[str, str] | None = None
    worth: tuple[Worth, ...] = ()
    economics: Economics | None = None
    clusters: int = 0

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        unit: str,
        units: Units,
        pointwise: pd.DataFrame,
        made_of: Mapping[str, Ingredients],
    ) -> "Verdict":
        """The verdict of a `Comparison`."""
        failed = table["excluded"].to_numpy(bool)
        sound, excluded = table[~failed], table[failed]
        best = str(sound.index[0]) if len(sound) else None
        trusted = {str(n): made_of[str(n)] for n in sound.index if str(n) in made_of}
        pairs = Differences(pointwise, units, trusted)
        return cls(
            unit=unit,
            units=units.count,
            best=best,
            per_decision=float(sound["per_decision"].iloc[0]) if len(sound) else None,
            behind=tuple(
                Gap(
                    str(name),
                    float(-row["difference"]),
                    float(row["difference_se"]),
                    *pairs.unfair(str(name), best or ""),
                )
                for name, row in sound.iloc[1:].iterrows()
            ),
            unreliable={str(n): int(k) for n, k in sound["unreliable"].items() if k},
            excluded={str(n): str(why) for n, why in excluded["reason"].items()},
            worth=worths(trusted, pointwise, units),
            economics=pairs.economics(),
            clusters=units.clusters,
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        sentences = [*self._ingredients, self._ranking, *self._unfair]
        if self.economics is not None:
            sentences.append(str(self.economics))
        if self.unreliable:
            models = [f"{n} ({k} above the limit of k-hat)" for n, k in self.unreliable.items()]
            sentences.append(f"Leaving out by importance weights is unreliable for {listed(models, None)}.")
        if self.excluded:
            models = [f"{n} ({why})" for n, why in self.excluded.items()]
            sentences.append(f"Excluded, because the fit cannot be trusted: {listed(models, None)}.")
        return tuple(sentences)

    @property
    def _ingredients(self) -> list[str]:
        """What ingredients are worth, those that every behaviour can have and equilibrium first."""
        shown = [w for w in self.worth if w.ingredient in (*ADDED.values(), "equilibrium", "payoffs")]
        if not shown:
            return []
        parts = [_worth(w) for w in shown]
        return [f"Worth out of sample, in nats: {listed(parts, None)}."]

    @property
    def _ranking(self) -> str:
        """The best model, and those that lack none of its ingredients."""
        if self.best is None:
            return "No model can be named: no fit has converged."
        per_decision = f"{self.per_decision:.4f} nats per decision"
        if not self.behind:
            return f"There is only {self.best} to compare ({per_decision})."
        fair = [gap for gap in self.behind if not gap.lacks]
        beats = [f"{gap.model} by {gap} nats" for gap in fair if gap.clear]
        close = [f"{gap.model} ({gap} nats)" for gap in self.behind if not gap.clear]
        if close:
            ranked = f"{self.best} predicts best, but cannot be told apart from {listed(close, None)}"
            ranked += f"; it beats {listed(beats, None)}" if beats else ""
        elif beats:
            ranked = f"{self.best} beats {listed(beats, None)}"
        else:
            ranked = f"{self.best} predicts best, and no other model has all of its ingredients"
        counted = f"{self.units} {self.unit}{'s' * (self.units != 1)}"
        counted += f" in {self.clusters} groups, by which errors are clustered" if self.clusters else ""
        return f"{ranked} (out of sample: {counted}, {per_decision})."

    @property
    def _unfair(self) -> list[str]:
        """Models that are clearly behind, and lack an ingredient of the best one."""
        reasons: dict[str, list[str]] = {}
        for gap in self.behind:
            if gap.lacks and gap.clear:
                reasons.setdefault(_lacking(gap), []).append(f"{gap.model} by {gap}")
        parts = [f"{listed(models, None)} ({why})" for why, models in reasons.items()]
        if not parts:
            return []
        return [f"Not on equal terms, {self.best} is ahead of {'; of '.join(parts)}."]

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        behind = [asdict(gap) | {"clear": gap.clear} for gap in self.behind]
        return asdict(self) | {"behind": behind, "worth": [w.as_dict() for w in self.worth]}


def _lacking(gap: Gap) -> str:
    """What a model is without, and what that is worth to it."""
    why = f"without {listed(gap.lacks, None)}"
    if gap.partner is None:
        return why
    return f"{why}, worth {'' if gap.partner.nats > 0 else '−'}{in_nats(gap.partner.nats, gap.partner.se)} to it"


def _worth(of: Worth) -> str:
    beside = f" (over {of.over})" if of.over == HABIT_ALONE else ""
    sure = "" if clear(of.nats, of.se) else " (not clear)"
    return f"{of.ingredient}{beside} {'' if of.nats > 0 else '−'}{in_nats(of.nats, of.se)}{sure}"


@dataclass(frozen=True)
class Differences:
    """Differences of models that can be trusted.

    Attributes:
        pointwise: expected log predictive density of each unit (rows) in each model (columns).
        units: what the rows stand for.
        made_of: the ingredients of each model, best first.
    """

    pointwise: pd.DataFrame
    units: Units
    made_of: Mapping[str, Ingredients]

    def between(self, first: str, second: str) -> tuple[float, float]:
        """(by how much the first model is better, its standard error)."""
        ahead = (self.pointwise[first] - self.pointwise[second]).to_numpy()
        return float(ahead.sum()), self.units.standard_error(ahead)

    def unfair(self, name: str, best: str) -> tuple[tuple[str, ...], Partner | None]:
        """(what a model lacks that the best one has, the same behaviour with these ingredients)."""
        if name not in self.made_of or best not in self.made_of:
            return (), None
        own, wanted = self.made_of[name], self.made_of[best]
        lacks = wanted.beyond(own)
        partners = [n for n, i in self.made_of.items() if lacks and i == own.like(wanted)]
        return lacks, Partner(partners[0], *self.between(partners[0], name)) if partners else None

    def economics(self) -> Economics | None:
        """The best model with payoffs beside the best without."""
        best = next((n for n, i in self.made_of.items() if i.payoffs), None)
        null = next((n for n, i in self.made_of.items() if not i.payoffs), None)
        return None if best is None or null is None else Economics(best, null, *self.between(best, null))
