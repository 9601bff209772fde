"""Do chains agree, and are they long enough? One rule, for the sampler that may take more draws and for the status.

Judged is what was sampled. What was drawn afterwards from its exact conditional distribution (costs that were
integrated out) is independent from draw to draw, and what is computed from the sampled numbers agrees if they do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy.stats import chi2

from bayescal.posterior.tree import group

R_HAT = 1.01  # chains agree below it
ESS = 400  # effective sample size that is wanted

_ERROR = 0.05  # the probability that chains that agree exceed the limit, all quantities together


def r_hat_limit(quantities: int, chains: int, ess: float) -> float:
    """The limit of R-hat of one of many quantities: 1.01, or more where chains that agree would often exceed it.

    With h half chains that agree, R-hat is about 1 + x h / (2 ess), where (h - 1) x has a chi-square distribution with
    h - 1 degrees of freedom.

    Args:
        ess: effective sample size within half chains, which does not know whether they agree; taken to be 400 at least.

    Example:
        >>> from bayescal.posterior.convergence import r_hat_limit
        >>> [round(r_hat_limit(n, chains=4, ess=1000), 4) for n in (1, 10, 400)]
        [1.01, 1.0116, 1.0168]
    """
    halves = 2 * chains
    excess = float(chi2.isf(_ERROR / max(quantities, 1), halves - 1)) / (halves - 1)
    return max(R_HAT, 1 + excess * halves / (2 * max(ess, ESS)))


@dataclass(frozen=True)
class Convergence:
    """R-hat and effective sample sizes of everything that was sampled and moves.

    Attributes:
        table: by quantity r_hat, its limit, ess_bulk and ess_tail.
    """

    table: pd.DataFrame

    @property
    def r_hat(self) -> float:
        """The largest; 1 where nothing moves, and not a number where it cannot be computed (of one chain)."""
        return float(self.table["r_hat"].max()) if len(self.table) else 1.0

    @property
    def limit(self) -> float:
        """Of the quantity in which chains are furthest apart."""
        excess = (self.table["r_hat"] - self.table["limit"]).to_numpy(float)
        return float(self.table["limit"].iloc[np.nanargmax(excess)]) if np.isfinite(excess).any() else R_HAT

    @property
    def ess(self) -> float:
        """The smallest."""
        return float(np.nanmin(self.table[["ess_bulk", "ess_tail"]].to_numpy(float), initial=np.inf))

    @property
    def apart(self) -> pd.DataFrame:
        """The quantities in which chains disagree, the worst first."""
        above = self.table[~(self.table["r_hat"] < self.table["limit"])]
        return above.sort_values("r_hat", ascending=False)

    @property
    def agree(self) -> bool:
        return not len(self.apart)

    @property
    def long_enough(self) -> bool:
        return self.ess >= ESS


def convergence_of(tree: xr.DataTree) -> Convergence:
    """Of the draws of a fit.

    Args:
        tree: with the groups posterior and, to know what was sampled, log_prior.
    """
    posterior = tree["posterior"].to_dataset()
    return convergence_of_draws(
        {n: posterior[n].transpose("chain", "draw", ...).to_numpy() for n in sampled(tree)},
        {n: _labels(n, posterior[n]) for n in sampled(tree)},
    )


def convergence_of_draws(
    draws: Mapping[str, Float[np.ndarray, "chains draws ..."]], labels: Mapping[str, Sequence[str]] | None = None
) -> Convergence:
    """Of draws by site.

    Args:
        labels: of the numbers of each site; its name where they are not given.

    Example:
        >>> import numpy as np
        >>> from bayescal.posterior.convergence import convergence_of_draws
        >>> short = convergence_of_draws({"x": np.random.default_rng(0).normal(size=(4, 50))})
        >>> short.r_hat < 1.1, short.long_enough
        (True, False)
    """
    parts: list[pd.DataFrame] = []
    total = sum(int((np.ptp(x, axis=(0, 1)) > 0).sum()) for x in draws.values())
    for name, x in draws.items():
        flat = x.reshape(*x.shape[:2], -1)
        moves = np.ptp(flat, axis=(0, 1)) > 0
        if moves.any():
            index = np.array(labels[name] if labels else [name] * len(moves))[moves]
            parts.append(_measured(flat[:, :, moves], total).set_axis(index))
    empty = pd.DataFrame(columns=["r_hat", "ess_bulk", "ess_tail", "limit"], dtype=float)
    return Convergence(pd.concat(parts) if parts else empty)


def _measured(draws: Float[np.ndarray, "chains draws numbers"], total: int) -> pd.DataFrame:
    """
    Args:
        total: how many quantities are looked at.
    """
    data = xr.DataArray(draws, dims=("chain", "draw", "number"))
    columns = {"r_hat": azs.rhat(data)} | {f"ess_{m}": azs.ess(data, method=m) for m in ("bulk", "tail")}
    table = pd.DataFrame({n: np.asarray(x) for n, x in columns.items()}).assign(limit=R_HAT)
    if len(above := np.flatnonzero(table["r_hat"] >= R_HAT)):
        within = azs.ess(data[:, :, above] - _means_of_halves(draws[:, :, above]), method="mean")
        limits = [r_hat_limit(total, len(draws), x) for x in np.asarray(within)]
        table.loc[above, "limit"] = limits
    return table


def _means_of_halves(draws: Float[np.ndarray, "chains draws numbers"]) -> Float[np.ndarray, "chains draws numbers"]:
    middle = draws.shape[1] // 2
    halves = (draws[:, :middle], draws[:, middle:])
    return np.concatenate([np.broadcast_to(x.mean(axis=1, keepdims=True), x.shape) for x in halves], axis=1)


def _labels(name: str, x: xr.DataArray) -> list[str]:
    """`name` of a scalar, else `name[label]` of each entry."""
    coords = [map(str, x[d].to_numpy()) for d in x.dims if d not in ("chain", "draw")]
    return [f"{name}[{', '.join(entry)}]" for entry in product(*coords)] if coords else [name]


def sampled(tree: xr.DataTree) -> list[str]:
    """The names of what was sampled: of what a log prior was kept. In fits without log priors, all but levels."""
    names = [str(n) for n in tree["posterior"].data_vars]
    known = group(tree, "log_prior")
    return [n for n in names if n in known] or [n for n in names if n != "level"]
