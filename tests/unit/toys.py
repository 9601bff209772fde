"""As much of a game as reading a table needs, and tables of its decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bayescal.environments.replay import Replay


@dataclass(frozen=True)
class Toy:
    """As much of an environment as a table needs."""

    role_names: tuple[str, ...]
    action_values: tuple[tuple[float, ...], ...]
    action_labels: tuple[tuple[str, ...], ...]
    ordered: bool = False
    over_time: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)

    def named_situations(self, role):
        return ()

    def replay(self, table: pd.DataFrame, *, tolerance: float = 0.01) -> Replay:
        return Replay({}, np.ones(len(table), bool))


PENNIES = Toy(("row", "column"), ((0.0, 1.0), (0.0, 1.0)), (("U", "D"), ("L", "R")))
TENTHS = tuple(float(x) for x in np.arange(31) / 10)
MARKET = Toy(("firm",), (TENTHS,), (tuple(f"{x:g}" for x in TENTHS),), ordered=True)
TRIPLE = Toy(("row", "column"), ((0.0, 1.0, 2.0), (0.0, 1.0)), (("A", "B", "C"), ("L", "R")))
REQUEST = Toy(("player",), (tuple(map(float, range(11, 21))),), (tuple(map(str, range(11, 21))),), ordered=True)
ONE_TWO = Toy(("player",), ((0.0, 1.0, 2.0),), (("1", "2", "3"),))
GAMES = {"pennies": PENNIES, "triple": TRIPLE}


def table(**columns) -> pd.DataFrame:
    """Six decisions in two games by three people."""
    good = {
        "participant": ["1", "2", "10", "1", "2", "10"],
        "group": ["a", "a", "b", "a", "a", "b"],
        "game": ["pennies", "pennies", "pennies", "triple", "triple", "triple"],
        "role": ["row", "column", "row", "row", "column", "row"],
        "round": [1, 1, 1, 1, 1, 1],
        "action": ["U", "R", "D", "C", "L", "C"],
    }
    return pd.DataFrame({k: v for k, v in (good | columns).items() if v is not None})


def people_table(**changes) -> pd.DataFrame:
    return table(**({"treatment": ["a", "a", "b"] * 2, "age": [30, 25.5, 41] * 2} | changes))
