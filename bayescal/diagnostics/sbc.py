"""Simulation-based calibration: does the whole pipeline recover what it is given?

Parameters are drawn from their hyperpriors, decisions are simulated at them, and the model is fitted to these. If
simulator, likelihood and sampler fit together, the rank of each parameter among its posterior draws is uniform over
replicates, whatever the hyperpriors (Talts, Betancourt, Simpson, Vehtari & Gelman 2018). The log-likelihood is ranked
too: it finds posteriors that overlook the data (Modrák et al. 2023). Whether ranks are uniform is told by their ECDF,
all of it at once (Säilynoja, Bürkner & Vehtari 2022), with the null distribution simulated.
"""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

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

ERROR = 0.01  # the chance that a right pipeline fails, all quantities together

_NULL = 20_000  # simulated sets of uniform ranks


@dataclasses.dataclass(frozen=True, eq=False)
class Ranks:
    """What came of the replicates.

    Attributes:
        ranks: (replicates, quantities), from 0 to `kept`: how many of the kept draws lie below the truth.
        truth: the values that data were simulated at.
        kept: draws among which ranks are taken.
        failed: replicates whose sampler diverged, or gave fewer than half as many independent draws as were kept.
        lost: replicates that gave no finite draws; they have no ranks.
    """

    ranks: pd.DataFrame
    truth: pd.DataFrame
    kept: int
    failed: int
    lost: int
    seconds_compiling: float
    seconds: float

    def summary(self) -> pd.DataFrame:
        """By quantity: the mean rank as a share (0.5 where uniform), its distance from that in standard errors, and the
        probability that uniform ranks stray as far from uniform as these."""
        share = (self.ranks + 0.5) / (self.kept + 1)
        return pd.DataFrame(
            {
                "mean_rank": share.mean(),
                "z": (share.mean() - 0.5) * np.sqrt(12 * len(share)),
                "p_value": [uniformity(self.ranks[n].to_numpy(), self.kept) for n in self.ranks],
            }
        )

    @property
    def verdict(self) -> str:
        table = self.summary()
        n = len(self.ranks) + self.lost
        p, worst = table["p_value"].min(), table["p_value"].idxmin()
        told = f"smallest p-value {p:.2g} ({worst}), {self.failed + self.lost} of {n} samplers failed"
        if too_many_failed(self.failed + self.lost, n):
            return f"cannot be told: {told}. Take more warmup, or narrower hyperpriors."
        if p < ERROR / len(table):
            side = "low" if table.loc[worst, "mean_rank"] > 0.5 else "high"
            leans = worst != LOG_LIKELIHOOD and abs(table.loc[worst, "z"]) > 3
            lean = f", its posterior mostly too {side}" if leans else ""
            return f"not calibrated: the ranks of {worst} are not uniform{lean} ({told})."
        return f"calibrated: the ranks of all {len(table)} quantities are uniform in {n} replicates ({told})."

    @property
    def calibrated(self) -> bool:
        return self.verdict.startswith("calibrated")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "verdict": self.verdict,
            "calibrated": self.calibrated,
            "replicates": len(self.ranks) + self.lost,
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
    truth: Model | None = None,
    *,
    replicates: int = 200,
    kept: int = KEPT,
    warmup: int = WARMUP,
    target_accept: float = 0.8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Ranks:
    """Simulate and fit again and again, and see whether the truth is where the posterior says.

    Args:
        model: of `build_model`, whose decisions give the design (who decides how often in which game, not what was
            decided; what was seen in games over time stays as recorded); or any other NumPyro model without arguments.
        truth: what decisions are simulated from; `model` itself when None. Give the same model on another policy to see
            whether the difference would show.
        replicates: how many data sets.
        kept: draws among which ranks are taken; ten times as many are drawn.
        progress: called with (replicates done, replicates in all) now and then.

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
    return _rank(replicate(model, truth, replicates, kept, warmup, target_accept, seed, progress), kept)


def _rank(found: Replicates, kept: int) -> Ranks:
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


def uniformity(ranks: np.ndarray, kept: int) -> float:
    """The probability that the ECDF of as many uniform ranks lies as far out, anywhere."""
    table, null = _null(len(ranks), kept)
    return float(
        (np.searchsorted(null, _outermost(_ecdf(ranks, kept)[None], table), side="right")[0] + 1) / (_NULL + 1)
    )


def ecdf_band(n: int, kept: int, error: float) -> tuple[np.ndarray, np.ndarray]:
    """Between which shares the ECDF of n uniform ranks lies at every rank at once, but with this probability."""
    _, null = _null(n, kept)
    tail = np.quantile(null, error)
    at = np.arange(1, kept + 1) / (kept + 1)
    return binom.ppf(tail, n, at) / n, binom.isf(tail, n, at) / n


def _ecdf(ranks: np.ndarray, kept: int) -> np.ndarray:
    """How many ranks are at most 0, 1, …, kept - 1."""
    return np.cumsum(np.bincount(ranks, minlength=kept + 1))[:-1]


@cache
def _null(n: int, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """(smaller tail probability of each count at each rank, its smallest over ranks in simulated sets, ascending)."""
    counts, at = np.arange(n + 1)[:, None], np.arange(1, kept + 1) / (kept + 1)
    table = np.minimum(binom.cdf(counts, n, at), binom.sf(counts - 1, n, at))
    drawn = np.random.default_rng(0).multinomial(n, np.full(kept + 1, 1 / (kept + 1)), size=_NULL)
    return table, np.sort(_outermost(np.cumsum(drawn, axis=1)[:, :-1], table))


def _outermost(counts: np.ndarray, table: np.ndarray) -> np.ndarray:
    return table[counts, np.arange(table.shape[1])].min(axis=1)
