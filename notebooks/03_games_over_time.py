# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Games over time
#
# What people see changes from round to round. Two examples: Harold Zurcher's bus engines, where the answer is known
# exactly, and the beer game, where it has to be learned.

# %%
import io
import warnings

import numpy as np
import pandas as pd
from IPython.display import Image
from matplotlib.figure import Figure

import bayescal as bc

warnings.filterwarnings("ignore", category=Warning)
bc.use_cores(2)


def show(figure):
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return Image(picture.getvalue())


# %% [markdown]
# ## When to replace an engine
#
# Every month a superintendent sees the mileage of each bus and keeps its engine, which costs more with every mile, or
# replaces it. Rust (1987) estimated the two costs from Zurcher's decisions. We let an invented superintendent decide
# about 37 buses for 117 months, and ask the data what the costs were. The table looks like this:

# %%
months = (1682, 2555, 55)  # how often Rust's buses were driven on by 0, 1 and 2 bins of 5,000 miles
engine = bc.get_game("bus-engine", usage=months, RC=10.0, theta11=2.3)
buses = bc.simulate(bc.ExactPolicy(engine), cost=1.0, groups=37, rounds=117, seed=0)
buses.head(3)

# %% [markdown]
# Costs are in units of the taste shock, so the cost of information is 1 and the game's own two parameters are what is
# inferred. The likelihood solves the superintendent's problem anew for every guess: about a millisecond each.

# %%
decisions = bc.Decisions.from_table(buses, {"bus-engine": engine})
inferred = {"cost": 1.0, "parameters": ("RC", "theta11")}
exact = bc.build_model(bc.ExactPolicy(engine), bc.populations.Homogeneous(), decisions, **inferred)
found = bc.maximum_likelihood(exact)
truth = {"RC": 10.0, "theta11": 2.3}
pd.DataFrame({"truth": truth, "estimate": found.values, "standard error": found.standard_errors}).round(3)

# %% [markdown]
# The same with a **learned** policy in place of the exact solution: a small network that answers for every pair of costs in
# its box. Both posteriors on a grid:

# %%
learned = bc.build_model(bc.load_model("bus-engine"), bc.populations.Homogeneous(), decisions, **inferred)
grid = bc.Grid(points=31, ranges={"RC": (5.0, 22.0), "theta11": (0.4, 7.0)})
fits = {"exact": bc.infer(exact, grid), "learned": bc.infer(learned, grid)}
figure = Figure(figsize=(5.5, 4), layout="constrained")
ax = figure.subplots()
for (name, fit), colour in zip(fits.items(), ("#0072B2", "#D55E00"), strict=True):
    draws = fit.tree["posterior"]
    ax.plot(draws["RC"][0, ::4], draws["theta11"][0, ::4], ".", ms=4, alpha=0.4, color=colour, label=f"{name} policy")
ax.plot(truth["RC"], truth["theta11"], "k*", ms=12, label="truth")
ax.set_xlabel("replacement cost RC")
ax.set_ylabel("operating cost theta11")
ax.legend(frameon=False)
show(figure)

# %%
moments = {name: pd.DataFrame(fit.provenance["grid"]) for name, fit in fits.items()}
shift = (moments["learned"].loc["mean"] - moments["exact"].loc["mean"]) / moments["exact"].loc["sd"]
shift.rename("shift of the mean, in posterior sds").to_frame().round(3)

# %% [markdown]
# ## The beer game
#
# A retailer, a wholesaler, a distributor and a factory order from the next one up, wait three weeks, and pay for stock and
# for backlog. Nobody sees what the others do. No exact solution is known; the zoo has a learned policy for any cost of
# information, any distribution of the others' costs, and two habits: staying near the last order, and passing on the
# order that came in. Here everybody leans on the second habit, and we turn up the cost of information.

# %%
policy = bc.load_model("beer-game")
roles, habit = list(policy.environment.role_names), {"pull_0": 0.0, "pull_1": 12.0}


def play(cost, groups=200):
    others = {"log_mean": np.clip(np.log(cost), np.log(0.1), np.log(25)), "log_sd": 0.1}
    table = bc.simulate(policy, cost=cost, phi=others, psi=habit, groups=groups, seed=1)
    return table.assign(order=table["action"].astype(float))


costs, colours = (0.05, 0.5, 5.0, 50.0), ("#0072B2", "#009E73", "#E69F00", "#D55E00")
figure = Figure(figsize=(11, 3.6), layout="constrained")
left, *right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
for cost, colour in zip(costs, colours, strict=True):
    late = play(cost).query("round > 6")
    spread = late.groupby(["role", "group"])["order"].std().groupby("role").mean()[roles]
    left.plot(["customers", *roles], [late["demand"].std(), *spread], "o-", color=colour, label=f"{cost:g}")
left.set(ylabel="standard deviation of orders", ylim=(0, None), title="The bullwhip, by cost of information")
left.legend(title="money per nat", fontsize=8, frameon=False)
for axis, cost in zip(right, (costs[0], costs[-1]), strict=True):
    chain = play(cost, groups=1)
    for role, colour in ((roles[0], "#0072B2"), (roles[-1], "#D55E00")):
        own = chain[chain["role"] == role]
        axis.step(own["round"], own["order"], where="mid", label=role, color=colour)
    axis.set(xlabel="week", ylabel="order", ylim=(-0.5, 20.5), title=f"One chain at {cost:g}")
right[0].legend(fontsize=8, frameon=False)
show(figure)

# %% [markdown]
# How far a learned policy can be trusted where nothing exact is known is measured by what somebody could still gain by
# learning a better reply to it: [its card](../models/beer-game/card.md) says how much.
