"""Simulation-based calibration with the learned Cournot policy: 50 people who play 25 rounds against two others each.

Private log-normal costs, integrated out; 200 replicates of hyperprior draw, play, and NUTS, in one compiled program.
Then the same with decisions of people whose information costs them a tenth more than the fitted policy says, which
must not pass. `--habits` infers the prior's anchor and pull as well.

python tests/benchmarks/bench_sbc.py OUT.png [--replicates 200] [--habits]
"""

import argparse
import time

import bayescal as bc

bc.use_cores(2)

import equinox as eqx  # noqa: E402
import matplotlib as mpl  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from bayescal.diagnostics.sbc import ERROR, Ranks, ecdf_band, sbc  # noqa: E402
from bayescal.policies.learned import with_network  # noqa: E402

PEOPLE, ROUNDS = 50, 25
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555555"]


def design() -> bc.Decisions:
    """Who decides how often; what they decide here plays no part."""
    rows = [("market", f"firm {i}", t, "20") for i in range(PEOPLE) for t in range(ROUNDS)]
    table = pd.DataFrame(rows, columns=["game", "participant", "round", "action"])
    return bc.Decisions.from_table(table, {"market": bc.Cournot(3, np.linspace(0, 60, 31))})


def dearer(policy: bc.AmortisedPolicy, factor: float) -> bc.AmortisedPolicy:
    """Choices depend on values over cost: values divided by a factor are costs multiplied by it."""
    last = lambda n: (n.weights[-1], n.biases[-1])
    return with_network(policy, eqx.tree_at(last, policy.network, [x / factor for x in last(policy.network)]))


def draw(axis: plt.Axes, found: Ranks, title: str) -> None:
    """The ECDF of ranks less that of uniform ones, and where uniform ones are."""
    n, at = len(found.ranks), np.arange(1, found.kept + 1) / (found.kept + 1)
    low, high = ecdf_band(n, found.kept, ERROR / found.ranks.shape[1])
    axis.fill_between(at, low - at, high - at, step="mid", color="0.9", label="uniform ranks, 99 % in all")
    for (name, ranks), colour in zip(found.ranks.items(), COLOURS, strict=False):
        ecdf = np.cumsum(np.bincount(ranks, minlength=found.kept + 1))[:-1] / n
        axis.step(at, ecdf - at, where="mid", color=colour, label=str(name).replace("_", " "))
    axis.set(title=title, xlabel="rank of the truth among posterior draws, as a share")


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("out")
    asked.add_argument("--replicates", type=int, default=200)
    asked.add_argument("--habits", action="store_true")
    args = asked.parse_args()
    policy, decisions = bc.load_model("cournot"), design()
    population = bc.populations.LogNormal(16)
    build = lambda p: bc.build_model(p, population, decisions, prior_parameters=args.habits, method="marginal")
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    cases = (("the policy that simulates is fitted", 1.0), ("costs a tenth higher than fitted", 1.1))
    for axis, (title, factor) in zip(axes, cases, strict=True):
        start, cpu = time.perf_counter(), time.process_time()
        truth = None if factor == 1 else build(dearer(policy, factor))
        found = sbc(build(policy), truth, replicates=args.replicates)
        whole = time.perf_counter() - start
        print(f"\n{title}\n{found}")
        print(
            f"{args.replicates} replicates: {whole:.0f} s ({found.seconds_compiling:.0f} s of them compiling), "
            f"{time.process_time() - cpu:.0f} s of CPU"
        )
        draw(axis, found, title)
    axes[0].set_ylabel("share of ranks below, less uniform")
    axes[0].legend(fontsize="small")
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
