"""What a check says."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        passed: None where it does not apply, or where it is a warning; a warning has `advice`.
        found: what was found, in plain words.
        advice: what to do about it; empty where there is nothing to do.
        about: "computation": whether the draws are those of the posterior; "model": whether the posterior is to be
            believed, and how far the data made it.
    """

    name: str
    passed: bool | None
    found: str
    advice: str = ""
    about: Literal["computation", "model"] = "computation"

    @property
    def warns(self) -> bool:
        return self.passed is None and bool(self.advice)

    @property
    def applies(self) -> bool:
        return self.passed is not None or bool(self.advice)
