"""Game-weeks of the beer game per second: all four roles decide, and a week goes by.

uv run python tests/benchmarks/bench_supply_chain.py [games] [cores]

Thousands of games side by side, under a simple rule (everybody orders up to 16), beside a plain NumPy simulator of the
same game, which must end with the same stocks and payoffs when it is given the same demand. Games are the last axis of
every array, so that both are spared strided memory. Both draw their demand: a key for every game and week is what
`step` costs more than NumPy's one stream of random numbers, about half of its time. Compile time is reported apart.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import bayescal as bc

GAMES = int(sys.argv[1]) if len(sys.argv) > 1 else 4096
CORES = int(sys.argv[2]) if len(sys.argv) > 2 else 2
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
bc.use_cores(1)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from bayescal.environments.supply_chain import SupplyChain, beer_game  # noqa: E402

WEEKS, LEVEL = 36, 16.0


def compiled(env: SupplyChain) -> Callable[[Any], Any]:
    """(key) -> (demand, inventories after the last week, payoffs added up), games last."""
    params = jax.tree.map(jnp.asarray, env.params)
    most = len(env.action_values[0]) - 1

    def decide(state):
        return jnp.clip(LEVEL - state.inventory - state.supply_line, 0, most).astype(jnp.int32)

    def run(key):
        def week(carry, key):
            state, paid = carry
            keys = jax.random.split(key, GAMES)
            state, payoffs, _ = jax.vmap(
                lambda k, s: env.step(k, s, decide(s), params), in_axes=(0, -1), out_axes=(-1, -1, -1)
            )(keys, state)
            return (state, paid + payoffs), state.incoming[0]

        begin, go = jax.random.split(key)
        start = jax.vmap(lambda k: env.reset(k, params), out_axes=-1)(jax.random.split(begin, GAMES))
        zero = jnp.zeros((env.players, GAMES))
        (state, paid), demand = jax.lax.scan(week, (start, zero), jax.random.split(go, WEEKS))
        return jnp.concatenate([start.incoming[:1], demand]), state.inventory, paid

    return jax.jit(run)


def plain(demand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same game, written down once more with nothing but NumPy: (inventories, payoffs added up)."""
    games = demand.shape[1]
    stock = np.full((4, games), 12.0, np.float32)
    line = np.full((4, games), 12.0, np.float32)
    post = np.full((4, games), 4.0, np.float32)
    near, far = post.copy(), post.copy()
    paid = np.zeros((4, games), np.float32)
    asked, owed = np.empty_like(post), np.zeros_like(post)
    for t in range(len(demand)):
        if t:
            paid -= 0.5 * np.maximum(stock, 0) + 1.0 * owed
            post = np.clip(LEVEL - stock - line, 0, 20).astype(np.int32).astype(np.float32)
            line += post
        asked[0], asked[1:] = demand[t], post[:3]
        stock += near - asked
        line -= near
        late = np.maximum(-stock, 0)
        filled = asked + owed - late
        near, far, owed = far, np.concatenate([filled[1:], post[3:]]), late
    return stock, paid


def timed(f: Callable[..., Any], *args: Any, repeat: int = 7) -> float:
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        jax.block_until_ready(f(*args))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def main() -> None:
    env, key = beer_game(), jax.random.key(0)
    start = time.perf_counter()
    run = compiled(env).lower(key).compile()
    compiling = time.perf_counter() - start
    ours = timed(run, key)
    demand, stock, paid = (np.asarray(x) for x in run(key))
    rng = np.random.default_rng(0)
    theirs = timed(lambda: plain(rng.integers(0, 9, demand.shape).astype(np.float32)))
    other_stock, other_paid = plain(demand)
    np.testing.assert_array_equal(stock, other_stock)
    np.testing.assert_array_equal(paid, other_paid)
    weeks = GAMES * WEEKS
    print(f"{GAMES:,} games of {WEEKS} weeks, {CORES} cores; the two end with the same stocks and payoffs")
    print(f"bayescal        {weeks / ours / 1e6:7.1f} million game-weeks/s   (compile {compiling:.1f} s)")
    print(f"plain NumPy     {weeks / theirs / 1e6:7.1f} million game-weeks/s")


if __name__ == "__main__":
    main()
