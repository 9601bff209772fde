"""Value and gradient of a likelihood in one-shot Cournot: learned, sharpened, and solved from scratch.

    python tests/benchmarks/bench_sharpened.py [MODEL] [POINTS]

Each round times all policies at the same points, one after another, so that a busy machine slows all of them alike.
"""

import statistics
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp

import bayescal as bc
from bayescal.policies.exact import ExactPolicy
from bayescal.precision import double_precision
from bayescal.training.points import sample_points

ROUNDS = 20


def main(name: str = "cournot", count: str = "4") -> None:
    learned = bc.load_model(name)
    policies = {
        "learned": learned,
        "sharpened": bc.SharpenedPolicy(learned),
        "from scratch": ExactPolicy(learned.environment, learned.prior, learned.population),
    }

    def log_likelihood(point, policy):
        phi, cost = (point.phi, None) if learned.private else (None, point.cost)
        log_p = policy.log_prob_all(cost, phi, point.psi, point.params)
        return jnp.mean(jnp.where(jnp.isfinite(log_p), log_p, 0.0))

    @eqx.filter_jit
    def value_and_gradient(policy, points):
        return jax.vmap(jax.value_and_grad(lambda p: log_likelihood(p, policy)))(points)

    with double_precision():
        batches = [sample_points(learned, jax.random.key(i), int(count)) for i in range(ROUNDS + 1)]
        seconds: dict[str, list[float]] = {n: [] for n in policies}
        for i, batch in enumerate(batches):
            for label, policy in policies.items():
                begin = time.perf_counter()
                jax.block_until_ready(value_and_gradient(policy, batch))
                if i:  # the first compiles
                    seconds[label].append(time.perf_counter() - begin)
    print(f"{name}: value and gradient at {count} points, {ROUNDS} rounds, milliseconds")
    for label, times in seconds.items():
        low, middle = min(times), statistics.median(times)
        print(f"  {label:13} median {1e3 * middle:7.2f}  least {1e3 * low:7.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
