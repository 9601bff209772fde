"""Parameter recovery with the learned Cournot policy: 50 people who play 25 rounds against two others each.

Private log-normal costs, integrated out: how near to the truth posterior means are, and how often intervals of 50, 80
and 95 % hold it, beside the Monte-Carlo band of right ones. Then the same with decisions of people whose information
costs them a tenth more than the model says, which must not pass. `--habits` infers the prior's anchor and pull as well.

python tests/benchmarks/bench_recovery.py OUT.png [--replicates 200] [--habits]
"""

import argparse
import time

import bayescal as bc

bc.use_cores(2)

import matplotlib as mpl  # noqa: E402
import numpy as np  # noqa: E402
from bench_sbc import COLOURS, design  # noqa: E402

mpl.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402

from bayescal.diagnostics.recover import LEVELS, Recovered, recover  # noqa: E402
from bayescal.diagnostics.replicates import dearer  # noqa: E402


def draw_means(axis: plt.Axes, found: Recovered, name: str, colour: str) -> None:
    """Posterior means with their 80 % intervals, against the truth."""
    own = found.table.loc[name]
    ends = [own["mean"] - own["low80"], own["high80"] - own["mean"]]
    axis.errorbar(own["truth"], own["mean"], ends, fmt="o", ms=3, lw=0.6, color=colour)
    axis.axline((own["truth"].iloc[0],) * 2, slope=1, color="0.5", lw=0.8)
    axis.set(title=name.replace("_", " "), xlabel="truth", ylabel="posterior mean, 80 % interval")


def draw_coverage(axis: plt.Axes, cases: dict[str, Recovered]) -> None:
    """The share of intervals that hold the truth less what they say, and where right ones are."""
    said = np.array(LEVELS)
    for i, found in enumerate(cases.values()):
        for (name, own), colour in zip(found.coverage.groupby(level="quantity", sort=False), COLOURS, strict=False):
            place = np.arange(len(LEVELS)) + 0.12 * (found.names.index(name) - (len(found.names) - 1) / 2)
            label = f"{name.replace('_', ' ')}{', costs a tenth higher' if i else ''}"
            axis.plot(place, own["share"] - said, "o", color=colour, mfc="none" if i else colour, label=label)
            band = own.reset_index()
        if not i:
            axis.vlines(range(len(LEVELS)), band["low"] - said, band["high"] - said, lw=34, color="0.9", zorder=0)
    axis.axhline(0, color="0.5", lw=0.8)
    axis.set_xticks(range(len(LEVELS)), [f"{x:.0%}" for x in LEVELS])
    axis.set(title="intervals that hold the truth", xlabel="interval", ylabel="share, less what it says")
    axis.set_xlim(-0.5, len(LEVELS) - 0.5)
    axis.legend(fontsize="x-small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("out")
    asked.add_argument("--replicates", type=int, default=200)
    asked.add_argument("--habits", action="store_true")
    args = asked.parse_args()
    model = bc.build_model(
        bc.load_model("cournot"),
        bc.populations.LogNormal(16),
        design(),
        prior_parameters=args.habits,
        method="marginal",
    )
    cases = {}
    for title, truth in (("the model that simulates is fitted", None), ("costs a tenth higher", dearer(model))):
        start, cpu = time.perf_counter(), time.process_time()
        found = cases[title] = recover(model, truth, replicates=args.replicates)
        print(f"\n{title}\n{found}\n{found.coverage.to_string(float_format='{:.3f}'.format)}")
        whole = time.perf_counter() - start
        print(
            f"{args.replicates} replicates: {whole:.0f} s ({found.seconds_compiling:.0f} s of them compiling), "
            f"{time.process_time() - cpu:.0f} s of CPU"
        )
    right = next(iter(cases.values()))
    figure, axes = plt.subplots(1, len(right.names) + 1, figsize=(4 * (len(right.names) + 1), 4), layout="constrained")
    for axis, name, colour in zip(axes[:-1], right.names, COLOURS, strict=False):
        draw_means(axis, right, name, colour)
    draw_coverage(axes[-1], cases)
    figure.savefig(args.out, dpi=110)


if __name__ == "__main__":
    main()
