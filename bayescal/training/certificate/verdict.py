"""What a certificate concludes, from its figures: as data, with sentences for display only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bayescal.training.facts import Verdict

LIMIT = 0.01  # nats a decision
LEVEL = 1e-3  # of the first-order tests, over all cells together
SCALE_ERROR = 0.0125  # a standard error with which a scale that is off by 5 % is seen
SDS = 0.1  # an error of log cost, in posterior sds at 1,000 decisions, that does not matter
ROUNDING = 1e-6  # nats: a fitted reply that does not deviate at all differs by the rounding of sums
DECISIONS = (100, 1000, 10_000)


@dataclass(frozen=True)
class Measured:
    """A mean and its standard error."""

    mean: float
    error: float

    def as_dict(self) -> dict[str, float]:
        """For JSON, to four significant digits."""
        return {"mean": _short(self.mean), "standard error": _short(self.error)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, float]) -> "Measured":
        return cls(float(facts["mean"]), float(facts["standard error"]))

    def above(self, limit: float) -> bool:
        return self.mean - 2 * self.error > limit

    def below(self, limit: float) -> bool:
        return self.mean + 2 * self.error <= limit


@dataclass(frozen=True)
class Cell:
    """What was measured for one role and cost at one point of the domain.

    Attributes:
        at: the point: "middle", "corner 1", ….
        gain: of one deviation, a lower bound (`observer`), in nats a decision.
        scale: the values are off by this share of themselves (0 if right).
        information: of one decision about log cost, for the bias in posterior sds.
        p: of the first-order tests together.
        reply: name of the best reply; `played` is its gain in nats a decision.
    """

    role: str
    cost: float
    at: str
    gain: Measured
    scale: Measured
    information: float
    p: float
    reply: str
    played: Measured

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "role": self.role,
            "cost": _short(self.cost),
            "at": self.at,
            "gain": self.gain.as_dict(),
            "scale": self.scale.as_dict(),
            "information": _short(self.information),
            "p": _short(self.p),
            "reply": self.reply,
            "played": self.played.as_dict(),
            "sds": {str(n): _short(self.sds(n)) for n in DECISIONS},
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "Cell":
        """What `as_dict` returned."""
        measured = {n: Measured.from_dict(facts[n]) for n in ("gain", "scale", "played")}
        plain = {n: facts[n] for n in ("role", "cost", "at", "information", "p", "reply")}
        return cls(**plain, **measured)

    def sds(self, decisions: int) -> float:
        """Bias of log cost through the error of scale, in posterior sds after so many decisions."""
        return abs(self.scale.mean) * (decisions * self.information) ** 0.5

    def scale_matters(self) -> bool:
        """Whether the error of scale may be as large as matters."""
        most = abs(self.scale.mean) + 2 * self.scale.error
        return most * (1000 * self.information) ** 0.5 > SDS

    def reply_found(self) -> bool:
        """Whether the best reply does not lose beyond noise."""
        return self.played.mean + 2 * self.played.error >= -ROUNDING

    def verdict(self, cells: int, limit: float = LIMIT) -> Verdict:
        """The verdict on this cell, one of `cells` that are tested together.

        Example:
            >>> from bayescal.training.certificate.verdict import Cell, Measured
            >>> none, small = Measured(0.0, 0.0), Measured(0.001, 0.001)
            >>> Cell("firm", 1.0, "middle", small, small, 0.1, 0.5, "fitted", none).verdict(1).value
            'pass'
            >>> Cell("firm", 1.0, "middle", small, small, 0.1, 0.5, "lazy", Measured(-1.0, 0.1)).verdict(1).value
            'undecided'
        """
        if self.gain.above(limit) or self.played.above(limit) or self.p < LEVEL / cells:
            return Verdict.FAIL
        precise = self.scale.error <= SCALE_ERROR or not self.scale_matters()
        if precise and self.reply_found() and self.gain.below(limit) and self.played.below(limit):
            return Verdict.PASS
        return Verdict.UNDECIDED


def overall(verdicts: Sequence[Verdict]) -> Verdict:
    """FAIL if any cell fails, PASS if all pass."""
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    return Verdict.PASS if verdicts and set(verdicts) == {Verdict.PASS} else Verdict.UNDECIDED


def _short(x: float) -> float:
    return float(f"{x:.4g}")
