"""Whether a fit can be trusted, as data; sentences are made for display only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Problem(Enum):
    """What can be wrong with a fit."""

    R_HAT = "chains disagree"
    DIVERGENCES = "transitions diverged"
    FEW_DRAWS = "effective sample size is too small"
    UNSOLVED = "likelihood values could not be solved"
    AT_BOUNDS = "posterior lies at the bounds of the trained domain"
    BEYOND_GRID = "posterior mass at the edge of the grid"
    FAR_GUIDE = "the guide is too far from the posterior"
    NO_GRADIENT = "too many steps without a finite gradient"
    STILL_RISING = "the bound still rises"
    NO_MAXIMUM = "the search did not end at a maximum"


@dataclass(frozen=True)
class Status:
    """The outcome of inference.

    Attributes:
        problems: what is wrong; none where the fit converged.
        numbers: what was measured: "r_hat", "divergences", "ess", "unsolved", "k_hat", …
        at_bounds: the share of the posterior at the bounds of the trained domain, by parameter, where it is too large.
    """

    problems: tuple[Problem, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    at_bounds: Mapping[str, float] = field(default_factory=dict)

    @property
    def converged(self) -> bool:
        return not self.problems
