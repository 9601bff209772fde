"""Whether a fit can be trusted, as data; sentences are made for display only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import xarray as xr

from bayescal._types import Facts
from bayescal.plain import listed
from bayescal.posterior.convergence import ESS, R_HAT, convergence_of
from bayescal.posterior.psis import K_HAT, k_hat_limit
from bayescal.posterior.tree import group

AT_BOUNDS = 0.05  # largest share of the posterior that may lie in the outermost hundredth of the trained domain
GRID_EDGE = 1e-3  # largest posterior mass in the outermost cells of a grid
FAR_FROM_POSTERIOR = "the guide is too far from the posterior to be reweighted: k-hat is above"
SKIPPED = 0.1  # largest share of optimisation steps without a finite gradient
GRADIENT = 1e-3  # largest gradient of the log-likelihood at a maximum


class Problem(Enum):
    """What can be wrong with a fit, in words; the most severe first."""

    AT_BOUNDS = "the posterior lies at the bounds of the trained domain"
    DIVERGENCES = "transitions diverged"
    R_HAT = f"chains disagree: R-hat is not below {R_HAT}"
    NO_GRADIENT = f"more than {SKIPPED:.0%} of the steps had no finite gradient"
    FAR_GUIDE = f"{FAR_FROM_POSTERIOR} {K_HAT}"
    FEW_DRAWS = f"the effective sample size is below {ESS}"
    UNSOLVED = "some likelihood values could not be computed"
    STILL_RISING = "the evidence lower bound is still rising"
    BEYOND_GRID = f"more than {GRID_EDGE:.1%} of the posterior lies at the edge of the grid"
    NOT_FINITE = "the likelihood is not finite where the search ended"
    FLAT = "the likelihood is flat in some direction, so the data do not identify all parameters"
    NO_MAXIMUM = "the search stopped before a maximum"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return _REMEDIES[self]


_REMEDIES = {
    Problem.AT_BOUNDS: "Use a policy with a larger trained domain, or ExactPolicy.",
    Problem.DIVERGENCES: "Raise target_accept.",
    Problem.R_HAT: "Take more warmup and draws.",
    Problem.NO_GRADIENT: "Use NUTS.",
    Problem.FAR_GUIDE: "Use a richer guide (full-rank, flow), or NUTS.",
    Problem.FEW_DRAWS: "Take more draws.",
    Problem.UNSOLVED: "Narrow the hyperpriors to costs at which the game can be solved.",
    Problem.STILL_RISING: "Take more steps.",
    Problem.BEYOND_GRID: "Give the grid wider ranges.",
    Problem.NOT_FINITE: "Give another start.",
    Problem.FLAT: "Infer fewer parameters, or use their prior: NUTS.",
    Problem.NO_MAXIMUM: "Give another start.",
}

_NUMBERS = {
    "r_hat": "R-hat at most {:.3f}",
    "divergences": "{:.0f} divergences",
    "k_hat": "PSIS k-hat of the guide {:.2f}",
    "ess": "effective sample size at least {:.0f}",
    "unsolved": "{:.0f} likelihood values not computed",
    "skipped": "{:.0%} of the steps without a finite gradient",
    "rise": "the bound rose by {:.2g} nats in the last tenth of the steps",
    "edge": "{:.1g} of the posterior at the edge of the grid",
    "gradient": "largest gradient {:.2g}",
}
_SHOWN_ABOVE_ZERO = ("unsolved", "skipped")


@dataclass(frozen=True)
class Status:
    """The outcome of inference. Its text is one sentence: converged, or what is wrong and what to do about it.

    Attributes:
        problems: what is wrong, the most severe first; empty where the fit converged.
        numbers: what was measured: "r_hat" (the largest), "r_hat_limit", "divergences", "ess" (the smallest),
            "unsolved" (likelihood values); of a grid "edge" (its posterior mass); of variational inference "k_hat" and
            "k_hat_limit", "rise" of the bound and its "rise_error", "skipped" (share of steps); of maximum likelihood
            "gradient". A number that could not be computed is absent.
        at_bounds: by parameter, the share of the posterior at the bounds of the trained domain, where it is too large.

    Example:
        >>> from bayescal.posterior.status import Problem, Status
        >>> status = Status((Problem.DIVERGENCES,), {"r_hat": 1.003, "divergences": 7})
        >>> status.converged, status.reason
        (False, 'transitions diverged')
        >>> print(status)
        not to be trusted: transitions diverged (R-hat at most 1.003, 7 divergences). Raise target_accept.
    """

    problems: tuple[Problem, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    at_bounds: Mapping[str, float] = field(default_factory=dict)

    @property
    def converged(self) -> bool:
        return not self.problems

    @property
    def reason(self) -> str:
        """What is wrong, without numbers; empty where the fit converged."""
        return "; ".join(self._told(p) for p in self.problems)

    def _told(self, problem: Problem) -> str:
        if problem is Problem.AT_BOUNDS and self.at_bounds:
            return f"the posterior of {listed(list(self.at_bounds))} lies at the bounds of the trained domain"
        if problem is Problem.FAR_GUIDE and "k_hat_limit" in self.numbers:
            return f"{FAR_FROM_POSTERIOR} {self.numbers['k_hat_limit']:.2g}"
        if problem is Problem.R_HAT and "r_hat_limit" in self.numbers:
            return f"chains disagree: R-hat is not below {self.numbers['r_hat_limit']:.3g}"
        return problem.value

    def __str__(self) -> str:
        measured = [
            text.format(self.numbers[n])
            for n, text in _NUMBERS.items()
            if n in self.numbers and (self.numbers[n] or n not in _SHOWN_ABOVE_ZERO)
        ]
        measured += [f"{share:.0%} of {n} at the bounds" for n, share in self.at_bounds.items()]
        if self.converged:
            return f"converged: {', '.join(measured)}" if measured else "converged"
        facts = f" ({', '.join(measured)})" if measured else ""
        return f"not to be trusted: {self.reason}{facts}. {self.problems[0].remedy}"

    def __hash__(self) -> int:
        return hash((self.problems, *(tuple(sorted(m.items())) for m in (self.numbers, self.at_bounds))))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        problems = [p.name for p in self.problems]
        return {"problems": problems, "numbers": dict(self.numbers), "at_bounds": dict(self.at_bounds)}

    @classmethod
    def from_dict(cls, saved: Facts) -> "Status":
        """The inverse of `as_dict`."""
        return cls(tuple(Problem[name] for name in saved["problems"]), saved["numbers"], saved["at_bounds"])


def status_of(
    wrong: Mapping[Problem, bool], numbers: Mapping[str, float], at_bounds: Mapping[str, float] | None = None
) -> Status:
    """A status from what may be wrong.

    Args:
        wrong: whether each problem is there.
        numbers: what was measured; those that are not a number are left out.
        at_bounds: of every parameter with a trained domain, the share of the posterior at its bounds.
    """
    crowded = {n: share for n, share in (at_bounds or {}).items() if share > AT_BOUNDS}
    found = {**wrong, Problem.AT_BOUNDS: bool(crowded)}
    measured = {n: float(x) for n, x in numbers.items() if not np.isnan(x)}
    return Status(tuple(p for p in Problem if found.get(p)), measured, crowded)


def status_of_draws(tree: xr.DataTree, at_bounds: Mapping[str, float] | None = None) -> Status:
    """Of chains: do they agree, and are they long enough?

    Args:
        tree: with posterior, sample_stats, log_likelihood and log_prior.
        at_bounds: by parameter, the share of the posterior at the bounds of the trained domain.
    """
    found = convergence_of(tree)
    numbers = {
        "r_hat": found.r_hat,
        "r_hat_limit": found.limit,
        "divergences": int(tree["sample_stats"].to_dataset()["diverging"].sum()),
        "ess": found.ess,
        "unsolved": sum(int(v.isnull().sum()) for v in group(tree, "log_likelihood").data_vars.values()),
    }
    wrong = {
        Problem.DIVERGENCES: numbers["divergences"] > 0,
        Problem.R_HAT: not found.agree,
        Problem.FEW_DRAWS: not found.long_enough,
        Problem.UNSOLVED: numbers["unsolved"] > 0,
    }
    return status_of(wrong, numbers, at_bounds)


def status_of_grid(edge: float, at_bounds: Mapping[str, float] | None = None) -> Status:
    """Of a grid: does the posterior reach beyond it?

    Args:
        edge: posterior mass in its outermost cells.
    """
    return status_of({Problem.BEYOND_GRID: edge > GRID_EDGE}, {"edge": edge}, at_bounds)


def status_of_guide(
    k_hat: float,
    ess: float,
    rise: float,
    rise_error: float,
    skipped: float,
    at_bounds: Mapping[str, float] | None = None,
    weighted: int | None = None,
) -> Status:
    """Of variational inference: is the guide near enough to the posterior?

    Args:
        k_hat, ess: of the importance weights, Pareto's k-hat and the effective sample size.
        rise, rise_error: of the bound in the last tenth of the steps, in nats, and its standard error.
        skipped: share of the steps without a finite gradient.
        weighted: how many draws were weighted, where that is known.
    """
    limit = K_HAT if weighted is None else k_hat_limit(weighted)
    wrong = {
        Problem.NO_GRADIENT: skipped > SKIPPED,
        Problem.FAR_GUIDE: not k_hat <= limit,
        Problem.FEW_DRAWS: ess < ESS,
        Problem.STILL_RISING: rise > max(0.1, 4 * rise_error),
    }
    numbers = {
        "k_hat": k_hat,
        "k_hat_limit": limit,
        "ess": ess,
        "rise": rise,
        "rise_error": rise_error,
        "skipped": skipped,
    }
    return status_of(wrong, numbers, at_bounds)


def status_of_estimate(finite: bool, curved: bool, gradient: float) -> Status:
    """Of maximum likelihood: did the search end at a maximum?

    Args:
        finite: whether the likelihood is finite where the search ended.
        curved: whether it falls in every direction.
        gradient: of the log-likelihood there, the largest component.
    """
    wrong = {
        Problem.NOT_FINITE: not finite,
        Problem.FLAT: finite and not curved,
        Problem.NO_MAXIMUM: finite and curved and gradient > GRADIENT,
    }
    return status_of(wrong, {"gradient": gradient})
