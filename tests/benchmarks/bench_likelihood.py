"""The log-likelihood of Selten & Chmura's twelve games with its gradient, and both of their NUTS runs.

uv run python tests/benchmarks/bench_likelihood.py [draws] [chains]
"""

import sys
import time

import bayescal as bc

bc.use_cores(2)

import jax  # noqa: E402
import numpy as np  # noqa: E402
from numpyro.infer.util import log_density  # noqa: E402


def main() -> None:
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    chains = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    study = bc.load_study("selten-chmura")
    policy = bc.ExactPolicy(bc.get_game("selten-chmura-01"))
    with jax.enable_x64(True):
        model = bc.build_model(policy, bc.populations.Homogeneous(), study.decisions)
        f = jax.jit(jax.value_and_grad(lambda x: log_density(model, (), {}, {"log_cost": x})[0]))
        start = time.perf_counter()
        jax.block_until_ready(f(-0.2))
        compiled = time.perf_counter() - start
        seconds = []
        for x in np.random.default_rng(0).normal(-0.22, 0.05, 500):
            start = time.perf_counter()
            jax.block_until_ready(f(x))
            seconds.append(time.perf_counter() - start)
    low, mid = np.quantile(seconds, [0.05, 0.5]) * 1e3
    print(f"value and gradient of the pooled posterior: median {mid:.3f} ms, 5% {low:.3f} ms, compile {compiled:.1f} s")
    start = time.perf_counter()
    fits = bc.calibrate(study, draws=draws, chains=chains)
    whole = time.perf_counter() - start
    for name, fit in fits.items():
        compiling, sampling = (fit.provenance[k] for k in ("seconds_compiling", "seconds_sampling"))
        print(f"{name}: NUTS compile {compiling:.1f} s (beside the other), sample {sampling:.1f} s; {fit.status}")
    print(f"both runs, wall clock, with compilation, likelihoods and predictions {whole:.1f} s")


if __name__ == "__main__":
    main()
