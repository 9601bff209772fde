"""Markov games of two firms that see the last prices of both: 49 states x 7 prices, and Calvano's 225 x 15.

    uv run --extra benchmark python tests/benchmarks/bench_duopoly.py [--large]

Seconds of the first solve, which compiles, and of one more at each cost.
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
from duopoly import GRID, habit, price_game

import bayescal as bc

LARGE = np.linspace(1.472927 - 0.0452, 1.924981 + 0.0452, 15)


def main() -> None:
    grid = LARGE if "--large" in sys.argv else GRID
    print(f"{len(grid) ** 2} states x {len(grid)} prices; processor seconds in brackets")
    with jax.enable_x64(True):
        for kind, width in (("uniform", 0.0), ("own", 0.15), ("other", 0.15)):
            policy = bc.ExactPolicy(price_game(grid, 0.95), habit(kind, width, grid))
            for cost in (0.2, 0.05, 0.01):
                clock, processor = time.perf_counter(), time.process_time()
                solved = policy.solve(cost)
                play = np.asarray(solved.strategies)
                clock, processor = time.perf_counter() - clock, time.process_time() - processor
                print(
                    f"{kind:>8} cost {cost:<5} {clock:7.2f} s ({processor:6.2f})  {solved.message}, stable "
                    f"{bool(solved.stable)}, steps {int(solved.steps)}, residual {float(solved.residual):.0e}, "
                    f"mean price {float(np.mean(play[0] @ grid)):.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
