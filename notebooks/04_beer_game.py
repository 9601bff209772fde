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
# # The beer game: from decisions to a population of agents for your own simulation
#
# You have a model of a supply chain and want to fill it with realistic people instead of optimisers or hand-written rules.
# Here decisions in the beer game are turned into agents, and the agents are used in a simulation that no experiment has run.
# The question is a manager's: **if one of the four people is to be replaced by a robot, which one?**
#
# The decisions are bayescal's simulated set: forty simulated people in ten chains, so the truth is known. Replace them by a
# table of your own, and the chain below by your own model.

# %%
import os
import warnings

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayescal as bc

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "900"))
SMALL = {"where": "group == 'g001' and round <= 10"} if DRAWS < 200 else {}  # one chain will do to try it out

# %% [markdown]
# ## The experiment
#
# A retailer, a wholesaler, a distributor and a factory order from the next one up, wait three weeks, and pay 0.5 a week
# for a unit on hand and 1 for a unit owed. Nobody sees what the others do. Customers' demand is 0 to 8 a week.

# %%
study = bc.load_study("beer-game-simulated", **SMALL)
table = study.decisions.table.assign(order=lambda t: t["action"].astype(str).astype(float))
roles = ["retailer", "wholesaler", "distributor", "factory"]
spread = table.groupby(["group", "role"], observed=True)["order"].std().unstack()[roles]
customers = table.groupby("group", observed=True)["demand"].std()
figure, axis = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
axis.plot(["customers", *roles], np.column_stack([customers, spread]).T, color="C0", alpha=0.3)
axis.plot(
    ["customers", *roles], [customers.mean(), *spread.mean()], "o-", color="C0", lw=2.5, label="mean of the chains"
)
axis.set(ylabel="standard deviation of orders\n(units a week)", ylim=(0, None))
axis.set_title("Orders swing more than demand, all along the chain", loc="left", fontsize=11)
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## What the data say about people
#
# There is no exact solution of this game here. A learned policy ships for any cost of information and any distribution of
# the others' costs. The model has a cost for each person and the distribution of costs in the population.

# %%
policy = bc.load_model("beer-game")
# centred: 36 orders say more of a person's cost than the others do, and the sampler then moves more easily.
model = bc.build_model(policy, policy.population, study.decisions, centred=True)
fit = bc.infer(model, bc.NUTS(draws=DRAWS, warmup=min(DRAWS, 400), chains=2, seed=1))
print(fit.status)
truth = pd.read_csv(study.folder / "decisions.csv").groupby("participant")["cost"].first()
own = fit.tree["posterior"]["cost"].stack(at=("chain", "draw")).transpose("at", "participant")
low, middle, high = np.quantile(own, [0.05, 0.5, 0.95], axis=0)
real = truth[own["participant"].to_numpy().astype(str)].to_numpy()
order = np.argsort(real)
figure, axis = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
axis.vlines(np.arange(len(order)), low[order], high[order], color="C0", alpha=0.5, lw=3, label="posterior, 90%")
axis.plot(np.arange(len(order)), real[order], "o", color="C1", ms=4, label="the truth")
axis.set(yscale="log", xlabel="people, in the order of their true cost", ylabel="cost (money per nat)")
axis.set_title(
    f"36 orders tell a person's cost to a factor of {np.exp(np.log(high / low).mean() / 2):.1f}",
    loc="left",
    fontsize=11,
)
axis.legend(loc="upper left")
plt.show()

# %% [markdown]
# ## Agents
#
# Agents are new people, drawn from the posterior. There are two sources of uncertainty. People *differ*; that averages out
# over many chains. The experiment was *small*; that does not average out. So ask for several **populations**: all agents of
# one population come from the same draw of the posterior.

# %%
POPULATIONS, CHAINS, WEEKS = (20, 25, 48) if DRAWS > 200 else (2, 2, 5)
agents = bc.Agents.from_fit(fit, policy, n=4 * CHAINS, populations=POPULATIONS, seed=3)
agents.table().head(3)

# %% [markdown]
# ## Your own simulation
#
# The chain in plain NumPy, one row a chain and one column a place. Agents enter in one line, with what each of them has
# observed. The robot follows the textbook: it orders up to a stock of 16, counting what is on its way.


# %%
def decide(key, week, stock, line, own, incoming):
    """What everybody orders: agents are asked as what they are in their chain."""
    seen = {"own": own, "seen": incoming, "inventory": stock, "supply_line": line}
    seen = {name: x.ravel() for name, x in seen.items()} | {"began": float(week > 0), "round": float(week)}
    chosen = [np.asarray(agents.grid()[agents.act(key, seen, role)]).reshape(stock.shape) for role in roles]
    return np.stack([orders[:, place] for place, orders in enumerate(chosen)], axis=1)


def run(robots=(), seed=0):
    """Weekly cost of a chain and the orders' standard deviations, by population."""
    rng, keys = np.random.default_rng(seed), jax.random.split(jax.random.key(seed), WEEKS)
    rows = POPULATIONS * CHAINS
    stock, line, own = np.full((rows, 4), 12.0), np.full((rows, 4), 12.0), np.zeros((rows, 4))
    mail, transit = np.full((rows, 4), 4.0), [np.full((rows, 4), 4.0), np.full((rows, 4), 4.0)]
    costs, placed = [], []
    for week in range(WEEKS):
        arriving, before = transit.pop(0), stock
        incoming = np.column_stack([rng.integers(0, 9, rows), mail[:, :-1]])
        stock, line = stock + arriving - incoming, line - arriving
        sent = incoming + np.maximum(-before, 0) - np.maximum(-stock, 0)
        costs.append((0.5 * np.maximum(stock, 0) + np.maximum(-stock, 0)).sum(axis=1))
        own = decide(keys[week], week, stock, line, own, incoming)
        for place in robots:
            own[:, place] = np.clip(16 - stock[:, place] - line[:, place], 0, 20)
        transit.append(np.column_stack([sent[:, 1:], mail[:, -1]]))
        mail, line = own, line + own
        placed.append(own)
    by_population = lambda x: x.reshape(POPULATIONS, CHAINS, *x.shape[1:]).mean(axis=1)
    return by_population(np.mean(costs, axis=0)), by_population(np.std(placed, axis=0))


crews = {"four people": (), **{f"robot as {role}": (k,) for k, role in enumerate(roles)}, "four robots": range(4)}
found = {name: run(robots) for name, robots in crews.items()}

# %% [markdown]
# ## The answer
#
# All chains meet the same demand, with and without robots. Bands hold 90% of the populations: they show the uncertainty that
# a small experiment leaves about people.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
alone = found["four people"][0]
saved = {name: 100 * (1 - cost / alone) for name, (cost, _) in found.items() if name != "four people"}
for row, share in enumerate(reversed(saved.values())):
    low, middle, high = np.quantile(share, [0.05, 0.5, 0.95])
    left.hlines(row, low, high, color="C0", lw=7, alpha=0.4)
    left.plot(middle, row, "o", color="C0")
    left.annotate(f"{middle:.0f}%", (high, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=9)
left.axvline(0, color="0.6", lw=1)
left.set_yticks(range(len(saved)), list(saved)[::-1])
left.set_xlabel("saved of the chain's weekly cost (%), 90% of the populations")
left.set_title(f"Of {np.median(alone):.0f} a week one robot saves a little, four a lot", loc="left", fontsize=11)
for name, colour in (("four people", "0.4"), ("robot as retailer", "C0"), ("four robots", "C2")):
    low, middle, high = np.quantile(found[name][1], [0.05, 0.5, 0.95], axis=0)
    right.fill_between(roles, low, high, color=colour, alpha=0.25, lw=0)
    right.plot(roles, middle, "o-", color=colour, label=name)
right.axhline(np.std(np.arange(9)), color="k", ls=":", label="customers' demand")
right.set(ylabel="standard deviation of orders\n(units a week)", ylim=(2, None))
right.set_title("because one calms the others little", loc="left", fontsize=11)
right.legend(fontsize=8)
figure.savefig("bullwhip.png", dpi=90)
plt.show()

# %% [markdown]
# In a model in JAX, `agents.act(key, seen, role)` works inside `jit`, `vmap` and `scan`: agents are frozen arrays, and
# everything random follows from the key.
#
# The agents do not know that one of the others is a robot: they believe to be among people like those of the experiment.
# Without an exact solution, a learned policy is judged by how much a better reply to it would gain:
# [its card](../models/beer-game/card.md) gives that figure.
