"""The figures of a comparison: which model is best, for whom, and whether its probabilities are calibrated."""

import numpy as np
from matplotlib.figure import Figure

from bayescal.comparison.compare import Comparison
from bayescal.comparison.verdict import clear
from bayescal.report.figures import BLUE, GREY, MANY, ORANGE, WIDTH, figure
from bayescal.report.people import name_of

_PANELS = 4


def advantages(comparison: Comparison) -> Figure:
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
    fig.supxlabel("difference to the best model, in nats (± 1 and 2 standard errors)", fontsize=10)
    ax.margins(y=0.1)
    return fig


def ingredients(comparison: Comparison) -> Figure | None:
    """What each ingredient is worth, with one and two standard errors; None where it is not known."""
    worth = comparison.ingredients
    if not len(worth):
        return None
    at = np.arange(len(worth))[::-1]
    fig, ax = figure(WIDTH, 1.1 + 0.36 * len(worth))
    nats, se = (np.nan_to_num(worth[c].to_numpy(float)) for c in ("nats", "se"))
    for k, width in ((2, 1), (1, 3)):
        ax.hlines(at, nats - k * se, nats + k * se, color=BLUE, lw=width)
    ax.plot(nats, at, "o", color=BLUE, ms=6)
    ax.axvline(0, color=GREY, lw=0.8, ls=":")
    ax.set_yticks(at, [f"{x} (over {y})" for x, y in zip(worth["ingredient"], worth["over"], strict=True)])
    fig.supxlabel("worth out of sample, in nats (± 1 and 2 standard errors)", fontsize=10)
    ax.margins(y=0.1)
    return fig


def leads(comparison: Comparison) -> tuple[Figure, str] | None:
    """(by how much the best model predicts each unit better than the second best, the same as a sentence)."""
    if len(comparison.trusted) < 2 or len(comparison.pointwise) < 2:
        return None
    first, second = comparison.trusted[:2]
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
    sentence = f"“{first}” predicts {(ahead > 0).sum():,} of {len(ahead):,} {what} better than “{second}” does."
    most = np.sort(ahead)[::-1].cumsum()
    lead = comparison.table.loc[second]
    certain = clear(lead["difference"], lead["difference_se"])
    if certain and len(ahead) >= 10 and (share := (np.argmax(most >= ahead.sum()) + 1) / len(ahead)) < 0.1:
        sentence += f" All of its lead comes from {share:.0%} of them."
    return fig, sentence


def calibration(comparison: Comparison) -> Figure | None:
    """The share of actions taken, by predicted probability, for the best models that can be trusted."""
    rows_of = comparison.calibration
    if not len(rows_of):
        return None
    shown = [n for n in comparison.trusted if (rows_of["model"] == n).any()][:_PANELS]
    if not shown:
        return None
    rows = -(-len(shown) // 2)
    fig = Figure(figsize=(WIDTH, 0.4 + 2.4 * rows), layout="constrained", facecolor="white")
    axes = np.ravel(np.asarray(fig.subplots(rows, min(len(shown), 2), sharex=True, sharey=True)))
    highest = float(rows_of.loc[rows_of["model"].isin(shown), ["predicted", "high"]].max().max())
    for ax, name in zip(axes, shown, strict=False):
        mine = rows_of[rows_of["model"] == name]
        ax.plot([0, highest], [0, highest], ":", color=GREY, lw=1)
        ax.vlines(mine["predicted"], mine["low"], mine["high"], color=BLUE, lw=1.5)
        ax.plot(mine["predicted"], mine["observed"], "o", color=BLUE, ms=4)
        ax.set_title(name, fontsize=9, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes[len(shown) :]:
        ax.axis("off")
    fig.supxlabel("predicted probability", fontsize=9)
    fig.supylabel("share taken", fontsize=9)
    return fig
