"""Simulation-based calibration: are simulator, likelihood and sampler consistent with each other?

Parameters are drawn from their hyperpriors, decisions are simulated at them, and the model is fitted to these. If the
three are consistent, the rank of each parameter among its posterior draws is uniform over replicates, whatever the
hyperpriors (Talts, Betancourt, Simpson, Vehtari & Gelman 2018). The log-likelihood is ranked too, which finds
posteriors that ignore the data (Modrák et al. 2023). The test of uniformity uses the whole ECDF at once (Säilynoja,
Bürkner & Vehtari 2022), with a simulated null distribution.
"""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import binom

from bayescal.diagnostics.base import Outcome
from bayescal.diagnostics.oracle import model_on
from bayescal.diagnostics.replicates import (
    KEPT,
    LOG_LIKELIHOOD,
    THIN,
    WARMUP,
    Model,
    Progress,
    Replicates,
    replicate,
    too_many_failed,
)
from bayescal.policies.base import Policy

ERROR = 0.01  # probability that a correct model fails, all quantities together

_NULL = 20_000  # simulated sets of uniform ranks


@dataclasses.dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of true parameters among posterior draws, over replicates.

    Attributes:
        ranks: (replicates, quantities), from 0 to `kept`: how many of the kept draws lie below the truth.
        truth: the values that data were simulated at.
        kept: draws among which ranks are taken.
        failed: replicates whose sampler diverged, or whose effective sample size is below half of `kept`.
        lost: replicates without finite draws; they have no ranks.
    """

    ranks: pd.DataFrame
    truth: pd.DataFrame
    kept: int
    failed: int
    lost: int
    seconds_compiling: float
    seconds: float

    def summary(self) -> pd.DataFrame:
        """By quantity: the mean rank as a share (0.5 if uniform), its distance from 0.5 in standard errors, and the
        p-value of the test of uniformity."""
        share = (self.ranks + 0.5) / (self.kept + 1)
        return pd.DataFrame(
            {
                "mean_rank": share.mean(),
                "z": (share.mean() - 0.5) * np.sqrt(12 * len(share)),
                "p_value": [uniformity(self.ranks[n].to_numpy(), self.kept) for n in self.ranks],
            }
        )

    @property
    def replicates(self) -> int:
        return len(self.ranks) + self.lost

    @property
    def outcome(self) -> Outcome:
        """Passed if ranks are uniform, undecided if too many samplers failed."""
        if too_many_failed(self.failed + self.lost, self.replicates):
            return Outcome.UNDECIDED
        p_values = self.summary()["p_value"]
        return Outcome.FAILED if p_values.min() < ERROR / len(p_values) else Outcome.PASSED

    @property
    def calibrated(self) -> bool:
        return self.outcome is Outcome.PASSED

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        table, n, outcome = self.summary(), self.replicates, self.outcome
        worst = table["p_value"].idxmin()
        facts = (
            f"smallest p-value {table.loc[worst, 'p_value']:.2g} ({worst}), "
            f"{self.failed + self.lost} of {n} samplers failed"
        )
        if outcome is Outcome.UNDECIDED:
            return f"undecided: {facts}. Take more warmup, or narrower hyperpriors."
        if outcome is Outcome.PASSED:
            return f"calibrated: the ranks of all {len(table)} quantities are uniform in {n} replicates ({facts})."
        side = "low" if table.loc[worst, "mean_rank"] > 0.5 else "high"
        biased = worst != LOG_LIKELIHOOD and abs(table.loc[worst, "z"]) > 3
        direction = f", its posterior mostly too {side}" if biased else ""
        return f"not calibrated: the ranks of {worst} are not uniform{direction} ({facts})."

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "verdict": self.verdict,
            "outcome": self.outcome.value,
            "calibrated": self.calibrated,
            "replicates": self.replicates,
            "failed": self.failed,
            "lost": self.lost,
            "summary": self.summary().to_dict("index"),
            "ranks": {str(n): x.tolist() for n, x in self.ranks.items()},
            "kept": self.kept,
        }

    def __str__(self) -> str:
        return f"{self.summary().to_string(float_format='{:.3f}'.format)}\n{self.verdict}"

    __repr__ = __str__


def sbc(
    model: Model,
    truth: Model | Policy | None = None,
    *,
    replicates: int = 200,
    kept: int = KEPT,
    warmup: int = WARMUP,
    target_accept: float = 0.8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ranks:
    """Simulate and fit many times, and test whether true parameters rank uniformly among posterior draws.

    Args:
        model: of `build_model`, whose decisions give the design (who decides how often in which game; in games over
            time observations stay as recorded); or any other NumPyro model without arguments.
        truth: what decisions are simulated from: another policy, on which the same model is built (an `ExactPolicy`
            shows a network's error, which simulation from the network itself cannot), or another model; `model` itself
            when None.
        replicates: how many data sets.
        kept: draws among which ranks are taken; ten times as many are drawn.
        progress: called with (replicates done, replicates in all).

    Example:
        >>> import bayescal as bc
        >>> import numpyro, numpyro.distributions as dist
        >>> def model():
        ...     x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        ...     numpyro.sample("y", dist.Normal(x, 1.0), obs=2.0)
        >>> ranks = bc.sbc(model, replicates=40, kept=19, warmup=100)
        >>> ranks.calibrated, ranks.ranks.shape
        (True, (40, 2))
    """
    if isinstance(truth, Policy):
        truth = model_on(model, truth)
    return ranked(replicate(model, truth, replicates, kept, warmup, target_accept, seed, progress), kept)


def ranked(found: Replicates, kept: int) -> Ranks:
    """Ranks of the truths of replicates among `kept` of their draws."""
    some, failed, lost = found.usable()
    ranks = (some.draws[:, THIN - 1 :: THIN] < some.truth[:, None, :]).sum(axis=1)
    names = list(some.names)
    return Ranks(
        pd.DataFrame(ranks, columns=names),
        pd.DataFrame(some.truth, columns=names),
        kept,
        failed,
        lost,
        some.seconds_compiling,
        some.seconds,
    )


def uniformity(ranks: Int[np.ndarray, " replicates"], kept: int) -> float:
    """The p-value of ranks: the probability that the ECDF of as many uniform ranks is as extreme at any rank."""
    table, null = _null(len(ranks), kept)
    return float(
        (np.searchsorted(null, _outermost(_ecdf(ranks, kept)[None], table), side="right")[0] + 1) / (_NULL + 1)
    )


def ecdf_band(n: int, kept: int, error: float) -> tuple[Float[np.ndarray, " kept"], Float[np.ndarray, " kept"]]:
    """(low, high): the ECDF of n uniform ranks leaves this band at some rank with probability `error`."""
    _, null = _null(n, kept)
    tail = np.quantile(null, error)
    at = np.arange(1, kept + 1) / (kept + 1)
    return binom.ppf(tail, n, at) / n, binom.isf(tail, n, at) / n


def _ecdf(ranks: Int[np.ndarray, " replicates"], kept: int) -> Int[np.ndarray, " kept"]:
    """The number of ranks that are at most 0, 1, …, kept - 1."""
    return np.cumsum(np.bincount(ranks, minlength=kept + 1))[:-1]


@cache
def _null(n: int, kept: int) -> tuple[Float[np.ndarray, "counts kept"], Float[np.ndarray, " sets"]]:
    """(the smaller tail probability of each count at each rank; in simulated sets its minimum over ranks, sorted)."""
    counts, at = np.arange(n + 1)[:, None], np.arange(1, kept + 1) / (kept + 1)
    table = np.minimum(binom.cdf(counts, n, at), binom.sf(counts - 1, n, at))
    drawn = np.random.default_rng(0).multinomial(n, np.full(kept + 1, 1 / (kept + 1)), size=_NULL)
    return table, np.sort(_outermost(np.cumsum(drawn, axis=1)[:, :-1], table))


def _outermost(
    counts: Int[np.ndarray, "sets kept"], table: Float[np.ndarray, "counts kept"]
) -> Float[np.ndarray, " sets"]:
    """The smallest tail probability over ranks of each set."""
    return table[counts, np.arange(table.shape[1])].min(axis=1)
