"""What a check or a calibration test found."""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal


class Outcome(Enum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"  # nothing is wrong for certain, but the reader must know
    UNDECIDED = "undecided"  # the numbers do not say
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Check:
    """One check of a fit.

    Attributes:
        outcome: passed, failed, warning, not applicable, or undecided where numbers are missing.
        found: what was found, in words.
        advice: what to do about it; empty where there is nothing to do.
        about: "computation": whether the draws are those of the posterior; "model": whether the model describes the
            decisions, and how much the data say about its parameters.

    Example:
        >>> from bayescal.diagnostics.base import Check, Outcome
        >>> check = Check("R-hat", Outcome.FAILED, "at most 1.2", "Take more draws.")
        >>> check.failed, check.warns, check.applies
        (True, False, True)
    """

    name: str
    outcome: Outcome
    found: str
    advice: str = ""
    about: Literal["computation", "model"] = "computation"

    @property
    def failed(self) -> bool:
        return self.outcome is Outcome.FAILED

    @property
    def passed(self) -> bool | None:
        """None for a warning, and where the check does not apply."""
        return {Outcome.PASSED: True, Outcome.FAILED: False}.get(self.outcome)

    @property
    def warns(self) -> bool:
        return self.outcome is Outcome.WARNING

    @property
    def applies(self) -> bool:
        """Whether the check could be made."""
        return self.outcome not in (Outcome.NOT_APPLICABLE, Outcome.UNDECIDED)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "outcome": self.outcome.value,
            "passed": self.passed,
            "found": self.found,
            "advice": self.advice,
            "about": self.about,
        }
