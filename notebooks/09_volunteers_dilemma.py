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
# # The volunteer's dilemma: is help less likely with more bystanders?
#
# One volunteer is enough for everybody to get a dollar; volunteering costs 20 cents, and without a volunteer all get 20
# cents. In the mixed equilibrium each waits for the others: the more bystanders, the **more** often nobody helps. Goeree,
# Holt and Smith (2017) put 202 people into groups of 2 to 12, twenty rounds with strangers. Does theory hold, and do all
# people behave alike?
#
# The data are public but do not ship with bayescal: `bayescal data add volunteers-dilemma` says which file to put where.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np

import bayescal as bc

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "1000"))
SMALL = DRAWS < 200  # to try it out

study = bc.load_study("volunteers-dilemma", where="group_size == 12" if SMALL else None)
table = study.decisions.table.assign(helps=lambda t: t["action"].astype(str) == "volunteer")
sizes = {name: game.players for name, game in study.decisions.environments.items()}
table["size"] = table["game"].astype(str).map(sizes)

# %% [markdown]
# ## Two models
#
# *One cost*: the cost of information is the same for everybody, and all know it. *Different costs*: each person has a
# private cost; the others know the distribution of costs. Costs are integrated out and drawn afterwards, so two hundred
# people take no longer to sample than two numbers.

# %%
game = next(iter(study.decisions.environments.values()))
crowd = bc.populations.LogNormal()
models = {
    "one cost": bc.build_model(bc.ExactPolicy(game), bc.populations.Homogeneous(), study.decisions),
    "different costs": bc.build_model(bc.ExactPolicy(game, population=crowd), crowd, study.decisions),
}
settings = bc.NUTS(draws=DRAWS, warmup=min(DRAWS, 300), chains=2, seed=1)
if SMALL:
    del models["one cost"]
    settings = bc.Grid(draws=DRAWS)
fits = {name: bc.infer(model, settings) for name, model in models.items()}
for name, fit in fits.items():
    print(f"{name}: {fit.status}")
fits["different costs"].summary(["log_mean", "log_sd"])[["mean", "sd", "eti90_lb", "eti90_ub"]].round(2)

# %% [markdown]
# ## More bystanders, less help?
#
# Each person volunteers less in a larger group, but the decline is much smaller than in the Nash equilibrium, so help is
# more likely. Both models predict this in the larger groups; in pairs and threes people volunteer less than either predicts.
# (The chance that nobody helps is computed for as many strangers as a group has members.)

# %%
n = np.array(sorted(sizes.values()))
nash = 1 - 0.25 ** (1 / (n - 1))  # waiting and volunteering pay the same
seen = table.groupby("size")["helps"].mean()[n].to_numpy()


def predicted(fit):
    """Share of volunteers by draw and group size, and by draw and person."""
    choices = fit.tree["posterior_predictive"]["choices"].stack(at=("chain", "draw")).transpose("at", "cell", "action")
    helped, all_ = choices.to_numpy()[:, :, 0], choices.to_numpy().sum(axis=2)
    cells = study.decisions.cells
    size = cells["game"].astype(str).map(sizes).to_numpy()
    by_size = np.stack([helped[:, size == k].sum(axis=1) / all_[:, size == k].sum(axis=1) for k in n], axis=1)
    return by_size, helped / all_


figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
for axis, turn, label in (
    (axes[0], lambda p: p, "share who volunteer"),
    (axes[1], lambda p: (1 - p) ** n, "chance that nobody helps"),
):
    axis.plot(n, turn(nash), "k:", label="Nash")
    for (name, fit), colour in zip(fits.items(), ("C2", "C0"), strict=False):
        low, middle, high = np.quantile(turn(predicted(fit)[0]), [0.05, 0.5, 0.95], axis=0)
        axis.fill_between(n, low, high, color=colour, alpha=0.3, lw=0)
        axis.plot(n, middle, color=colour, label=f"{name}, 90%")
    axis.plot(n, turn(seen), "o", color="C1", label="people")
    axis.set(xlabel="people in the group", ylabel=label, ylim=(0, None), xticks=n)
axes[0].legend(fontsize=8)
axes[0].set_title("In larger groups each volunteers less", loc="left", fontsize=11)
axes[1].set_title("and yet help is surer: Nash has it the other way", loc="left", fontsize=11)
plt.show()

# %% [markdown]
# ## Do all people behave alike?
#
# Both models reproduce the averages. They differ in what they predict for each person: with one cost, everybody in a group of
# one size volunteers equally often, up to chance.
#
# That people differ does not say that they weigh payoffs. A logit that knows no payoffs, in which each person leans to
# volunteering or not by a normal effect, predicts a person who is left out with -1982 nats; with effects of group sizes as
# well, -1967. Private costs of information with an inferred habit come to -1979, and the cognitive hierarchy to -2065.
# `bayescal compare volunteers-dilemma` fits these and more, and says first what each ingredient is worth.

# %%
cells = study.decisions.cells
own = study.decisions.counts[:, 0] / study.decisions.counts.sum(axis=1)
edges = np.linspace(0, 1, 11)
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
axis.hist(own, edges, color="C1", alpha=0.5, label="people")
for (name, fit), colour in zip(fits.items(), ("C2", "C0"), strict=False):
    if name == "one cost":  # of nobody in particular: each person's share is drawn from the group's
        share = predicted(fit)[0].mean(axis=0)[np.searchsorted(n, cells["game"].astype(str).map(sizes).to_numpy())]
        drawn = np.random.default_rng(1).binomial(20, share, (len(own), len(own)) if SMALL else (400, len(own))) / 20
    else:
        drawn = predicted(fit)[1][::5]
    counts = np.array([np.histogram(d, edges)[0] for d in drawn])
    low, middle, high = np.quantile(counts, [0.05, 0.5, 0.95], axis=0)
    centre = (edges[1:] + edges[:-1]) / 2
    axis.errorbar(centre, middle, [middle - low, high - middle], fmt="o-", ms=4, color=colour, label=f"{name}, 90%")
axis.set(xlabel="how often a person volunteers (share of 20 rounds)", ylabel="people")
axis.set_title("They do not: many hardly ever volunteer, a few nearly always do", loc="left", fontsize=11)
axis.legend()
plt.show()

# %% [markdown]
# ## Thousands of people
#
# How many people does it take to learn the distribution of costs? Below are simulated populations with the inferred costs.
# `method="compressed"` first turns each person's decisions into a few polynomials (with measured error); sampling then takes
# as long for thousands of people as for dozens.

# %%
posterior = fits["different costs"].tree["posterior"]
truth = {name: float(posterior[name].mean()) for name in ("log_mean", "log_sd")}
twelve = bc.ExactPolicy(study.decisions.environments["12 players"], population=crowd)
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for groups in (5,) if SMALL else (5, 50, 500):
    played = bc.simulate(twelve, groups=groups, rounds=20, phi=truth, seed=1)
    decisions = bc.Decisions.from_table(played, {"12 players": twelve.environment})
    fit = bc.infer(bc.build_model(twelve, crowd, decisions, method="compressed"), settings)
    print(f"{12 * groups:,} people: {fit.status}")
    draws = [fit.tree["posterior"][name].to_numpy().ravel() for name in ("log_mean", "log_sd")]
    axis.plot(np.exp(draws[0]), draws[1], ".", ms=2, alpha=0.5, label=f"{12 * groups:,} people")
axis.plot(np.exp(truth["log_mean"]), truth["log_sd"], "k+", ms=12, mew=2, label="the truth")
axis.set(xscale="log", xlabel="typical cost (dollars per nat)", ylabel="spread (sd of log cost)")
axis.set_title("The more people, the sharper the picture of how costs are spread", loc="left", fontsize=11)
for handle in axis.legend(fontsize=8).legend_handles:
    handle.set_markersize(8)
plt.show()
