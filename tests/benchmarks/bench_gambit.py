"""Solving games: bayescal and Gambit on the same machine, in the same run.

    uv run --extra benchmark python tests/benchmarks/bench_gambit.py [--golden]

`--golden` takes the times that ../shared/golden records of it instead
(two idle cores, pygambit 16.7). Compile time is reported apart from run time.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayescal.environments.normal_form import NormalForm
from bayescal.policies.exact import ExactPolicy

GOLDEN = json.loads((Path(__file__).parents[2].parent / "shared" / "golden" / "gambit_qre.json").read_text())["games"]
GAMES = {"13 x 13 Cournot": "cournot2", "11 x 11 x 11 beauty contest": "beauty3", "2 x 2": "selten_chmura_01"}


def timed(f: Callable[..., Any], *args: Any, repeat: int) -> tuple[float, float]:
    """(seconds of the first call, median seconds of the later ones)."""
    start = time.perf_counter()
    jax.block_until_ready(f(*args))
    first = time.perf_counter() - start
    later = []
    for _ in range(repeat):
        start = time.perf_counter()
        jax.block_until_ready(f(*args))
        later.append(time.perf_counter() - start)
    return first, float(np.median(later))


def gambit_seconds(name: str, precision: float, golden: bool) -> float:
    if golden:
        return GOLDEN[name]["timing_idle_s"][f"single_{precision}"]
    import pygambit

    game = pygambit.StrategicGame.from_arrays(*[np.asarray(p) for p in GOLDEN[name]["payoffs"]])
    return timed(lambda: pygambit.qre.logit_solve_lambda(game, [precision]), repeat=10)[1]


def main() -> None:
    golden = "--golden" in sys.argv
    heads = f"{'Gambit':>12}{'one':>12}{'times':>8}{'1,000: each':>14}{'times':>8}{'compile':>10}"
    print(f"{'game':<30}{'precision':>10}{heads}")
    with jax.enable_x64(True):
        for title, name in GAMES.items():
            payoffs = jnp.asarray(GOLDEN[name]["payoffs"])
            policy = ExactPolicy(NormalForm(payoffs))
            noise = 1 + 0.1 * jax.random.normal(jax.random.key(0), (1000,) + (1,) * payoffs.ndim)
            for precision in (1.0, 10.0):
                solve = jax.jit(lambda u, c, policy=policy: policy.solve(c, params={"payoffs": u}).strategies)
                peer = gambit_seconds(name, precision, golden)
                first, one = timed(solve, payoffs, 1 / precision, repeat=30)
                many = jax.jit(jax.vmap(solve, (0, None)))
                _, thousand = timed(many, payoffs * noise, 1 / precision, repeat=5)
                print(
                    f"{title:<30}{precision:>10}{1e3 * peer:>9.2f} ms{1e3 * one:>9.2f} ms{peer / one:>8.1f}"
                    f"{1e3 * thousand:>11.1f} us{peer / (thousand / 1000):>8.0f}{first - one:>8.1f} s"
                )


if __name__ == "__main__":
    main()
