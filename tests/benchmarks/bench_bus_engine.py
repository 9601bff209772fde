"""Rust's bus engines: a value solve and a whole maximum-likelihood fit, beside the same in plain NumPy and SciPy.

    python tests/benchmarks/bench_bus_engine.py [rust_bus_panel.csv.gz]

The peer is the textbook: Newton-Kantorovich on expected values, Nelder-Mead over the two costs. Compilation is apart.
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np
import scipy.optimize

import bayescal as bc

PANEL = Path(__file__).parents[2].parent / "shared" / "data" / "rust-zurcher" / "rust_bus_panel.csv.gz"
REPEATS = 100


def expected_values(rc, theta11, transitions, discount):
    """EV of keeping, by Newton-Kantorovich."""
    running = 0.001 * theta11 * np.arange(len(transitions))
    ev = np.zeros(len(transitions))
    for _ in range(50):
        keep, replace = -running + discount * ev, -rc + discount * ev[0]
        top = np.maximum(keep, replace)
        total = np.exp(keep - top) + np.exp(replace - top)
        stay = np.exp(keep - top) / total
        slope = np.eye(len(ev)) - discount * transitions * stay[None, :]
        slope[:, 0] -= discount * transitions @ (1 - stay)
        step = np.linalg.solve(slope, ev - transitions @ (top + np.log(total)))
        ev = ev - step
        if np.abs(step).max() < 1e-9:
            break
    return -running + discount * ev - (-rc + discount * ev[0])  # of keeping over replacing


def timed(f):
    f()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        f()
        times.append(time.perf_counter() - started)
    return 1e3 * np.median(times)


def main() -> None:
    study = bc.load_study("bus-engine", data=sys.argv[1] if len(sys.argv) > 1 else PANEL, where="group == 4")
    engine = study.decisions.environments["bus-engine"]
    rows = study.decisions.table.iloc[study.decisions.play.row]
    state = study.decisions.play.observations["bus-engine"]["state"]
    replaced = rows["action_index"].to_numpy() == 1
    transitions = np.asarray(engine.transition_table(engine.params))[:, 0].astype(float)

    def negative(x):
        edge = expected_values(*x, transitions, engine.discount)[state]
        return np.sum(np.logaddexp(0.0, np.where(replaced, edge, -edge)))

    with jax.enable_x64(True):
        policy = bc.ExactPolicy(engine)
        solve = jax.jit(lambda rc: policy.solve(1.0, params={"RC": rc}).log_strategies)
        ours = timed(lambda: solve(10.0).block_until_ready())
    theirs = timed(lambda: expected_values(10.0, 2.293, transitions, engine.discount))
    print(f"value solve, ms: bayescal {ours:.2f}, NumPy {theirs:.2f}")

    model = bc.build_model(
        policy, bc.populations.Homogeneous(), study.decisions, cost=1.0, parameters=("RC", "theta11")
    )
    first = bc.maximum_likelihood(model)
    again = bc.maximum_likelihood(model)
    started = time.perf_counter()
    peer = scipy.optimize.minimize(negative, [10.0, 2.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
    seconds = time.perf_counter() - started
    print(
        f"whole fit, s: bayescal {again.seconds:.3f} (compiled in {first.seconds_compiling:.1f}), SciPy {seconds:.3f}"
    )
    print(f"log-likelihood of the decisions: bayescal {again.log_likelihood:.6f}, SciPy {-peer.fun:.6f}")
    print("estimates:", {n: round(x, 4) for n, x in again.values.items()}, peer.x.round(4))


if __name__ == "__main__":
    main()
