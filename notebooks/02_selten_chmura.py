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
# # Selten and Chmura's twelve games: is the cost of information the same in all of them?
#
# Two players, two actions each, and no equilibrium in pure strategies. Selten and Chmura (2008) had 864 people play twelve
# such games for 200 rounds each. If people err because information is costly, each game gives an estimate of that cost. Is
# it always the same?

# %%
import os
import warnings

import jax
import matplotlib.pyplot as plt
import numpy as np

import bayescal as bc

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "2000"))

# %% [markdown]
# ## What people did, and what each cost predicts
#
# The study ships with the package: 86,400 choices, the last hundred rounds of each session. As the cost of information
# rises from zero, the equilibrium moves from Nash to one half each. If the theory is right, the observed shares lie near
# that curve, and their place along it shows how costly information was.

# %%
study = bc.load_study("selten-chmura")
shares = study.decisions.describe()
names = list(study.environments)
policy = bc.ExactPolicy(study.environments[names[0]])
solve = jax.jit(jax.vmap(lambda cost, payoffs: policy.solve(cost, params={"payoffs": payoffs}).strategies[:, 0]))


def play(costs, game):
    """Shares of Up and Left at each of many costs."""
    payoffs = study.environments[game].params["payoffs"]
    return np.array(solve(costs, np.repeat(payoffs[None], len(costs), axis=0)))


costs = np.concatenate([np.geomspace(0.02, 100, 99), [0.01]])
seen = {g: np.array([shares.loc[(g, "row"), "Up"], shares.loc[(g, "column"), "Left"]]) for g in names}
figure, axes = plt.subplots(3, 4, figsize=(9, 6.6), sharex=True, sharey=True, layout="constrained")
for number, (axis, game) in enumerate(zip(axes.flat, names, strict=True), start=1):
    curve = play(costs, game)
    axis.plot(*curve[:-1].T, color="#0072B2", lw=1.5, label="equilibria, by cost")
    axis.plot(0.5, 0.5, ".", color="#0072B2", ms=8)
    axis.plot(*curve[-1], "x", color="#009E73", ms=8, mew=2, label="Nash")
    axis.plot(*seen[game], "o", color="#D55E00", label="people")
    axis.set(xlim=(0, 0.6), ylim=(0.4, 1))
    axis.set_title(f"game {number}", fontsize=10)
figure.supxlabel("share of Up (row players)", fontsize=10)
figure.supylabel("share of Left (column players)", fontsize=10)
axes[0, 0].legend(fontsize=7, loc="upper right")
figure.suptitle(
    "In most games people are near the curve that leads from Nash to habit (one half each)", x=0.01, ha="left"
)
plt.show()

# %% [markdown]
# ## One cost, or one for each game
#
# `calibrate` fits the models that suit the study: one cost for all games, and one for each game, where the twelve costs
# share a population ($\log\lambda_g \sim N(\mu, \sigma^2)$).

# %%
fits = bc.calibrate(study, draws=DRAWS, warmup=min(DRAWS, 500), chains=2, seed=1)
for name, fit in fits.items():
    print(f"{name}: {fit.status}")
fits["by game"].summary(["log_cost_mean", "log_cost_sd"])[["mean", "sd", "eti90_lb", "eti90_ub"]].round(2)

# %%
together = np.quantile(fits["pooled"].tree["posterior"]["cost"], [0.05, 0.5, 0.95])
apart = fits["by game"].tree["posterior"]["cost"].stack(at=("chain", "draw")).transpose("game", "at").to_numpy()
low, middle, high = np.quantile(apart, [0.05, 0.5, 0.95], axis=1)
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
rows = np.arange(12)[::-1]
axis.axvspan(together[0], together[2], color="#D55E00", alpha=0.3, lw=0, label="one cost for all games")
axis.hlines(rows, low, high, color="#0072B2", lw=2.5)
axis.plot(middle, rows, "o", color="#0072B2", label="one cost for each")
axis.set_yticks(rows, [f"game {n}" for n in range(1, 13)])
axis.set(xscale="log", xlabel=f"cost of information ({study.units} per nat), 90% intervals")
axis.set_xticks([0.3, 0.5, 1, 2, 3], ["0.3", "0.5", "1", "2", "3"])
axis.minorticks_off()
axis.set_title("Thinking did not cost the same: the games differ up to fourfold", loc="left", fontsize=11)
axis.legend()
figure.savefig("selten_chmura.png", dpi=100)
plt.show()

# %% [markdown]
# ## How well do the models predict?
#
# The distance between predicted and observed shares, averaged over the two roles, by game.

# %%
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
pooled = fits["pooled"].tree["posterior"]["cost"].to_numpy().ravel()
some = np.linspace(0, len(pooled) - 1, 100).astype(int)
ways = {
    "Nash": (lambda g: np.full(100, 0.01), "#009E73", "x"),
    "one cost for all": (lambda g: pooled[some], "#D55E00", "s"),
    "one cost for each": (lambda g: apart[names.index(g), some], "#0072B2", "o"),
}
for label, (cost, colour, mark) in ways.items():
    miss = [np.abs(play(cost(g), g) - seen[g]).mean() for g in names]
    axis.plot(
        np.arange(1, 13), 100 * np.array(miss), mark, color=colour, label=f"{label}: {100 * np.mean(miss):.1f} points"
    )
axis.set(xlabel="game", ylabel="error (percentage points)", xticks=np.arange(1, 13), ylim=(0, None))
axis.set_title("A cost halves the error of Nash; costs by game add little", loc="left", fontsize=11)
axis.legend(title="mean error")
plt.show()

# %% [markdown]
# The intervals do not overlap, so costs differ between games beyond doubt: the table is large. But predictions hardly
# improve, so it matters little which of the two models is used. `fit.tree` is an ArviZ `DataTree` with all groups, so all
# of ArviZ works on it. Page 06 compares models out of sample.

# %%
list(fits["by game"].tree.children)
