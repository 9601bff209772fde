"""What a comparison says, as data; its sentences are made from that."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

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


@dataclass(frozen=True)
class Gap:
    """How far a model is behind the best one.

    Attributes:
        model: its name.
        nats: of expected log predictive density, over all units.
        se: standard error of that.
    """

    model: str
    nats: float
    se: float

    @property
    def clear(self) -> bool:
        return clear(self.nats, self.se)

    def __str__(self) -> str:
        places = 0 if self.se >= 3 else 1
        return f"{abs(self.nats):.{places}f} ± {self.se:.{places}f}"


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
    clusters: int = 0

    @classmethod
    def of(cls, table: pd.DataFrame, unit: str, units: int, clusters: int = 0) -> "Verdict":
        """The verdict of `Comparison.table`."""
        failed = table["excluded"].to_numpy(bool)
        sound, excluded = table[~failed], table[failed]
        best = str(sound.index[0]) if len(sound) else None
        return cls(
            unit=unit,
            units=units,
            best=best,
            per_decision=float(sound["per_decision"].iloc[0]) if len(sound) else None,
            behind=tuple(
                Gap(str(name), float(-row["difference"]), float(row["difference_se"]))
                for name, row in sound.iloc[1:].iterrows()
            ),
            unreliable={str(n): int(k) for n, k in sound["unreliable"].items() if k},
            excluded={str(n): str(why) for n, why in excluded["reason"].items()},
            clusters=clusters,
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        sentences = [self._first]
        if self.unreliable:
            models = [f"{n} ({k} above the limit of k-hat)" for n, k in self.unreliable.items()]
            sentences.append(f"Leaving out by importance weights is unreliable for {listed(models, None)}.")
        if self.excluded:
            models = [f"{n} ({why})" for n, why in self.excluded.items()]
            sentences.append(f"Excluded, because the fit cannot be trusted: {listed(models, None)}.")
        return tuple(sentences)

    @property
    def _first(self) -> str:
        if self.best is None:
            return "No model can be named: no fit has converged."
        per_decision = f"{self.per_decision:.4f} nats per decision"
        if not self.behind:
            return f"There is only {self.best} to compare ({per_decision})."
        beats = [f"{gap.model} by {gap} nats" for gap in self.behind if gap.clear]
        close = [f"{gap.model} ({gap} nats)" for gap in self.behind if not gap.clear]
        if close:
            ranked = f"{self.best} predicts best, but cannot be told apart from {listed(close, None)}"
            ranked += f"; it beats {listed(beats, None)}" if beats else ""
        else:
            ranked = f"{self.best} beats {listed(beats, None)}"
        counted = f"{self.units} {self.unit}{'s' * (self.units != 1)}"
        counted += f" in {self.clusters} groups, by which errors are clustered" if self.clusters else ""
        return f"{ranked} (out of sample: {counted}, {per_decision})."

    def __str__(self) -> str:
        return " ".join(self.sentences)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"behind": [asdict(gap) | {"clear": gap.clear} for gap in self.behind]}
