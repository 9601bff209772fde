"""The figures of a comparison: who wins, whom it owes that to, and whether probabilities are what they say."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bayescal.comparison.verdict import clear
from bayescal.report.figures import BLUE, GREY, MANY, ORANGE, WIDTH, figure
from bayescal.report.people import name_of

_PANELS = 4


def advantages(comparison: Any) -> Figure:
    """How much worse than the best each model predicts, out of sample, with one and two standard errors."""
    table = comparison.table
    at = np.arange(len(table))[::-1]
    fig, ax = figure(WIDTH, 1.1 + 0.36 * len(table))
    out = table["excluded"].astype(bool).to_numpy()
    behind, se = (np.nan_to_num(table[c].to_numpy(float)) for c in ("difference", "difference_se"))
    for k, width in ((2, 1), (1, 3)):
        for mine, colour in ((~out, BLUE), (out, GREY)):
            ax.hlines(at[mine], (behind - k * se)[mine], (behind + k * se)[mine], color=colour, lw=width)
    ax.plot(behind[~out], at[~out], "o", color=BLUE, ms=6)
    ax.plot(behind[out], at[out], "o", mfc="#ffffff", mec=GREY, ms=6)
    ax.axvline(0, color=GREY, lw=0.8, ls=":")
    ax.set_yticks(at, [f"{n} (excluded)" if x else n for n, x in zip(table.index, out, strict=True)])
    fig.supxlabel("nats behind the best (± 1 and 2 standard errors)", fontsize=10)
    ax.margins(y=0.1)
    return fig


def who_says_so(comparison: Any) -> tuple[Figure, str] | None:
    """By unit: by how much the best model predicts it better than the second best; and that in words."""
    sound = [n for n, x in comparison.table["excluded"].items() if not x and n in comparison.pointwise]
    if len(sound) < 2 or len(comparison.pointwise) < 2:
        return None
    first, second = sound[:2]
    ahead = (comparison.pointwise[first] - comparison.pointwise[second]).dropna().sort_values().to_numpy()
    many = len(ahead) > MANY
    fig, ax = figure(WIDTH, 2.6)
    at = np.arange(len(ahead))
    for mine, colour in ((ahead > 0, BLUE), (ahead <= 0, ORANGE)):
        ax.vlines(at[mine], 0, ahead[mine], color=colour, lw=0.6 if many else 3)
    ax.axhline(0, color=GREY, lw=0.8)
    ax.set_xticks([])
    what = name_of(comparison.unit, 2)
    ax.set_xlabel(f"{len(ahead):,} {what}, in order")
    ax.set_ylabel("nats ahead")
    told = f"“{first}” predicts {(ahead > 0).sum():,} of {len(ahead):,} {what} better than “{second}” does."
    most = np.sort(ahead)[::-1].cumsum()
    lead = comparison.table.loc[second]
    certain = clear(lead["difference"], lead["difference_se"])
    if certain and len(ahead) >= 10 and (share := (np.argmax(most >= ahead.sum()) + 1) / len(ahead)) < 0.1:
        told += f" All of its lead comes from {share:.0%} of them."
    return fig, told


def calibration(comparison: Any) -> Figure | None:
    """Of actions given a probability, how many were taken; the best models that are not excluded."""
    found = comparison.calibration
    if not len(found):
        return None
    sound = [n for n, x in comparison.table["excluded"].items() if not x and (found["model"] == n).any()][:_PANELS]
    if not sound:
        return None
    rows = -(-len(sound) // 2)
    fig = Figure(figsize=(WIDTH, 0.4 + 2.4 * rows), layout="constrained", facecolor="white")
    axes = np.ravel(np.asarray(fig.subplots(rows, min(len(sound), 2), sharex=True, sharey=True)))
    highest = float(found.loc[found["model"].isin(sound), ["predicted", "high"]].max().max())
    for ax, name in zip(axes, sound, strict=False):
        mine = found[found["model"] == name]
        ax.plot([0, highest], [0, highest], ":", color=GREY, lw=1)
        ax.vlines(mine["predicted"], mine["low"], mine["high"], color=BLUE, lw=1.5)
        ax.plot(mine["predicted"], mine["observed"], "o", color=BLUE, ms=4)
        ax.set_title(name, fontsize=9, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(sound) :]:
        ax.axis("off")
    fig.supxlabel("probability that was given", fontsize=9)
    fig.supylabel("share that was taken", fontsize=9)
    return fig
