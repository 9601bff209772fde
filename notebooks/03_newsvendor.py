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
# # Newsvendors: do people order too little out of habit, or because information is costly?
#
# Every morning you order papers at 3 each; then demand is drawn (1 to 100, equally likely), and each paper sold brings 12.
# The best order is 75. People order less, and follow the demand of the day before (Schweitzer and Cachon 2000). The data are
# 31 people who ordered for 30 days (Villa, Castañeda and Urrea). What did their errors cost them, and what would help?
#
# The data are public but do not ship with bayescal: `bayescal data add newsvendor-expedited` fetches them, or says which
# file to put where.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np

import bayescal as bc

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "1200"))
SMALL = {"where": "treatment_id == 1 and subject_id <= 6"} if DRAWS < 200 else {}  # a few people will do to try it out

study = bc.load_study("newsvendor-expedited", **SMALL)
game = study.environments["newsvendor"]
table = study.decisions.table
table = table.assign(order=table["action"].astype(str).astype(float)).sort_values(["participant", "round"])
people = list(study.decisions.levels("participant"))

# %% [markdown]
# ## What they did, and what it cost them
#
# A newsvendor's profit is flat around the best order, so small errors are cheap and large ones are not.

# %%
profits = np.asarray(game.expected_profits(game.params))
earned = table.assign(profit=profits[table["order"].astype(int)]).groupby("participant", observed=True)
mean_order, lost = earned["order"].mean(), profits.max() - earned["profit"].mean()
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.plot(profits, color="0.5", label="expected profit of a day")
left.plot(mean_order, profits.max() - lost, "o", color="C1", ms=4, label="each person's mean")
left.axvline(75, color="k", ls=":", label="best order: 75")
left.set(xlabel="order (papers)", ylabel="profit (money a day)", ylim=(0, None))
left.set_title(f"They order {mean_order.mean():.0f} on average", loc="left", fontsize=11)
left.legend(loc="lower center", fontsize=8)
right.bar(np.arange(len(lost)), 100 * np.sort(lost) / profits.max(), color="C1")
right.set(xlabel="people, in the order of their loss", ylabel="profit forgone (% of the best)")
right.set_title(f"and give up {lost.mean() / profits.max():.0%} of the profit", loc="left", fontsize=11)
plt.show()

# %% [markdown]
# ## Costs and habits
#
# The study's own model: each person has a cost of information, and all share six habits. The habits are to repeat the last
# order, to move towards the last demand, to stay with the usual order, to order something in the middle, and to order round
# numbers (tens, fives). A person departs from a habit when enough money is at stake: more than the cost times the nats that
# the departure takes.

# %%
# Costs are integrated out and drawn afterwards, which is quicker than sampling everybody's.
ways = {"population": "log-normal", "method": "marginal"}
fit = bc.calibrate(study, draws=DRAWS, warmup=min(DRAWS, 400), chains=2, seed=1, options=ways)["people"]
print(fit.status)
posterior = fit.tree["posterior"].to_dataset().stack(at=("chain", "draw"))
flat = {n: posterior[n].transpose("at", ...).to_numpy() for n in posterior.data_vars}

# %%
FAR = 0.25 / 1.0  # of the grid's width: 25 papers
habits = {
    "the last order again": flat["psi_bonus_0"],
    "towards the last demand": flat["psi_pull_1"] * FAR,
    "one's usual order": flat["psi_pull_2"] * FAR,
    "the middle, 50": flat["psi_pull_3"] * FAR,
    "multiples of ten": flat["psi_bonus_4"] + flat["psi_bonus_5"],
    "other multiples of five": flat["psi_bonus_5"],
}
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained", width_ratios=(1, 1.1))
order = np.argsort(np.median(flat["cost"], axis=0))
low, middle, high = np.quantile(flat["cost"], [0.05, 0.5, 0.95], axis=0)[:, order]
left.vlines(np.arange(len(order)), low, high, color="C0", alpha=0.5, lw=3)
left.plot(np.arange(len(order)), middle, "o", color="C0", ms=4)
left.set(yscale="log", xlabel="people, in the order of their cost", ylabel="cost (money per nat), 90% intervals")
left.set_title(
    f"Thinking costs the typical person {np.exp(flat['log_mean']).mean():.0f} a nat", loc="left", fontsize=11
)
for row, nats in enumerate(reversed(habits.values())):
    low, middle, high = np.quantile(nats, [0.05, 0.5, 0.95])
    right.hlines(row, low, high, color="C2", lw=6, alpha=0.5)
    right.plot(middle, row, "o", color="C2")
right.axvline(0, color="0.6", lw=1)
right.set_yticks(range(len(habits)), list(habits)[::-1])
right.set_xlabel("nats, against an order 25 papers away (or not round)", fontsize=9)
right.set_title("Habits, in nats of information to give them up", loc="left", fontsize=11)
figure.savefig("newsvendor.png", dpi=90)
plt.show()

# %% [markdown]
# ## Does the model reproduce the experiment?
#
# A posterior predictive check before any conclusion: simulated people with these costs and habits repeat the experiment with
# new demand. If the model is right, the real experiment looks like one of theirs.

# %%
policy = bc.ExactPolicy(game, study.prior)


def replay(draw, cheaper=1.0, habitual=1.0):
    """The experiment again, with the costs and habits of one draw of the posterior."""
    psi = {n.removeprefix("psi_"): x[draw] for n, x in flat.items() if n.startswith("psi_")}
    psi = {n: x if n.startswith("gain") else x * habitual for n, x in psi.items()}
    played = bc.simulate(
        policy, groups=len(people), cost=flat["cost"][draw][:, None] / cheaper, psi=psi, seed=int(draw)
    )
    return played.assign(order=played["action"].astype(float))


def facts(table):
    own = table.groupby("participant", observed=True)
    before, seen = own["order"].shift(), own["demand"].shift()
    changed = before.notna() & (table["order"] != before)
    towards = np.sign(table["order"] - before) == np.sign(seen - before)
    return {
        "mean order (papers)": table["order"].mean(),
        "sd of people's mean orders (papers)": own["order"].mean().std(),
        "changes towards the last demand (%)": 100 * towards[changed].mean(),
    }


draws = np.linspace(0, len(flat["cost"]) - 1, min(60, DRAWS // 10)).astype(int)
again = [facts(replay(d)) for d in draws]
figure, axes = plt.subplots(1, 3, figsize=(9.5, 2.8), layout="constrained")
for axis, (name, real) in zip(axes, facts(table).items(), strict=True):
    axis.hist([a[name] for a in again], 12, color="C0", alpha=0.5, label="replayed")
    axis.axvline(real, color="C1", lw=2, label="real")
    axis.set(xlabel=name, yticks=[])
axes[0].legend(fontsize=8)
axes[0].set_ylabel("replays of the experiment")
figure.suptitle(
    "Replayed, the experiment comes out nearly as it did; real people ordered a little less", x=0.01, ha="left"
)
plt.show()

# %% [markdown]
# ## What would help?
#
# Remove the habits and keep the costs, or make information cheaper (a decision aid, for example) and keep the habits.

# %%
cures = {
    "as they are": {},
    "no habits": {"habitual": 1e-6},
    "thinking at half the cost": {"cheaper": 2.0},
    "at a tenth of the cost": {"cheaper": 10.0},
    "at a tenth, and no habits": {"cheaper": 10.0, "habitual": 1e-6},
}
figure, axis = plt.subplots(figsize=(7.5, 3), layout="constrained")
for row, change in enumerate(reversed(cures.values())):
    orders = [replay(d, **change)["order"].mean() for d in draws[::2]]
    low, middle, high = np.quantile(orders, [0.05, 0.5, 0.95])
    axis.hlines(row, low, high, color="C0", lw=6, alpha=0.5)
    axis.plot(middle, row, "o", color="C0")
    axis.annotate(f"{middle:.0f}", (middle, row), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)
axis.axvline(75, color="k", ls=":")
axis.annotate("best: 75", (75, len(cures) - 1), xytext=(4, 0), textcoords="offset points", fontsize=9)
axis.set_yticks(range(len(cures)), list(cures)[::-1])
axis.set(xlabel="mean order (papers), 90% of the posterior", ylim=(-0.5, len(cures) - 0.2), xlim=(45, 82))
axis.set_title("Cheaper thinking would raise orders; taking habits away alone would not", loc="left", fontsize=11)
plt.show()

# %% [markdown]
# Assumptions: habits are the same for all people here, and people do not look beyond the day. With `--policy newsvendor`
# they foresee that today's order is part of tomorrow's habit.
