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
# # Cobweb: do people or markets make prices volatile?
#
# Six producers forecast a price. Their supply follows from the forecasts, and so does the price. Hommes, Sonnemans, Tuinstra
# and van de Velden (2007) ran this market in three treatments that differ in one number: how steeply supply responds to
# forecasts. Each has one rational price, nearly the same in all three. Prices were calm in the stable treatment and swung in
# the strongly unstable one. Were people worse forecasters there?
#
# Here people are observed in the stable market only. How would **they** do in the others?

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np

import bayescal as bc

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "700"))
SMALL = DRAWS < 200  # to try it out

treatments = {
    name: bc.get_game(f"cobweb-{name.replace(' ', '-')}") for name in ("stable", "unstable", "strongly unstable")
}
for name, game in treatments.items():
    print(f"{name}: rational price {game.rational_price():.2f}, slope of the naive map {game.naive_slope():.1f}")

# %% [markdown]
# With a slope beyond -1, prices overshoot if everybody expects the last price to come again, and the next price overshoots
# even more.
#
# ## The people, from the stable market
#
# The decisions are bayescal's simulated set: markets of six people, each with a cost of information. There is no exact
# solution here; a learned policy ships for any cost, any distribution of the others' costs, and any steepness.

# %%
policy = bc.load_model("cobweb")
where = "group == 'g001' and round <= 8" if SMALL else "group in ['g001', 'g002', 'g003']"
study = bc.load_study("cobweb-simulated", where=where)
# centred: 50 forecasts say more of a person's cost than the others do, and the sampler then moves more easily.
model = bc.build_model(policy, policy.population, study.decisions, centred=True)
fit = bc.infer(model, bc.NUTS(draws=DRAWS, warmup=min(DRAWS, 400), chains=2, seed=1))
print(fit.status)
fit.summary(["log_mean", "log_sd"])[["mean", "sd", "eti90_lb", "eti90_ub"]].round(2)

# %% [markdown]
# ## The same people in all three markets
#
# Below are markets of people with these costs and, for comparison, of people who always expect the last price to come
# again.


# %%
def market(treatment, phi, habit=None, groups=1, seed=0):
    """Prices of so many markets: (groups, rounds)."""
    kappa = {"kappa": treatments[treatment].kappa}
    table = bc.simulate(policy, phi=phi, psi=habit, params=kappa, groups=groups, seed=seed, rounds=8 if SMALL else None)
    return (
        table[table["participant"].str.endswith("p1")].pivot(index="group", columns="round", values="price").to_numpy()
    )


middle = {n: float(fit.tree["posterior"][n].mean()) for n in ("log_mean", "log_sd")}
naive = {"phi": {"log_mean": 7.5, "log_sd": 0.5}, "habit": {"gain": 1.0, "pull": 20.0}}
figure, axes = plt.subplots(2, 3, figsize=(9.5, 4.6), sharex=True, sharey=True, layout="constrained")
for column, (name, game) in enumerate(treatments.items()):
    for row, (who, people) in enumerate({"as inferred": {"phi": middle}, "naive": naive}.items()):
        prices = market(name, **people)[0]
        axes[row, column].axhline(game.rational_price(), color="k", ls=":", lw=1)
        axes[row, column].plot(np.arange(1, len(prices) + 1), prices, "o-", ms=2, lw=1, color=("C0", "C3")[row])
        axes[row, 0].set_ylabel(f"people {who}\nprice" if row == 0 else "naive people\nprice")
    axes[0, column].set_title(name, fontsize=11)
    axes[1, column].set_xlabel("round")
axes[0, 0].annotate("dotted: the rational price", (0, 1.0), fontsize=8, va="top")
figure.suptitle("The same people are calm in one market and restless in another", x=0.01, ha="left")
figure.savefig("cobweb.png", dpi=75)
plt.show()

# %% [markdown]
# ## How much would prices vary?
#
# Rational people leave only the noise, a variance of 0.25. For each draw of the posterior ten markets are simulated. The
# spread over draws is the uncertainty that eighteen people leave.

# %%
GROUPS = 2 if SMALL else 10


def excess(treatment, phi, seed=0, **more):
    """Variance of prices, over that of the noise."""
    prices = market(treatment, phi, groups=GROUPS, seed=seed, **more)
    return float(np.mean((prices - treatments[treatment].rational_price()) ** 2)) / 0.25


flat = {n: fit.tree["posterior"][n].to_numpy().ravel() for n in ("log_mean", "log_sd")}
some = np.linspace(0, len(flat["log_mean"]) - 1, 2 if SMALL else 25).astype(int)
truth = {"log_mean": 5.5, "log_sd": 0.5}
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
predicted = {}
for at, name in enumerate(treatments):
    predicted[name] = [excess(name, {n: float(x[d]) for n, x in flat.items()}, seed=int(d)) for d in some]
    low, mid, high = np.quantile(predicted[name], [0.05, 0.5, 0.95])
    axis.vlines(
        at, low, high, color="C0", lw=10, alpha=0.35, label="predicted from the stable market, 90%" if at == 0 else None
    )
    axis.plot(at, mid, "_", color="C0", ms=22, mew=2)
    axis.plot(at, excess(name, truth, seed=99), "D", color="C1", label="the true people" if at == 0 else None)
    axis.plot(
        at,
        excess(name, naive["phi"], habit=naive["habit"]),
        "x",
        color="C3",
        mew=2,
        label="naive people" if at == 0 else None,
    )
axis.axhline(1, color="k", ls=":", label="rational people")
axis.set(yscale="log", xlim=(-0.5, 2.5), ylabel="variance of prices, over that of the noise")
axis.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
axis.set_xticks(range(3), list(treatments))
axis.legend(fontsize=8)
axis.set_title("It is the market: steeper supply makes the same errors cost more", loc="left", fontsize=11)
plt.show()

# %% [markdown]
# ## What would calm the markets?
#
# Cheaper information: for example, a forecasting service that halves the cost. The band shows where the stable market puts
# the typical cost.

# %%
costs = np.geomspace(120, 2000, 2 if SMALL else 7)
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, colour in zip(treatments, ("C2", "C1", "C3"), strict=True):
    ratios = [excess(name, {"log_mean": float(np.log(cost)), "log_sd": middle["log_sd"]}) for cost in costs]
    axis.plot(costs, ratios, "o-", color=colour, ms=4, label=name)
axis.axvspan(
    *np.exp(np.quantile(flat["log_mean"], [0.05, 0.95])), color="C0", alpha=0.2, lw=0, label="people as inferred"
)
axis.axhline(1, color="k", ls=":", label="rational people")
axis.set(xscale="log", yscale="log", xlabel="typical cost of information (points per nat)")
axis.set_xticks([50, 100, 200, 500, 1000, 2000], ["50", "100", "200", "500", "1000", "2000"])
axis.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
axis.set_ylabel("variance of prices, over that of the noise")
axis.set_title("Cheaper thinking calms every market, the steepest one most", loc="left", fontsize=11)
axis.legend(fontsize=8)
plt.show()

# %% [markdown]
# The agents know the distribution of the others' costs, and what they have seen lately says a little more about those whom
# they are with. With data from all three treatments, the assumption that people are the same in each can be tested: pass
# `groups="treatment"` to `build_model`, and compare.
