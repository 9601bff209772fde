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


def listed(names: list[str], most: int = 4) -> str:
    """`a, b and c`; of many the first few."""
    shown = names if len(names) <= most + 1 else [*names[:most], f"{len(names) - most:,} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
