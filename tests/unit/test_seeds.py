"""What a seed promises: see `bayescal.calibrate`."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, json, sys
import bayescal as bc
bc.use_cores(int(sys.argv[1]))
study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
fit = bc.calibrate(study, draws=30, warmup=60, chains=2, seed=int(sys.argv[2]))["pooled"]
sums = {
    f"{group}/{name}": hashlib.sha256(x.to_numpy().tobytes()).hexdigest()
    for group in ("posterior", "log_likelihood", "posterior_predictive", "prior_predictive")
    for name, x in fit.tree[group].data_vars.items()
}
print(json.dumps({"sums": sums, "at once": fit.provenance["chains_at_once"]}))
"""


def fitted(devices: int, seed: int = 7, cores: set[int] | None = None) -> dict:
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    words = [sys.executable, "-c", PROGRAM, str(devices), str(seed)]
    pin = None if cores is None else lambda: os.sched_setaffinity(0, cores)
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=env, preexec_fn=pin)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_seed_gives_the_same_fit_to_the_bit():
    """In two processes; of another seed it differs, so that the sums can tell fits apart."""
    one, again, other = fitted(2), fitted(2), fitted(2, seed=8)
    assert one["sums"] == again["sums"] and one["at once"] == 2
    assert all(one["sums"][n] != x for n, x in other["sums"].items())
