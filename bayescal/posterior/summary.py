"""Numbers about the draws of a fit, by parameter."""

from collections.abc import Mapping

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from bayescal.domain import REAL, Interval

SHARE_AT_BOUNDS = "posterior_share_at_the_walls"  # the name in provenance of what `share_at_bounds` returns


def summarise(tree: xr.DataTree, var_names: list[str] | None = None) -> pd.DataFrame:
    """Mean, sd, 90 % equal-tailed interval, effective sample sizes, R-hat and Monte-Carlo error."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a constant has no R-hat
        table = azs.summary(tree, var_names=var_names, ci_prob=0.9, ci_kind="eti", round_to="none")
    return table.apply(pd.to_numeric, errors="coerce")


def share_at_bounds(
    posterior: xr.Dataset, box: Mapping[str, Interval], natural: Mapping[str, Interval] | None = None
) -> dict[str, float]:
    """By parameter of a trained domain, the share of draws in the outermost hundredth at either bound.

    Args:
        box: the trained domain.
        natural: where a parameter is bounded by itself (a pull is not negative); that bound is not the policy's.
    """
    out = {}
    for name, interval in box.items():
        if name in posterior:
            x, edge = posterior[name].to_numpy(), 0.01 * (interval.high - interval.low)
            own = (natural or {}).get(name, REAL)
            below = (x < interval.low + edge) & (interval.low > own.low)
            above = (x > interval.high - edge) & (interval.high < own.high)
            out[name] = float(np.mean(below | above))
    return out
