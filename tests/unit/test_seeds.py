"""What a seed promises: see `bayescal.calibrate`."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, json, os, sys
devices, core = sys.argv[1:]
if core:
    os.sched_setaffinity(0, {int(core)})
import bayescal as bc
bc.use_cores(int(devices))
study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
fit = bc.calibrate(study, draws=100, warmup=100, chains=2, seed=7)["pooled"]
sums = {
    group: [hashlib.sha256(x.to_numpy().tobytes()).hexdigest() for x in fit.tree[group].data_vars.values()]
    for group in ("posterior", "log_likelihood", "posterior_predictive", "prior_predictive")
}
summary = fit.summary(["log_cost"]).iloc[0]
found = {"sums": sums, "mean": float(summary["mean"]), "error": float(summary["mcse_mean"])}
print(json.dumps(found | {"at once": fit.provenance["chains_at_once"]}))
"""


def fitted(devices: int, core: str = "") -> dict:
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    words = [sys.executable, "-c", PROGRAM, str(devices), core]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True, env=env).stdout)


@pytest.mark.slow
def test_a_seed_gives_the_same_fit_to_the_bit():
    """In another process, and there on one core; with another number of devices within Monte-Carlo error."""
    fit, on_one_core, on_one_device = fitted(2), fitted(2, str(min(os.sched_getaffinity(0)))), fitted(1)
    assert fit["sums"] == on_one_core["sums"]
    assert (fit["at once"], on_one_device["at once"]) == (2, 1)
    assert fit["sums"]["prior_predictive"] == on_one_device["sums"]["prior_predictive"]
    assert fit["mean"] == pytest.approx(on_one_device["mean"], abs=5 * fit["error"])
    assert fit["sums"]["posterior"] != on_one_device["sums"]["posterior"]  # or the promise could be a larger one
