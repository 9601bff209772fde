"""The figures of the checks: statistics of replications beside those of the data, and the PIT."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bayescal.report.figures import BLUE, GREY, ORANGE, WIDTH, figure, legend_above

_END = 3.0  # half-widths of the interval at which the axis ends


def predictive(table: pd.DataFrame) -> Figure:
    """Each statistic on its own scale: the 90% interval of replications reaches from -1 to 1. What lies beyond the
    axis is an arrow at its end, with how far away it is."""
    at = np.arange(len(table))[::-1]
    half = np.maximum((table["high"] - table["low"]).to_numpy(float) / 2, 1e-12)
    middle = (table["high"] + table["low"]).to_numpy(float) / 2
    seen = (table["observed"].to_numpy(float) - middle) / half
    mean = (table["mean"].to_numpy(float) - middle) / half
    fig, ax = figure(WIDTH, 0.9 + 0.3 * len(table))
    ax.hlines(at, -1, 1, color=BLUE, lw=6, alpha=0.4, label="replicated (90%)")
    ax.plot(mean, at, "|", color=BLUE, ms=9)
    out, far = ~table["inside"].to_numpy(bool), np.abs(seen) > _END
    ax.plot(seen[~out], at[~out], "o", color=ORANGE, ms=5, label="observed")
    near = out & ~far
    ax.plot(seen[near], at[near], "X", color=ORANGE, ms=8, label="outside" if near.any() else None)
    for side, arrow in ((1, ">"), (-1, "<")):
        beyond = out & far & (np.sign(seen) == side)
        ax.plot(np.full(beyond.sum(), side * _END), at[beyond], arrow, color=ORANGE, ms=8)
        for y, x in zip(at[beyond], seen[beyond], strict=True):
            align = "right" if side > 0 else "left"
            ax.annotate(f"{abs(x):.1f}×", (side * (_END - 0.2), y), color=ORANGE, fontsize=8, ha=align, va="center")
    ax.set_yticks(at, table["statistic"].astype(str))
    ax.set_xlim(-_END - 0.2, _END + 0.2)
    ax.set_xticks([-1, 0, 1], ["low", "", "high"])
    ax.margins(y=0.15)
    if (out & far).any():
        ax.set_xlabel("arrows: beyond the axis, with the distance in half-widths of the interval", fontsize=8)
    legend_above(ax, 3)
    return fig


def pit(found: Mapping[str, Any] | None) -> Figure | None:
    """The ECDF of the PIT minus that of a uniform distribution, with its band under a correct model."""
    if found is None:
        return None
    at, ecdf, low, high = (np.asarray(found[n], float) for n in ("at", "ecdf", "low", "high"))
    fig, ax = figure(WIDTH, 2.6)
    ax.fill_between(at, low - at, high - at, color=BLUE, alpha=0.25, lw=0, label="expected of a correct model")
    ax.plot(at, ecdf - at, color=ORANGE, lw=1.5, label="observed")
    ax.axhline(0, color=GREY, lw=0.8, ls=":")
    ax.set_xlabel("probability integral transform")
    ax.set_ylabel("ECDF minus uniform")
    legend_above(ax, 2)
    return fig
