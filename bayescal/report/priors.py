"""What the hyperpriors imply for the parameters and for choices, beside the posterior and the data."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, LogFormatter
from scipy.stats import gaussian_kde

from bayescal.errors import InputError
from bayescal.posterior.fit import Fit
from bayescal.posterior.identifiability import scalars
from bayescal.posterior.tree import group
from bayescal.report.figures import BLUE, GREEN, GREY, ORANGE, interval
from bayescal.report.labels import ActionLabels, label_actions, labels_of

_PANELS = 8  # of parameters
_GAMES = 6  # of the shares of many actions
_ROWS = 40  # of the shares of one action


def prior_picture(
    source: Fit | Callable[[], object],
    *,
    units: str = "payoff units",
    seed: int = 0,
    actions: ActionLabels | None = None,
) -> Figure:
    """Draw what the hyperpriors imply.

    On the left are the parameters, with the posterior where there is one (costs on a log axis); on the right are
    people's choices, with what they chose.

    Args:
        source: a fit, or a model, of which only prior draws are made.
        seed: of the prior draws of a model.
        actions: the labels of actions by game and role; those of the model where it has its decisions.

    `prior_picture(model).savefig("prior.png")`.

    Example:
        >>> import bayescal as bc
        >>> study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
        >>> policy = bc.ExactPolicy(study.environments["selten-chmura-01"])
        >>> model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        >>> figure = bc.prior_picture(model, units="payoff points")
        >>> len(figure.subfigs)
        2
    """
    if isinstance(source, Fit):
        tree = source.tree
        if "prior" not in tree.children:
            raise InputError("This fit was saved without draws of its prior: give the model that was fitted.")
    else:
        from bayescal.posterior.infer import before_data

        tree = before_data(source, seed=seed)
        decisions = getattr(getattr(source, "spec", None), "decisions", None)
        actions = actions or (None if decisions is None else labels_of(decisions.environments))
    names = sorted(scalars(tree, "prior"), key=lambda n: "[" in n)  # single numbers before entries of many
    drawn = [lambda ax, n=n: _parameter(ax, n, tree) for n in names[:_PANELS]]
    choices = _choices(tree, actions or {})
    half = -(-len(drawn) // 2)
    rows = max(half, sum(height for _, height in choices), 1)
    fig = Figure(figsize=(9.2, 0.5 + 1.75 * rows), layout="constrained", facecolor="white")
    sides = np.ravel(np.asarray(fig.subfigures(1, 1 + bool(choices))))
    if drawn:
        axes = np.ravel(sides[0].subplots(max(half, 1), 2))
        for ax in axes[len(drawn) :]:
            ax.axis("off")
        for ax, draw in zip(axes, drawn, strict=False):
            draw(ax)
        _legend(sides[0], axes[0])
        sides[0].supxlabel(f"costs in {units} per nat, on log axes", fontsize=8)
    if choices:
        axes = np.ravel(sides[1].subplots(len(choices), 1, height_ratios=[height for _, height in choices]))
        for ax, (draw, _) in zip(axes, choices, strict=True):
            draw(ax)
        _legend(sides[1], axes[0])
    for ax in fig.axes:
        ax.spines[["top", "right"]].set_visible(False)
    return fig


def _legend(side: SubFigure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    side.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)


def _parameter(ax: Axes, name: str, tree: xr.DataTree) -> None:
    """Densities, each scaled to the same height: location and width are compared."""
    cost = name.split("[")[0] in ("log_cost", "log_cost_mean", "log_mean") or name.startswith("log_mean_")
    for kind, style, colour in (("prior", ":", GREY), ("posterior", "-", BLUE)):
        if kind not in tree.children:
            continue
        draws = scalars(tree, kind)[name]
        draws = draws[np.isfinite(draws)]
        if np.ptp(draws) == 0:
            ax.axvline(np.exp(draws[0]) if cost else draws[0], color=colour, ls=style, label=kind)
            continue
        low, high = np.quantile(draws, [0.005, 0.995])
        grid = np.linspace(max(low - 0.1 * (high - low), draws.min()), min(high + 0.1 * (high - low), draws.max()), 300)
        density = gaussian_kde(draws)(grid)
        ax.plot(np.exp(grid) if cost else grid, density / density.max(), style, color=colour, label=kind)
    ax.set_yticks([])
    ax.set_ylim(0, 1.1)
    ax.spines["left"].set_visible(False)
    if cost:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        ax.xaxis.set_minor_formatter(LogFormatter())  # numbers rather than formulas, which labels are not read as
    label = {"log_cost": "cost", "log_cost_mean": "typical cost", "log_mean": "typical cost"}
    shown = label.get(name, name.replace("log_mean_", "typical cost ").replace("log_cost[", "cost["))
    ax.set_title(shown, fontsize=8, loc="left")
    ax.tick_params(labelsize=7)


def _choices(tree: xr.DataTree, actions: ActionLabels) -> list[tuple[Callable[[Axes], None], int]]:
    """Panels of predicted choices, with their heights in rows; none where the model predicts something else."""
    predicted = group(tree, "prior_predictive")
    if "choices" in predicted and "total" in tree["constant_data"]:
        return _counted(tree, actions)
    if "choice" in predicted:
        return _decided(tree, actions)
    return []


def _counted(tree: xr.DataTree, actions: ActionLabels) -> list[tuple[Callable[[Axes], None], int]]:
    """Counts by game and role, over all people."""
    constant = tree["constant_data"].to_dataset()
    total, available = constant["total"].to_numpy(), constant["available"].to_numpy()
    keys = [constant[k].to_numpy().astype(str) for k in ("cell_game", "cell_role") if k in constant]
    names = np.array([" · ".join(x) for x in zip(*keys, strict=True)]) if keys else np.full(len(total), "all")
    of, labels = pd.factorize(names)  # in their order
    counts = tree["prior_predictive"]["choices"].to_numpy().reshape(-1, *available.shape)
    seen = tree["observed_data"]["choices"].to_numpy()

    def shares(x: Shaped[np.ndarray, "*draws cells actions"]) -> Float[np.ndarray, "*draws games actions"]:
        """(…, cell, action) to (…, game and role, action)."""
        summed = np.stack([x[..., of == g, :].sum(axis=-2) for g in range(len(labels))], axis=-2)
        return summed / np.bincount(of, total)[:, None]

    predicted, observed = shares(counts), shares(seen)
    by_name = {" · ".join(key): names for key, names in actions.items()}
    there = np.stack([available[of == g].any(axis=0) for g in range(len(labels))])
    if there.sum(axis=1).max() == 2:
        shown = slice(0, _ROWS)
        first = predicted[:, shown, 0]
        draw = lambda ax: _rows(ax, list(labels[shown]), first, observed[shown, 0], "share of the first action")
        return [(draw, max(2, -(-min(len(labels), _ROWS) // 7)))]
    return [
        (
            lambda ax, g=g: _bars(
                ax, predicted[:, g, there[g]], observed[g, there[g]], str(labels[g]), by_name.get(labels[g])
            ),
            1,
        )
        for g in range(min(len(labels), _GAMES))
    ]


def _decided(tree: xr.DataTree, actions: ActionLabels) -> list[tuple[Callable[[Axes], None], int]]:
    """Single decisions: the share of each action over all of them, and the mean action by round."""
    seen = tree["observed_data"]["choice"].to_numpy()
    drawn = tree["prior_predictive"]["choice"].to_numpy().reshape(-1, len(seen))
    size = int(max(seen.max(), drawn.max())) + 1
    share = lambda x: np.bincount(x.astype(int), minlength=size) / len(x)
    names = next(iter(actions.values()), None)
    panels = [(lambda ax: _bars(ax, np.stack([share(d) for d in drawn]), share(seen), "all decisions", names), 2)]
    if "round" in tree["constant_data"]:
        rounds, of = np.unique(tree["constant_data"]["round"].to_numpy(), return_inverse=True)
        mean = lambda x: np.bincount(of, x) / np.bincount(of)

        def over_time(ax: Axes) -> None:
            _band(ax, rounds, np.stack([mean(d) for d in drawn]))
            ax.plot(rounds, mean(seen), "o-", color=ORANGE, ms=3, lw=1)
            ax.set_xlabel("round", fontsize=8)
            ax.set_ylabel("mean action", fontsize=8)
            ax.tick_params(labelsize=7)

        panels.append((over_time, 2))
    return panels


def _rows(
    ax: Axes,
    labels: list[str],
    predicted: Float[np.ndarray, "draws rows"],
    observed: Float[np.ndarray, " rows"],
    what: str,
) -> None:
    at = np.arange(len(labels))[::-1]
    for level, width, alpha in ((0.9, 3, 0.35), (0.5, 6, 0.6)):
        low, _, high = interval(predicted, level)
        ax.hlines(at, low, high, color=GREEN, lw=width, alpha=alpha, label=f"predicted, {level:.0%}")
    ax.plot(observed, at, "o", color=ORANGE, ms=4, label="observed")
    ax.set_yticks(at, labels, fontsize=7)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel(what, fontsize=8)
    ax.tick_params(axis="x", labelsize=7)


def _bars(
    ax: Axes,
    predicted: Float[np.ndarray, "draws actions"],
    observed: Float[np.ndarray, " actions"],
    title: str,
    names: Sequence[str] | None,
) -> None:
    _band(ax, np.arange(len(observed)), predicted)
    ax.plot(observed, "o", color=ORANGE, ms=3, label="observed")
    ax.set_title(title, fontsize=8, loc="left")
    ax.set_ylabel("share", fontsize=8)
    label_actions(ax, names, len(observed))
    ax.tick_params(labelsize=7)


def _band(ax: Axes, at: Shaped[np.ndarray, " points"], predicted: Float[np.ndarray, "draws points"]) -> None:
    for level, alpha in ((0.9, 0.25), (0.5, 0.45)):
        low, _, high = interval(predicted, level)
        ax.fill_between(at, low, high, color=GREEN, alpha=alpha, lw=0, label=f"predicted, {level:.0%}")
