"""The figures of the checks: statistics of replications beside those of the data, and the PIT."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bayescal.report.figures import BLUE, GREY, ORANGE, WIDTH, figure


def predictive(table: pd.DataFrame) -> Figure:
    """Each statistic on its own scale: the 90% interval of replications reaches from -1 to 1."""
    at = np.arange(len(table))[::-1]
    half = np.maximum((table["high"] - table["low"]).to_numpy(float) / 2, 1e-12)
    middle = (table["high"] + table["low"]).to_numpy(float) / 2
    seen = np.clip((table["observed"].to_numpy(float) - middle) / half, -3, 3)
    mean = (table["mean"].to_numpy(float) - middle) / half
    fig, ax = figure(WIDTH, 0.9 + 0.3 * len(table))
    ax.hlines(at, -1, 1, color=BLUE, lw=6, alpha=0.4, label="replicated (90%)")
    ax.plot(mean, at, "|", color=BLUE, ms=9)
    out = ~table["inside"].to_numpy(bool)
    ax.plot(seen[~out], at[~out], "o", color=ORANGE, ms=5, label="observed")
    ax.plot(seen[out], at[out], "X", color=ORANGE, ms=8, label="outside" if out.any() else None)
    ax.set_yticks(at, table["statistic"].astype(str))
    ax.set_xlim(-3.2, 3.2)
    ax.set_xticks([-1, 0, 1], ["5%", "", "95%"])
    ax.margins(y=0.15)
    ax.legend(frameon=False, fontsize=9, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
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
    ax.legend(frameon=False, fontsize=9, loc="upper right")
    return fig
