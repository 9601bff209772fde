"""What actions are called in figures."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from bayescal.environments.base import Environment

ActionLabels = Mapping[tuple[str, str], tuple[str, ...]]  # by game and role

_TICKS = 12  # most labels on an axis


def labels_of(environments: Mapping[str, Environment]) -> ActionLabels:
    """The labels of each role's actions, by (game, role)."""
    return {
        (str(name), role): tuple(labels)
        for name, game in environments.items()
        for role, labels in zip(game.role_names, game.action_labels, strict=True)
    }


def label_actions(ax: Axes, labels: Sequence[str] | None, size: int) -> None:
    """Ticks of an axis of actions: their labels, or their places on the grid where labels are not known."""
    names = list(labels) if labels is not None and len(labels) >= size else [str(i) for i in range(size)]
    some = np.arange(0, size, -(-size // _TICKS))
    long = max(len(names[i]) for i in some) > 4
    ax.set_xticks(some, [names[i] for i in some], rotation=30 if long else 0, ha="right" if long else "center")
    ax.set_xlabel("action" if labels is not None else "action, by its place on the grid", fontsize=8)
