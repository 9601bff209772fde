"""A learned fit beside the exact posterior: how much each parameter moves, and whether that matters."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy.stats import norm

from bayescal.diagnostics.base import Outcome
from bayescal.evaluation.batches import systematic
from bayescal.plain import plain

MOVE = 0.1  # posterior sds: a smaller move of a mean does not matter
SPREAD = 0.1  # a smaller relative change of an sd does not matter
EVEN = 1.5  # times the average: with no heavier weight, weights are nearly equal and their tail does not matter

_UNSOLVED = 0.01  # largest share of draws without an exact solution
_ERROR = 0.05  # probability of a wrong finding about some parameter
_BATCHES = 40  # of consecutive draws, from which Monte-Carlo errors are computed
_ROWS = 30  # of the table, when printed


class Finding(Enum):
    """What weighting shows."""

    GOOD_ENOUGH = "good enough"
    DIFFERS = "the exact posterior differs"
    UNSOLVED = "the exact equilibrium was not found at too many draws"
    FEW_OVERLAP = "hardly any draw lies where the exact posterior does"
    IMPRECISE = "a parameter is too near the limits for its Monte-Carlo error"


_OUTCOMES = {Finding.GOOD_ENOUGH: Outcome.PASSED, Finding.DIFFERS: Outcome.FAILED}


@dataclass(frozen=True, eq=False)
class Reweighted:
    """A learned fit beside the exact posterior.

    Attributes:
        k_hat: of the weights; above `k_hat_limit` they are unreliable, unless they are nearly equal.
        heaviest: the largest weight, as a multiple of the average.
        effective: effective sample size of the weights.
        unsolved: draws at which the exact equilibrium was not found; their weight is zero.
        tree: a DataTree with the posterior (the weighted draws, with what the exact model computes from them) and
            sample_stats (their normalised log weights).
    """

    k_hat: float
    k_hat_limit: float
    heaviest: float
    effective: float
    unsolved: int
    tree: xr.DataTree
    _table: pd.DataFrame

    @property
    def finding(self) -> Finding:
        """What weighting shows."""
        if self.unsolved >= _UNSOLVED * self._draws:
            return Finding.UNSOLVED
        if not (self._even or self.k_hat <= self.k_hat_limit):
            return Finding.FEW_OVERLAP
        beyond, unclear = self._beyond
        if beyond.any():
            return Finding.DIFFERS
        return Finding.IMPRECISE if unclear.any() else Finding.GOOD_ENOUGH

    @property
    def outcome(self) -> Outcome:
        """Passed if the network is good enough, failed if the exact posterior differs, else undecided."""
        return _OUTCOMES.get(self.finding, Outcome.UNDECIDED)

    @property
    def good_enough(self) -> bool:
        return self.finding is Finding.GOOD_ENOUGH

    @property
    def verdict(self) -> str:
        """The finding in one or two sentences."""
        n, finding = self._draws, self.finding
        weights = f"no draw weighs more than {self.heaviest:.2f} times the average" if self._even else self._k_hat
        without = f"the exact equilibrium was not found at {self.unsolved} of {n:,} draws"
        note = f" {without[:1].upper()}{without[1:]}; they weigh nothing." if self.unsolved else ""
        beyond, unclear = self._beyond
        if finding is Finding.UNSOLVED:
            advice = "Restrict the hyperpriors to costs at which it exists, or look at the policy's certificate."
            return f"undecided: {without}. {advice}"
        if finding is Finding.FEW_OVERLAP:
            return (
                f"undecided: {weights} > {self.k_hat_limit:.2f}, so hardly any draw lies where the exact posterior "
                f"does; refit with ExactPolicy.{note}"
            )
        if finding is Finding.DIFFERS:
            return (
                f"the exact posterior differs: {self._moves(self._worst(beyond))}, {weights}. Use the exact columns, "
                f"or refit with ExactPolicy.{note}"
            )
        if finding is Finding.IMPRECISE:
            return (
                f"undecided: {self._moves(self._worst(unclear))}, too near the limits of {MOVE:g} sd and {SPREAD:.0%} "
                f"for their Monte-Carlo errors, {weights}. Weight more draws (draws=…).{note}"
            )
        return (
            f"good enough: no parameter's mean moves by more than {MOVE:g} sd, and no sd changes by more than "
            f"{SPREAD:.0%} (largest move: {self._moves(str(self._table['shift'].abs().idxmax()))}), {weights}.{note}"
        )

    @property
    def _draws(self) -> int:
        return self.tree["sample_stats"]["log_weight"].size

    @property
    def _even(self) -> bool:
        return self.heaviest <= EVEN and bool(np.isfinite(self.k_hat))

    @property
    def _k_hat(self) -> str:
        return f"k-hat {self.k_hat:.2f}"

    @property
    def _excess(self) -> pd.DataFrame:
        """By how much each parameter's mean and sd move beyond what matters."""
        table = self._table
        return pd.concat([table["shift"].abs() - MOVE, table["spread"].abs() - np.log1p(SPREAD)], axis=1)

    @property
    def _beyond(self) -> tuple[np.ndarray, np.ndarray]:
        """By parameter: (certainly beyond what matters; unclear), all parameters at once."""
        z = norm.isf(_ERROR / 2 / (2 * len(self._table)))
        excess, error = self._excess.to_numpy(), z * self._table[["shift_error", "spread_error"]].to_numpy()
        beyond = (excess > error).any(axis=1)
        return beyond, (np.abs(excess) <= error).any(axis=1) & ~beyond

    def _worst(self, among: np.ndarray) -> str:
        return str(self._table.index[among][np.argmax(self._excess[among].max(axis=1))])

    def _moves(self, name: str) -> str:
        row = self._table.loc[name]
        return (
            f"{name} moves by {row['shift']:+.2f} ± {row['shift_error']:.2f} sd and its sd changes by "
            f"{np.expm1(row['spread']):+.0%}"
        )

    def summary(self) -> pd.DataFrame:
        """By parameter: mean and sd as drawn (`mean`, `sd`) and weighted (`exact_mean`, with its Monte-Carlo error, and
        `exact_sd`); `shift` of the mean in sds as drawn, and its error; `spread`, the log of the ratio of the two sds,
        and its error."""
        return self._table.copy()

    def draws(self, n: int = 1000, *, seed: int = 0) -> xr.DataTree:
        """Draws of the exact posterior: the weighted ones, resampled by their weights (some therefore twice)."""
        posterior = self.tree["posterior"].to_dataset().stack(at=("chain", "draw")).reset_index("at", drop=True)
        rng = np.random.default_rng(seed)
        chosen = systematic(np.exp(self.tree["sample_stats"]["log_weight"].to_numpy().ravel()), n, rng)
        taken = posterior.isel(at=chosen).rename(at="draw").assign_coords(draw=np.arange(n)).expand_dims(chain=[0])
        return xr.DataTree.from_dict({"posterior": taken.transpose("chain", "draw", ...)})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return plain(
            {
                "verdict": self.verdict,
                "finding": self.finding.value,
                "good_enough": self.good_enough,
                "k_hat": self.k_hat,
                "k_hat_limit": self.k_hat_limit,
                "heaviest": self.heaviest,
                "effective_draws": self.effective,
                "draws": self._draws,
                "unsolved": self.unsolved,
                "parameters": self._table.to_dict("index"),
            }
        )

    def __str__(self) -> str:
        table = self._table.loc[self._table["shift"].abs().sort_values(ascending=False).index]
        more = f"\n… and {len(table) - _ROWS} more that move less" if len(table) > _ROWS else ""
        return f"{table.head(_ROWS).to_string(float_format='{:.3f}'.format)}{more}\n{self.verdict}"

    __repr__ = __str__


def table_of(drawn: xr.Dataset, exact: xr.Dataset, weights: Float[np.ndarray, "chains draws"]) -> pd.DataFrame:
    """See `Reweighted.summary`.

    Args:
        drawn, exact: the draws, and what the exact model computes from them.
        weights: of the draws; they add up to one.
    """
    rows, labels = [], []
    for name in drawn.data_vars:
        dims = drawn[name].dims[2:]
        x = drawn[name].to_numpy().reshape(*weights.shape, -1)
        y = exact[name].to_numpy().reshape(*weights.shape, -1)
        rows.append(_moments(x, np.where(np.isfinite(y), y, 0.0), weights[..., None]))
        names = [[str(c) for c in drawn[d].to_numpy()] for d in dims]
        labels += [
            f"{name}[{', '.join(c[i] for c, i in zip(names, at, strict=True))}]" if dims else str(name)
            for at in np.ndindex(drawn[name].shape[2:])
        ]
    columns = ["mean", "sd", "exact_mean", "exact_sd", "exact_error", "shift", "shift_error", "spread", "spread_error"]
    return pd.DataFrame(np.concatenate(rows), index=labels, columns=columns)


def _moments(
    x: Float[np.ndarray, "chains draws parameters"],
    y: Float[np.ndarray, "chains draws parameters"],
    w: Float[np.ndarray, "chains draws 1"],
) -> Float[np.ndarray, "parameters 9"]:
    """The columns of the table, from values as drawn (x), exact values (y) and weights.

    Errors are those of the differences (one set of draws serves both sides), to first order: the spread of batches'
    sums of each draw's influence.
    """
    n, over = w.size, (0, 1)
    mean, exact_mean = x.mean(axis=over), np.sum(w * y, axis=over)
    dx, dy = x - mean, y - exact_mean
    sd, exact_sd = np.sqrt(np.mean(dx**2, axis=over)), np.sqrt(np.sum(w * dy**2, axis=over))
    unit, exact_unit = np.where(sd > 0, sd, 1.0), np.where(exact_sd > 0, exact_sd, 1.0)
    moves = (w * dy - dx / n) / unit
    stretches = w * ((dy / exact_unit) ** 2 - 1) / 2 - ((dx / unit) ** 2 - 1) / (2 * n)
    stretches = np.where((sd > 0) & (exact_sd > 0), stretches, 0.0)
    columns = [
        mean,
        sd,
        exact_mean,
        exact_sd,
        _error(w * dy),
        (exact_mean - mean) / unit,
        _error(moves),
        np.log(exact_unit / unit),
        _error(stretches),
    ]
    return np.stack(columns, axis=-1)


def _error(influence: Float[np.ndarray, "chains draws *rest"]) -> Float[np.ndarray, "*rest"]:
    """The standard error of the sum over draws, which may be correlated along a chain."""
    chains, per_chain = influence.shape[:2]
    each = min(max(_BATCHES // chains, 2), per_chain)
    starts = (np.arange(each) * per_chain) // each
    sums = np.add.reduceat(influence, starts, axis=1).reshape(chains * each, *influence.shape[2:])
    return np.sqrt(len(sums) * np.var(sums, axis=0, ddof=1))
