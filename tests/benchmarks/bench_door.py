"""One game at a time, as people ask for it: `bayescal.equilibrium` and Gambit in turns, in the same run.

    uv run --extra benchmark python tests/benchmarks/bench_door.py [SHAPE …]

Random games of each shape (2x2, 3x3x3, …), both from payoffs that are in memory. The first call of a shape compiles
and is reported apart. `equilibrium` confirms its solution and says whether it is stable; Gambit follows the branch and
returns the point. A busy machine lengthens calls that change threads: the best of many is near an idle one's time.
"""

import sys
import time
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pygambit

import bayescal as bc

SHAPES = ("2x2", "3x3", "4x4", "2x2x2", "3x3x3", "6x6", "8x8", "13x13", "20x20")
COSTS, GAMES, TURNS = (1.0, 0.1), 10, 30


def seconds(f: Callable[[], Any]) -> float:
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def compare(shape: tuple[int, ...], cost: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(our times, Gambit's), by game and turn."""
    ours, theirs = np.zeros((GAMES, TURNS)), np.zeros((GAMES, TURNS))
    for g in range(GAMES):
        payoffs = rng.normal(size=(len(shape), *shape))
        game, peer = bc.NormalForm(payoffs), pygambit.StrategicGame.from_arrays(*payoffs)
        for t in range(TURNS):
            ours[g, t] = seconds(lambda game=game: np.asarray(bc.equilibrium(game, cost).strategies))
            theirs[g, t] = seconds(lambda peer=peer: pygambit.qre.logit_solve_lambda(peer, [1 / cost]))
    return ours, theirs


def main() -> None:
    print(f"bayescal {bc.__version__}, pygambit {pygambit.__version__}; milliseconds: median over games")
    heads = f"{'best: ours':>11}{'Gambit':>9}{'times':>7}{'median':>11}{'Gambit':>9}{'times':>7}"
    print(f"{'game':>8}{'cost':>6}{'first call':>12}{heads}")
    rng = np.random.default_rng(0)
    for name in sys.argv[1:] or SHAPES:
        shape = tuple(map(int, name.split("x")))
        warm_up = bc.NormalForm(np.arange(len(shape) * prod(shape), dtype=float).reshape(len(shape), *shape))
        first = seconds(lambda game=warm_up: np.asarray(bc.equilibrium(game, 1e3).strategies))
        for cost in COSTS:
            ours, theirs = (1e3 * x for x in compare(shape, cost, rng))
            row = f"{name:>8}{cost:>6}{first:>10.1f} s"
            for over in (np.min, np.median):
                a, b = (float(np.median(over(x, axis=1))) for x in (ours, theirs))
                row += f"{a:>11.3f}{b:>9.3f}{b / a:>7.2f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
