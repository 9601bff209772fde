"""The marginal likelihood with its gradient on compressed evidence, beside the same on the decisions themselves.

    taskset -c 0 python tests/benchmarks/bench_evidence.py [people decisions]

People choose one of 11 actions in one of ten situations; what an action is worth depends on two shared numbers. Beside
the evidence: everybody's counts of choices (which are sufficient here), and decision by decision, as where every
decision is made in a situation of its own. Each size runs in a process of its own, so that peak memory is its own.
"""

import resource
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import bayescal as bc
from bayescal.likelihood.evidence import Evidence

SIZES = [(200, 25), (200, 250), (200, 1000), (5_000, 25), (5_000, 250), (5_000, 1000), (100_000, 25), (100_000, 100)]
SITUATIONS, ACTIONS = 10, 11
NODES = np.linspace(-3.5, 1.5, 64)
SECONDS = 3.0  # spent on timing each
MOST_ROWS = 1_500_000


class Market:
    names = ("phi.log_mean", "phi.log_sd")

    def __init__(self, people: int, decisions: int, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.participants = tuple(f"p{i}" for i in range(people))
        self.state = rng.uniform(0.2, 0.8, SITUATIONS)
        # Costs of a hundred kinds of people, so that ten million decisions are drawn in seconds.
        kinds = rng.normal(-1.0, 0.6, 100)
        p = np.exp(np.asarray(self.log_probs(jnp.asarray(kinds), dict.fromkeys(self.names, 0.05)), np.float64))
        of = rng.integers(100, size=people)
        each = np.full(SITUATIONS, decisions // SITUATIONS)
        each[: decisions % SITUATIONS] += 1
        p /= p.sum(axis=-1, keepdims=True)
        counts = [rng.multinomial(n, p[s][of]) for s, n in enumerate(each)]
        self.counts = np.stack(counts, axis=1).reshape(people, -1).astype(np.float32)
        self.decisions = np.full(people, decisions)

    def log_probs(self, log_cost, shared):
        """(situations, nodes, actions)"""
        others, spread = shared["phi.log_mean"], shared["phi.log_sd"]
        best = self.state[:, None] + 0.1 * jnp.tanh(others) * (1 + 0.3 * spread)
        value = -6.0 * (jnp.linspace(0.0, 1.0, ACTIONS) - best) ** 2 / (1 + 0.2 * jnp.sin(others + spread))
        return jax.nn.log_softmax(value[:, None, :] / jnp.exp(log_cost)[:, None], axis=-1)

    def curves(self, log_cost, shared):
        table = self.log_probs(log_cost, shared).transpose(0, 2, 1).reshape(-1, len(log_cost))
        return self.counts.astype(table.dtype) @ table

    def of_some(self, people):
        part = object.__new__(Market)
        part.participants = tuple(self.participants[i] for i in people)
        part.state, part.counts, part.decisions = self.state, self.counts[people], self.decisions[people]
        return part

    def shards(self, most):
        size = max(most // int(self.decisions[0]), 1)
        for start in range(0, len(self.participants), size):
            yield self.of_some(np.arange(start, min(start + size, len(self.participants))))

    def by_decision(self, log_cost, shared):
        """Each decision looked up in the table, and summed over people."""
        person, cell = np.nonzero(self.counts)
        times = self.counts[person, cell].astype(int)
        person, cell = np.repeat(person, times), np.repeat(cell, times)
        table = self.log_probs(log_cost, shared).transpose(0, 2, 1).reshape(-1, len(log_cost))
        return jax.ops.segment_sum(table[cell], person, len(self.participants))


def total(log_m):
    """The log marginal likelihood of everybody, of (mean, log sd, two shared numbers)."""

    def f(x):
        weights = jax.nn.log_softmax(-0.5 * ((NODES - x[0]) / jnp.exp(x[1])) ** 2)
        return log_m(weights, dict(zip(Market.names, x[2:], strict=True))).sum()

    return f


def plain(curves):
    return lambda weights, shared: jax.nn.logsumexp(curves(jnp.asarray(NODES), shared) + weights, axis=1)


def timed(f) -> tuple[float, float]:
    """(least ms of value and gradient, which other work on the machine disturbs least, seconds to compile)"""
    x = np.array([-1.0, np.log(0.6), 0.05, 0.05])
    f = jax.jit(jax.value_and_grad(f))
    started = time.perf_counter()
    jax.block_until_ready(f(x))
    compiling, times = time.perf_counter() - started, []
    while sum(times) < SECONDS or len(times) < 3:
        x = x + 1e-4
        started = time.perf_counter()
        jax.block_until_ready(f(x))
        times.append(time.perf_counter() - started)
    return 1e3 * min(times), compiling


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB on Linux


def one(people: int, decisions: int) -> None:
    with jax.enable_x64(True):
        market = Market(people, decisions)
        box = bc.Domain.of(**dict.fromkeys(Market.names, (-0.3, 0.3)))
        before, started = peak(), time.perf_counter()
        evidence = Evidence.build(market, NODES, box)
        building, most = time.perf_counter() - started, peak()
        ours, compiling = timed(total(evidence.log_marginal))
        plainly = timed(total(plain(lambda _, shared: evidence.curves(shared))))[0]
        counts = timed(total(plain(market.curves)))[0]
        rows = timed(total(plain(market.by_decision)))[0] if people * decisions <= MOST_ROWS else np.nan
    error, how = evidence.error, evidence.notes[0]
    print(
        f"{people:7d} x {decisions:4d}: evidence {ours:.3f} ms (by its curves "
        f"{plainly:.3f}; compiled in {compiling:.1f} s), counts {counts:.2f} ms, by decision {rows:.2f} ms; built in "
        f"{building:.1f} s, memory {before:.2f} -> {most:.2f} GB; {how}, {error.person:.0e} nats a person, "
        f"{error.total:.0e} in all",
        flush=True,
    )


def main() -> None:
    if len(sys.argv) > 2:
        one(int(sys.argv[1]), int(sys.argv[2]))
        return
    for size in SIZES:
        subprocess.run([sys.executable, __file__, *map(str, size)], check=True)


if __name__ == "__main__":
    main()
