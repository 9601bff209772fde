"""Parameter recovery: are parameters found again where data were simulated at them?

The replicates are those of `sbc`: truths from the hyperpriors, decisions simulated at them, a posterior each. Over such
replicates a central interval of 80 % holds the truth in 80 % of them, and the error of the posterior mean in posterior
sds has mean 0 and variance 1, exactly and whatever the hyperpriors (Cook, Gelman & Rubin 2006).
"""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, norm

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
ERROR = 0.01  # the chance that a right pipeline fails, all quantities and intervals together


@dataclasses.dataclass(frozen=True, eq=False)
class Recovered:
    """What came of the replicates.

    Attributes:
        table: by quantity and replicate: truth, mean and sd of the posterior, and low and high of its central intervals
            (low50, high50, …).
        failed: replicates whose sampler diverged, or gave few independent draws.
        lost: replicates that gave no finite draws; they are not in the table.
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
        """By quantity and level: the share of replicates whose interval holds the truth, and the band in which all of
        them lie at once with probability 0.99, if the pipeline is right."""
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
        """By quantity: correlation of posterior mean and truth, root mean squared error, the share of the hyperprior's
        variance that the data explain, the mean error in posterior sds with its distance from 0 in standard errors (z),
        and the coverage of each interval."""
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
    def verdict(self) -> str:
        table, coverage, n = self.summary(), self.coverage, self.replicates + self.lost
        told = f"{self.failed + self.lost} of {n} samplers failed"
        if too_many_failed(self.failed + self.lost, n):
            return f"cannot be told: {told}. Take more warmup, or narrower hyperpriors."
        limit = norm.isf(ERROR / (2 * len(table) * (len(LEVELS) + 1)))
        biased = table["z"].abs().idxmax()
        if abs(z := table.loc[biased, "z"]) > limit:
            return (
                f"not recovered: the posterior mean of {biased} is too {'high' if z > 0 else 'low'}, by "
                f"{abs(table.loc[biased, 'mean_error']):.2f} posterior sds on average ({abs(z):.1f} standard errors; "
                f"{told})."
            )
        if not coverage["inside"].all():
            (name, level), row = next((i, r) for i, r in coverage.iterrows() if not r["inside"])  # ty: ignore[not-iterable]
            return (
                f"not recovered: {level:.0%} intervals of {name} hold the truth in {row['share']:.0%} of {n} "
                f"replicates, where {row['low']:.0%} to {row['high']:.0%} are to be expected ({told})."
            )
        shares = [f"{coverage.xs(x, level='level')['share'].mean():.0%}" for x in LEVELS]
        return (
            f"recovered: intervals of 50, 80 and 95 % hold the truth in {', '.join(shares[:2])} and {shares[2]} of {n} "
            f"replicates, on average over {len(table)} {'quantity' if len(table) == 1 else 'quantities'}, each inside "
            f"its Monte-Carlo band ({told})."
        )

    @property
    def recovered(self) -> bool:
        return self.verdict.startswith("recovered")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        coverage = self.coverage.reset_index().to_dict("records")
        return {
            "verdict": self.verdict,
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
    """Simulate and fit again and again, and see how near to the truth the posterior is, and whether its intervals hold
    it as often as they say.

    Args:
        model: as in `sbc`: its decisions give the design; in games over time what was seen stays as recorded.
        truth: what decisions are simulated from; `model` itself when None.
        replicates: how many data sets.
        kept: a tenth of the draws of each posterior.
        progress: called with (replicates done, replicates in all) now and then.

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
    return _recovered(replicate(model, truth, replicates, kept, warmup, target_accept, seed, progress))


def _recovered(found: Replicates) -> Recovered:
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
