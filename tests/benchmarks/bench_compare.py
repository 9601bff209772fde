"""Comparing models: how long it takes, and how often the true one wins.

    python tests/benchmarks/bench_compare.py            seconds of `compare_study` on 31 people x 30 newsvendor orders
    python tests/benchmarks/bench_compare.py confusion  the confusion matrix of nine models, 50 sets from each;
                                                        writes confusion.png into the working folder

Seconds are wall time on two cores, compilation included, and beside them those of the processor.
"""

import sys
from time import perf_counter, process_time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayescal as bc
from bayescal.comparison import compare_study
from bayescal.comparison.recovery import Confusion, recover_models
from bayescal.comparison.rivals import rivals
from bayescal.study.load import Study

# Parameters at which people differ, and models in what they predict. Plain RL is absent: it is "rational" as
# far as its network knows.
TRUTHS = {
    "prior only": {"psi_anchor_0": 0.4, "psi_pull_0": 3.0, "psi_bonus_1": 1.0},
    "rational": {"lapse": 0.3},
    "common cost": {"log_cost": 5.0},
    "different costs": {"log_mean": 4.5, "log_sd": 1.5},
    "different costs, inferred prior": {
        "log_mean": 4.5, "log_sd": 1.5, "psi_anchor_0": 0.75, "psi_pull_0": 4.0, "psi_bonus_1": 1.0,
    },
    "level-k": {"lapse": 0.2, "weight_1": 1.0, "weight_2": 1.0, "weight_3": 1.0},
    "cognitive hierarchy": {"tau": 1.5, "log_cost": 3.5},
    "GR2-L": {"tau": 1.5, "log_cost": 3.5},
    "GR2-M": {"tau": 1.5, "log_cost": 3.5},
}  # fmt: skip


def design(people: int = 20, rounds: int = 10) -> Study:
    """People who each play a Cournot market of three firms so many times, with strangers."""
    game = bc.Cournot(3, np.linspace(0, 60, 13))
    table = pd.DataFrame(
        {
            "participant": np.repeat(np.arange(people), rounds),
            "round": np.tile(np.arange(1, rounds + 1), people),
            "action": np.resize(game.action_values[0], people * rounds),
        }
    )
    decisions = bc.Decisions.from_table(table, {"cournot": game})
    return Study("design", "A design", decisions, {"cournot": game})


def confusion(replicates: int = 50, progress=None, names=tuple(TRUTHS), **sizes) -> Confusion:
    models = rivals(design(**sizes), only=list(names)).models
    return recover_models(models, truths=TRUTHS, replicates=replicates, draws=200, warmup=150, progress=progress)


def figure(found: Confusion):
    fig, ax = plt.subplots(figsize=(7.6, 6.2), layout="constrained")
    ax.imshow(found.best, cmap="Blues", vmin=0, vmax=1)
    names = list(found.best)
    for (row, column), share in np.ndenumerate(found.best.to_numpy()):
        told = f"{share:.0%}" + ("" if row == column or found.apart.iloc[row, column] else "\n(close)")
        ax.text(column, row, told, ha="center", va="center", color="white" if share > 0.5 else "black", fontsize=7)
    ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="wins the comparison", ylabel="decisions were simulated from")
    ax.set_title(f"{found.replicates} sets of decisions each", fontsize=10)
    return fig


def seconds() -> None:
    began, busy = perf_counter(), process_time()
    study = bc.load_study("newsvendor-expedited")
    fits, found = compare_study(study)
    print(f"{len(fits)} models, {perf_counter() - began:.0f} s ({process_time() - busy:.0f} s of the processor)")
    for name, fit in fits.items():
        steps = fit.tree["sample_stats"]["n_steps"].mean().item()
        told = [fit.provenance[k] for k in ("seconds_compiling", "seconds_sampling")]
        print(f"  {name}: compiling {told[0]:.0f} s, sampling {told[1]:.0f} s, {steps:.1f} gradients a draw")
    print(found)


if __name__ == "__main__":
    bc.use_cores(2)
    if sys.argv[1:] == ["confusion"]:
        began, busy = perf_counter(), process_time()
        found = confusion(progress=lambda name, done, total: print(f"{name} {done}/{total}", flush=True))
        print(found)
        print("ahead by (nats)", found.ahead.round(1).to_string(), "error", found.error.round(1).to_string(), sep="\n")
        print("found", found.found.to_string(), sep="\n")
        print(f"{perf_counter() - began:.0f} s ({process_time() - busy:.0f} s of the processor)")
        figure(found).savefig("confusion.png", dpi=150)
    else:
        seconds()
