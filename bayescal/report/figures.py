"""The figures of a report. Matplotlib's object interface only: nothing global is touched."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from bayescal.evaluation.batches import evenly
from bayescal.posterior.fit import Fit
from bayescal.report.labels import ActionLabels
from bayescal.report.people import name_of, own_costs

# Okabe & Ito's colours, readable in the common forms of colour blindness.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
WIDTH = 5.4  # inches: text keeps a size that can be read where a figure is as wide as a phone
MANY = 60  # entries of a figure that can be read by name


def figure(width: float, height: float) -> tuple[Figure, Axes]:
    fig = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    ax = fig.subplots()
    ax.spines[["top", "right"]].set_visible(False)
    return fig, ax


def legend_above(ax: Axes, columns: int) -> None:
    """A legend that covers nothing that is drawn."""
    ax.legend(frameon=False, fontsize=9, ncols=columns, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def interval(draws: Shaped[np.ndarray, "draws ..."], level: float = 0.9) -> Float[np.ndarray, "3 ..."]:
    """(low, median, high) over the first axis."""
    return np.quantile(draws, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0)


def cost_forest(fit: Fit, pooled: Fit | None, units: str) -> Figure | None:
    """The cost of each game, group or person, with one cost for all as a band behind them.

    They are in the order of their costs; of more than sixty no labels are shown.
    """
    costs = own_costs(fit)
    if costs is None:
        return None
    dim = str(costs.dims[-1])
    costs = costs[..., np.argsort(costs.median(("chain", "draw")).to_numpy(), kind="stable")]
    labels = [str(x) for x in costs[dim].to_numpy()]
    low, mid, high = interval(costs.to_numpy().reshape(-1, len(labels)))
    many = len(labels) > MANY
    fig, ax = figure(WIDTH, min(1.0 + 0.2 * len(labels), 5.5 if many else 13.0))
    if pooled is not None:
        a, b, c = interval(pooled.tree["posterior"]["cost"].to_numpy().reshape(-1))
        ax.axvspan(a, c, color=ORANGE, alpha=0.25, lw=0, label="one cost for all")
        ax.axvline(b, color=ORANGE, lw=1)
    y = np.arange(len(labels))[::-1]
    ax.hlines(y, low, high, color=BLUE, lw=0.5 if many else 2, label=f"cost of each {name_of(dim)}")
    ax.plot(mid, y, "o", color=BLUE, ms=1 if many else 4)
    ax.set_yticks([] if many else y, [] if many else labels)
    ax.set_ylabel(f"{len(labels):,} {name_of(dim, 2)}, in order" if many else "")
    ax.margins(y=0.02)
    log_cost_axis(ax, low.min(), high.max())
    fig.supxlabel(f"cost, {units} per nat (medians, 90% intervals)", fontsize=10)
    legend_above(ax, 2)
    return fig


def log_cost_axis(ax: Axes, low: float, high: float) -> None:
    """Enough ticks to see that the axis is logarithmic."""
    ax.set_xscale("log")
    decades = [m * 10.0**e for e in range(-9, 12) for m in (1, 1.5, 2, 3, 5, 7)]
    ticks = [t for t in decades if 0.9 * low <= t <= 1.1 * high]
    ticks = ticks if len(ticks) <= 7 else [t for t in ticks if f"{t:e}"[:3] == "1.0"]
    if len(ticks) < 3:
        ticks = [t for t in decades if 0.9 * low <= t <= 1.1 * high and f"{t:e}"[:3] in ("1.0", "3.0")]
    ax.set_xticks(ticks, [f"{t:g}" if 1e-3 <= t < 1e5 else f"{t:.0e}" for t in ticks])
    ax.minorticks_off()


def population_of_costs(fit: Fit, units: str) -> Figure | None:
    """The density of log cost in a log-normal population, with its 90 % credible band."""
    posterior = fit.tree["posterior"].to_dataset()
    names = next((n for n in (("log_cost_mean", "log_cost_sd"), ("log_mean", "log_sd")) if n[0] in posterior), None)
    costs = own_costs(fit)
    if names is None or names[1] not in posterior or costs is None:
        return None
    mean, sd = (posterior[n].to_numpy().reshape(-1) for n in names)
    some = evenly(len(mean), 400)
    typical, width = np.median(mean), np.median(sd)
    at = np.linspace(typical - 3.5 * width, typical + 3.5 * width, 200)
    low, mid, high = interval(norm.pdf(at, mean[some, None], sd[some, None]))
    fig, ax = figure(WIDTH, 2.6)
    ax.fill_between(np.exp(at), low, high, color=BLUE, alpha=0.3, lw=0, label="90%")
    ax.plot(np.exp(at), mid, color=BLUE, label="density of log cost")
    medians = costs.median(("chain", "draw")).to_numpy()
    medians = medians[(medians > np.exp(at[0])) & (medians < np.exp(at[-1]))]
    ax.plot(medians, np.full(len(medians), -0.04 * high.max()), "|", color=ORANGE, ms=8, label="each one's median")
    log_cost_axis(ax, float(np.exp(at[0])), float(np.exp(at[-1])))
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(f"cost, {units} per nat")
    legend_above(ax, 3)
    return fig


def observed_and_predicted(
    fit: Fit, nash: Float[np.ndarray, "cells actions"] | None, actions: ActionLabels | None = None
) -> Figure:
    """Each cell's share of each action (of the first, where there are two): observed, predicted, rational, uniform.

    Args:
        actions: the labels of actions; their places on the grid are shown where it is None.
    """
    constant = fit.tree["constant_data"]
    keys = list(zip(*(constant[n].to_numpy().astype(str) for n in ("cell_game", "cell_role")), strict=True))
    observed = fit.tree["observed_data"]["choices"].to_numpy()
    total, available = constant["total"].to_numpy(), constant["available"].to_numpy()
    predicted = fit.tree["posterior_predictive"]["choices"].to_numpy()
    predicted = predicted.reshape(-1, *predicted.shape[-2:])
    binary = available.sum(axis=1).max() == 2
    keep = available & (np.arange(available.shape[1]) == 0 if binary else True)
    cells, places = np.nonzero(keep)
    labels = [str(x) for x in fit.tree["observed_data"]["cell"].to_numpy()]
    if "cell_participant" in constant and len(cells) > MANY:
        labels, keys, observed, total, available, predicted = _of_games(keys, observed, total, available, predicted)
        keep = available & (np.arange(available.shape[1]) == 0 if binary else True)
        cells, places = np.nonzero(keep)
        nash = None
    low, mid, high = interval((predicted / total[:, None])[:, cells, places])
    seen = (observed / total[:, None])[cells, places]
    order = np.arange(len(cells))[::-1]
    fig, ax = figure(WIDTH, min(1.2 + 0.2 * len(cells), 36))
    ax.hlines(order, low, high, color=BLUE, lw=5, alpha=0.45, label="predicted (90%)")
    ax.plot(mid, order, "|", color=BLUE, ms=8)
    ax.plot(seen, order, "o", color=ORANGE, ms=4, label="observed")
    if nash is not None:
        ax.plot(nash[cells, places], order, "x", color=GREEN, ms=5, label="rational (cost near zero)")
    ax.plot((1 / available.sum(axis=1))[cells], order, ":", color=GREY, lw=1, label="uniform")
    if binary:
        names = [labels[c] for c in cells]
    else:
        known = actions or {}
        of = [known[keys[c]][a] if keys[c] in known else str(a) for c, a in zip(cells, places, strict=True)]
        names = of if len(labels) == 1 else [f"{labels[c]} · {a}" for c, a in zip(cells, of, strict=True)]
        ax.set_ylabel(f"action, {labels[0]}" if len(labels) == 1 else "")
    ax.set_yticks(order, names, fontsize=7 if len(names) > 12 else 9)
    ax.set_ylim(-0.7, len(cells) - 0.3)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("share of the first action" if binary else "share of the action")
    ax.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.03))
    return fig


def _of_games(
    keys: Sequence[tuple[str, str]],
    observed: Shaped[np.ndarray, "cells actions"],
    total: Shaped[np.ndarray, " cells"],
    available: Bool[np.ndarray, "cells actions"],
    predicted: Shaped[np.ndarray, "draws cells actions"],
) -> tuple[
    list[str],
    list[tuple[str, str]],
    Float[np.ndarray, "rows actions"],
    Float[np.ndarray, " rows"],
    Bool[np.ndarray, "rows actions"],
    Float[np.ndarray, "draws rows actions"],
]:
    """The choices of many people, summed by game and role; of many games the most played."""
    labels, of = np.unique([" · ".join(key) for key in keys], return_inverse=True)
    kept = np.argsort(-np.bincount(of, total), kind="stable")[:MANY]
    add = (of[None, :] == kept[:, None]).astype(float)
    first = np.array([np.flatnonzero(of == k)[0] for k in kept])
    summed = np.einsum("kc,dca->dka", add, predicted.astype(float), optimize=True)
    return list(labels[kept]), [keys[i] for i in first], add @ observed, add @ total, available[first], summed


def play_and_predicted(
    fit: Fit, values: Float[np.ndarray, " actions"], labels: tuple[str, ...], ordered: bool
) -> Figure:
    """Decisions over time, each predicted given what the person had seen: by round, by action, and by person.

    Args:
        values, labels: of each action. Where actions are not quantities, the share of the last one is shown.
    """
    constant = fit.tree["constant_data"]
    seen = fit.tree["observed_data"]["choice"].to_numpy()
    drawn = fit.tree["posterior_predictive"]["choice"].to_numpy().reshape(-1, len(seen))
    drawn = drawn[evenly(len(drawn), 300)]  # enough for the bands
    size = len(values)
    number = values if ordered else (np.arange(size) == size - 1).astype(float)
    what = "mean decision" if ordered else f"share of “{labels[-1]}”"
    rounds, of_round = np.unique(constant["round"].to_numpy(), return_inverse=True)
    people, of_person = np.unique(constant["participant"].to_numpy(), return_inverse=True)

    def mean_by(
        group: Int[np.ndarray, " decisions"], x: Float[np.ndarray, " decisions"]
    ) -> Float[np.ndarray, " groups"]:
        return np.bincount(group, x) / np.bincount(group)

    fig = Figure(figsize=(WIDTH, 6.6), layout="constrained", facecolor="white")
    above, middle, below = fig.subplots(3, 1)
    bands = interval(np.stack([mean_by(of_round, number[d]) for d in drawn]))
    above.fill_between(rounds, bands[0], bands[2], color=BLUE, alpha=0.3, lw=0, label="predicted (90%)")
    above.plot(rounds, mean_by(of_round, number[seen]), "o-", color=ORANGE, ms=3, lw=1, label="observed")
    above.set_xlabel("round")
    above.set_ylabel(what)
    shares = interval(np.stack([np.bincount(d, minlength=size) for d in drawn]) / len(seen))
    at = values if ordered else np.arange(size)
    middle.vlines(at, shares[0], shares[2], color=BLUE, alpha=0.5, lw=4 if size > 30 else 12)
    middle.plot(at, np.bincount(seen, minlength=size) / len(seen), "o", color=ORANGE, ms=3)
    middle.set_xlabel("decision" if ordered else "action")
    if not ordered:
        middle.set_xticks(at, labels)
        middle.margins(x=0.2)
    middle.set_ylabel("share of decisions")
    own = mean_by(of_person, number[seen])
    order = np.argsort(own)
    by_person = interval(np.stack([mean_by(of_person, number[d]) for d in drawn]))
    below.vlines(np.arange(len(people)), by_person[0][order], by_person[2][order], color=BLUE, alpha=0.5, lw=4)
    below.plot(np.arange(len(people)), own[order], "o", color=ORANGE, ms=3)
    below.set_xlabel("people, in the order of their means")
    below.set_ylabel(what)
    for ax in (above, middle, below):
        ax.spines[["top", "right"]].set_visible(False)
    above.legend(frameon=False, fontsize=8, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0))
    return fig
