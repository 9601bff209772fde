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
# # A tour in five minutes: people respond to a prize that Nash says they should ignore
#
# Row chooses Top or Bottom, Column Left or Right; Row wants to match, Column does not. Goeree and Holt (2001) changed one
# number of this game: Row's payoff at Top and Left, which is 80, 320 or 44 cents. In the Nash equilibrium this changes only
# what *Column* does, because Column's mixture has to keep Row indifferent; Row plays Top half the time in all three games.
#
# Their subjects responded to the prize. bayescal explains such behaviour by one quantity, the cost of information, and this
# page estimates it.

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
bc.use_cores(2)  # two chains at once: say so before anything numeric happens
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "2000"))

# %% [markdown]
# ## 1. A table of decisions
#
# One row a decision, or one row a count. These are the published shares of 25 people in each role.

# %%
PRIZES = (80, 320, 44)
table = pd.DataFrame(
    [
        (f"prize {prize}", role, action, n)
        for prize, top, left in zip(PRIZES, (12, 24, 2), (12, 4, 20), strict=True)
        for role, counts in (("row", {"Top": top, "Bottom": 25 - top}), ("column", {"Left": left, "Right": 25 - left}))
        for action, n in counts.items()
    ],
    columns=["game", "role", "action", "n"],
)
table.head(4)

# %% [markdown]
# ## 2. A game and a cost
#
# With cost of information $\lambda$ (cents per nat) a person chooses $\pi(a) \propto q(a)\, e^{U(a)/\lambda}$: a habit
# $q$, here all actions alike, tilted towards actions that pay. In equilibrium everybody's play is such a reply to everybody
# else's. At a vanishing cost this is Nash, at an infinite cost it is the habit. A policy solves a game for any cost and any
# payoffs, and can be vectorised like everything in JAX.


# %%
def matching(prize):
    row, column = [[prize, 40], [40, 80]], [[40, 80], [80, 40]]
    labels = [["Top", "Bottom"], ["Left", "Right"]]
    return bc.NormalForm([row, column], name=f"prize {prize}", action_labels=labels, role_names=["row", "column"])


games = {f"prize {prize}": matching(prize) for prize in PRIZES}
policy = bc.ExactPolicy(matching(320))
solve = jax.jit(jax.vmap(lambda cost, payoffs: policy.solve(cost, params={"payoffs": payoffs}).strategies[:, 0]))


def play(costs, prizes):
    """Shares of Top and of Left, at each of many costs and prizes."""
    costs, prizes = np.broadcast_arrays(costs, prizes)
    payoffs = np.array([matching(prize).params["payoffs"] for prize in prizes.ravel()])
    return np.array(solve(costs.ravel(), payoffs)).reshape(*costs.shape, 2)


costs = np.geomspace(0.5, 500, 100)
curves = play(costs[None, :], np.array(PRIZES)[:, None])
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for prize, curve in zip(PRIZES, curves, strict=True):
    axis.plot(costs, curve[:, 0], label=f"prize {prize}", lw=2)
axis.axhline(0.5, color="k", ls=":", label="Nash, whatever the prize")
axis.set(xscale="log", ylim=(0, 1), xlabel="cost of information (cents per nat)", ylabel="share of Top")
axis.set_title("Where information costs something, Row responds to the own prize", loc="left", fontsize=11)
axis.legend()
plt.show()

# %% [markdown]
# ## 3. The posterior
#
# `build_model` makes an ordinary NumPyro model of table and policy; `infer` draws from its posterior. `fit.status` says
# whether the draws can be trusted, and `fit.tree` is an ArviZ `DataTree` with all groups.

# %%
decisions = bc.Decisions.from_table(table, games)
model = bc.build_model(policy, bc.populations.Homogeneous(), decisions)
fit = bc.infer(model, bc.NUTS(draws=DRAWS, warmup=min(DRAWS, 500), chains=2, seed=1))
print(model.description)
print(fit.status)
fit.summary(["cost"])[["mean", "sd", "eti90_lb", "eti90_ub"]].round(1)

# %% [markdown]
# ## 4. What the model explains, and what it does not
#
# Each draw of the posterior predicts the shares of all three games, and of every other prize that might have been tried.

# %%
cost = fit.tree["posterior"]["cost"].to_numpy().ravel()
some = cost[np.linspace(0, len(cost) - 1, 100).astype(int)]
prizes = np.linspace(44, 330, 30)
low, middle, high = np.quantile(play(some[:, None], prizes[None, :]), [0.05, 0.5, 0.95], axis=0)
nash = {"Top": np.full_like(prizes, 0.5), "Left": 40 / prizes}
seen = {"Top": [12, 2, 24], "Left": [12, 20, 4]}
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.6), layout="constrained", sharey=True)
for k, (axis, name) in enumerate(zip(axes, nash, strict=True)):
    axis.fill_between(prizes, low[:, k], high[:, k], alpha=0.3, lw=0, label="one cost for all, 90%")
    axis.plot(prizes, middle[:, k], "C0")
    axis.plot(prizes, nash[name], "k:", label="Nash")
    share = np.array(seen[name]) / 25
    axis.errorbar([80, 44, 320], share, np.sqrt(share * (1 - share) / 25), fmt="o", color="C1", label="people (± 1 se)")
    axis.set(xlabel="Row's prize at Top and Left (cents)", ylabel=f"share of {name}", ylim=(0, 1))
axes[0].legend(loc="lower right")
figure.suptitle(
    f"A cost of {cost.mean():.0f} cents per nat has every direction right, and Row half the way", x=0.01, ha="left"
)
plt.show()

# %% [markdown]
# Nash has Column right and Row wrong. With a single cost both move in the right direction. That Row moves even further is
# left to explain: by costs that differ, by habits, or by beliefs. The other pages ask which of these it is.
#
# ## 5. Save the fit
#
# A fit is saved complete: draws, predictions, settings, versions. From the command line, `bayescal calibrate my-experiment/`
# does all of this for a folder with a CSV file and writes a report.

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    path = fit.save(Path(folder) / "tour.nc")
    again = bc.Fit.load(path)
assert again.status == fit.status

# %% [markdown]
# | next | page |
# |---|---|
# | one cost or many? | 02 Selten and Chmura's twelve games |
# | real people, their costs and their habits | 03 newsvendors |
# | people for your own simulation | 04 beer game |
# | the same people in other markets | 05 cobweb |
# | which model predicts best? | 06 Cournot |
# | a game of your own | 07 |
# | can a learned policy be trusted? | 08 |
# | hundreds or thousands of people | 09 volunteer's dilemma |
# | a larger model around it | 10 |
# | which model, which inference, which command | 11 |
