"""Parameter recovery: does the posterior recover the parameters that data were simulated from?

The replicates are those of `sbc`: true parameters from the hyperpriors, decisions simulated from them, and a posterior
each. A central 80 % interval holds the truth in 80 % of the replicates, and the error of the posterior mean in
posterior sds has mean 0 and variance 1, exactly and whatever the hyperpriors (Cook, Gelman & Rubin 2006).
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, norm

from bayescal.diagnostics.base import Outcome
from bayescal.diagnostics.replicates import (
    KEPT,
    LOG_LIKELIHOOD,
    WARMUP,
    Model,
    Progress,
    Replicates,
    replicate,
    too_many_failed,
)

LEVELS = (0.5, 0.8, 0.95)
ERROR = 0.01  # probability that a correct model fails, all quantities and intervals together


@dataclasses.dataclass(frozen=True, eq=False)
class Recovered:
    """Posteriors beside the true parameters, over replicates.

    Attributes:
        table: by quantity and replicate: truth, mean and sd of the posterior, and low and high of its central intervals
            (low50, high50, …).
        failed: replicates whose sampler diverged, or whose effective sample size is too small.
        lost: replicates without finite draws; they are not in the table.
    """

    table: pd.DataFrame
    failed: int
    lost: int
    seconds_compiling: float
    seconds: float

    @property
    def names(self) -> list[str]:
        return list(self.table.index.unique("quantity"))

    @property
    def replicates(self) -> int:
        return len(self.table) // len(self.names)

    @property
    def coverage(self) -> pd.DataFrame:
        """By quantity and level: the share of replicates whose interval holds the truth, and the band in which all
        shares lie with probability 0.99 if the model is correct."""
        error = ERROR / (len(self.names) * (len(LEVELS) + 1))
        n, rows = self.replicates, []
        band = np.stack([binom.ppf(error / 2, n, LEVELS), binom.isf(error / 2, n, LEVELS)]).T / n
        for name, own in self.table.groupby(level="quantity", sort=False):
            for level, (low, high) in zip(LEVELS, band, strict=True):
                held = float(np.mean((own[_low(level)] <= own["truth"]) & (own["truth"] <= own[_high(level)])))
                rows.append((name, level, held, low, high, bool(low <= held <= high)))
        table = pd.DataFrame(rows, columns=["quantity", "level", "share", "low", "high", "inside"])
        return table.set_index(["quantity", "level"])

    def summary(self) -> pd.DataFrame:
        """By quantity: correlation of posterior mean and truth, root mean squared error, share of the hyperprior's
        variance that the data explain, mean error in posterior sds, its distance from 0 in standard errors (z), and
        the coverage of each interval."""
        rows, coverage = {}, self.coverage["share"].unstack()
        for name, own in self.table.groupby(level="quantity", sort=False):
            error = own["mean"] - own["truth"]
            standard = error / own["sd"]
            rows[name] = {
                "correlation": np.corrcoef(own["mean"], own["truth"])[0, 1],
                "rmse": np.sqrt(np.mean(error**2)),
                "explained": 1 - np.mean(error**2) / np.var(own["truth"]),
                "mean_error": standard.mean(),
                "z": standard.mean() * np.sqrt(len(own)),
            } | {f"coverage{_percent(x)}": coverage.loc[name, x] for x in LEVELS}
        return pd.DataFrame.from_dict(rows, orient="index")

    @property
    def _max_z(self) -> float:
        return float(norm.isf(ERROR / (2 * len(self.names) * (len(LEVELS) + 1))))

    @property
    def outcome(self) -> Outcome:
        """Passed if no posterior mean is biased and every interval covers the truth, undecided if too many samplers
        failed."""
        if too_many_failed(self.failed + self.lost, self.replicates + self.lost):
            return Outcome.UNDECIDED
        unbiased = (self.summary()["z"].abs() <= self._max_z).all()
        return Outcome.PASSED if unbiased and self.coverage["inside"].all() else Outcome.FAILED

    @property
    def recovered(self) -> bool:
        return self.outcome is Outcome.PASSED

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        table, coverage, n, outcome = self.summary(), self.coverage, self.replicates + self.lost, self.outcome
        failures = f"{self.failed + self.lost} of {n} samplers failed"
        if outcome is Outcome.UNDECIDED:
            return f"undecided: {failures}. Take more warmup, or narrower hyperpriors."
        biased = table["z"].abs().idxmax()
        if abs(z := table.loc[biased, "z"]) > self._max_z:
            return (
                f"not recovered: the posterior mean of {biased} is too {'high' if z > 0 else 'low'}, by "
                f"{abs(table.loc[biased, 'mean_error']):.2f} posterior sds on average ({abs(z):.1f} standard errors; "
                f"{failures})."
            )
        if outcome is Outcome.FAILED:
            (name, level), row = next((i, r) for i, r in coverage.iterrows() if not r["inside"])  # ty: ignore[not-iterable]
            return (
                f"not recovered: {level:.0%} intervals of {name} hold the truth in {row['share']:.0%} of {n} "
                f"replicates, where {row['low']:.0%} to {row['high']:.0%} are expected ({failures})."
            )
        shares = [f"{coverage.xs(x, level='level')['share'].mean():.0%}" for x in LEVELS]
        return (
            f"recovered: intervals of 50, 80 and 95 % hold the truth in {', '.join(shares[:2])} and {shares[2]} of {n} "
            f"replicates, on average over {len(table)} {'quantity' if len(table) == 1 else 'quantities'}, each inside "
            f"its Monte-Carlo band ({failures})."
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        coverage = self.coverage.reset_index().to_dict("records")
        return {
            "verdict": self.verdict,
            "outcome": self.outcome.value,
            "recovered": self.recovered,
            "replicates": self.replicates,
            "failed": self.failed,
            "lost": self.lost,
            "summary": self.summary().to_dict("index"),
            "coverage": coverage,
        }

    def __str__(self) -> str:
        return f"{self.summary().to_string(float_format='{:.3f}'.format)}\n{self.verdict}"

    __repr__ = __str__


def recover(
    model: Model,
    truth: Model | None = None,
    *,
    replicates: int = 50,
    kept: int = KEPT,
    warmup: int = WARMUP,
    target_accept: float = 0.8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Recovered:
    """Simulate and fit many times, and measure how near posteriors are to the truth and how often intervals cover it.

    Args:
        model: as in `sbc`: its decisions give the design; in games over time observations stay as recorded.
        truth: the model that decisions are simulated from; `model` itself when None.
        replicates: how many data sets.
        kept: a tenth of the draws of each posterior.
        progress: called with (replicates done, replicates in all).

    Example:
        >>> import bayescal as bc
        >>> import numpyro, numpyro.distributions as dist
        >>> def model():
        ...     x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        ...     numpyro.sample("y", dist.Normal(x, 1.0), obs=2.0)
        >>> found = bc.recover(model, replicates=40, kept=19, warmup=100)
        >>> [bool(inside) for inside in found.coverage["inside"]]  # of 50, 80 and 95 % intervals
        [True, True, True]
    """
    return recovered_from(replicate(model, truth, replicates, kept, warmup, target_accept, seed, progress))


def recovered_from(found: Replicates) -> Recovered:
    """Posterior means, sds and intervals of replicates."""
    some, failed, lost = found.usable()
    parts = {}
    for i, name in enumerate(some.names):
        if name == LOG_LIKELIHOOD:
            continue
        draws = some.draws[:, :, i]
        columns = {"truth": some.truth[:, i], "mean": draws.mean(axis=1), "sd": draws.std(axis=1, ddof=1)}
        for level in LEVELS:
            ends = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=1)
            columns |= {_low(level): ends[0], _high(level): ends[1]}
        parts[name] = pd.DataFrame(columns).rename_axis("replicate")
    table = pd.concat(parts, names=["quantity"])
    return Recovered(table, failed, lost, some.seconds_compiling, some.seconds)


def _percent(level: float) -> str:
    return f"{100 * level:.0f}"


def _low(level: float) -> str:
    return f"low{_percent(level)}"


def _high(level: float) -> str:
    return f"high{_percent(level)}"
