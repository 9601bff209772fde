"""`bayescal solve` for a small table of payoffs at known costs: in NumPy, without waiting for JAX and its compiler.

The answer is that of the ordinary solver to many digits. Whatever is out of the ordinary (a fork, an option, a game
that is not a plain table) is left to that one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayescal.environments.named import GAMES, NORMAL_FORM
from bayescal.environments.payoffs import check_payoffs
from bayescal.errors import InputError
from bayescal.reading import odd_character, read_json
from bayescal.solvers.follow import follow
from bayescal.solvers.logit_system import LogitSystem
from bayescal.solvers.tensors import TensorGame

_LARGEST = 5_000  # payoffs
_CLOSE = 1e-9  # between play and the reply to it


@dataclass(frozen=True, eq=False)
class SmallGame:
    """A table of payoffs with its names: what is printed of an environment."""

    name: str
    payoffs: np.ndarray
    role_names: tuple[str, ...]
    action_labels: tuple[tuple[str, ...], ...]

    @property
    def role_counts(self) -> tuple[int, ...]:
        return (1,) * len(self.payoffs)

    @property
    def action_values(self) -> tuple[range, ...]:
        return tuple(map(range, self.payoffs.shape[1:]))


@dataclass(frozen=True, eq=False)
class SmallSolution:
    """What is printed of a solution."""

    strategies: np.ndarray
    strategies_by_type: np.ndarray
    residual: float
    exploitability: np.ndarray
    stable: bool
    forked: bool = False
    converged: bool = True
    message: str = "converged"


def small_game(game: str) -> SmallGame | None:
    """A named table of payoffs, or one in a JSON file; None for all else, and for what is not plainly in order."""
    if game in GAMES:
        named = GAMES[game]
        if named.factory != NORMAL_FORM:
            return None
        return _checked(named.options["payoffs"], named.options, game)
    path = Path(game)
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        content = read_json(path, "give a game")
    except InputError:
        return None
    if not isinstance(content, dict) or not {"payoffs"} <= set(content) <= {"payoffs", "name", "roles", "actions"}:
        return None
    names = {"name": content.get("name", path.stem), "role_names": content.get("roles")}
    return _checked(content["payoffs"], names | {"action_labels": content.get("actions")}, game)


def solve_small(game: SmallGame, costs: list[float]) -> SmallSolution | None:
    """The equilibrium on the principal branch; None if the ordinary solver is to find it."""
    tensors, by_role = TensorGame.of_payoffs(game.payoffs), np.array(costs * (len(game.payoffs) // len(costs)))
    system = LogitSystem(tensors, [np.full(n, -np.log(n)) for n in tensors.sizes], by_role)
    found = follow(system, tensors.scale / float(np.exp(np.mean(np.log(by_role)))))
    if found is None:
        return None
    v, unstable = found
    play = [p[0] for p in system.mixtures(v[None])]
    values = [_paid(game.payoffs, play, i) for i in range(len(play))]
    replies = [np.exp((u - u.max()) / c) for u, c in zip(values, by_role, strict=True)]
    residual = max(float(np.max(np.abs(r / r.sum() - p))) for r, p in zip(replies, play, strict=True))
    if not residual <= _CLOSE:
        return None
    strategies = np.zeros((len(play), max(tensors.sizes)))
    for row, p in zip(strategies, play, strict=True):
        row[: len(p)] = p
    gain = np.array([u.max() - p @ u for u, p in zip(values, play, strict=True)])
    return SmallSolution(strategies, strategies[:, None], residual, gain, unstable == 0)


def _paid(payoffs: np.ndarray, play: list[np.ndarray], player: int) -> np.ndarray:
    """The expected payoff of each action of a player, over all joint actions: not as the solver computes it."""
    chances = np.ones(payoffs.shape[1:])
    for j, p in enumerate(play):
        if j != player:
            chances = chances * p.reshape([-1 if k == j else 1 for k in range(len(play))])
    return np.sum(payoffs[player] * chances, axis=tuple(j for j in range(len(play)) if j != player))


def _checked(payoffs: Any, names: Mapping[str, Any], where: str) -> SmallGame | None:
    try:
        table = check_payoffs(payoffs, where)
    except InputError:
        return None
    if table.size > _LARGEST:
        return None
    roles = names.get("role_names") or [f"player {i + 1}" for i in range(len(table))]
    actions = names.get("action_labels") or [[str(a) for a in range(n)] for n in table.shape[1:]]
    plain = isinstance(names["name"], str) and texts(roles, len(table)) and isinstance(actions, list | tuple)
    plain = plain and len(actions) == len(table) and not odd_character(names["name"])
    if not plain or not all(texts(row, n) for row, n in zip(actions, table.shape[1:], strict=True)):
        return None
    return SmallGame(names["name"], table, tuple(roles), tuple(map(tuple, actions)))


def texts(names: Any, count: int) -> bool:
    """Whether these are as many different names."""
    if not isinstance(names, list | tuple) or len(names) != count or not all(isinstance(x, str) for x in names):
        return False
    return len({x.strip() for x in names} - {""}) == count and not any(map(odd_character, names))
