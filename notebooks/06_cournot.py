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
# # Cournot: which of six models predicts people best?
#
# Three firms choose quantities; the price falls with their total. In the Nash equilibrium each sells 24.75. Suppose that
# people sell something else, and not all the same. They may err at random, information may be costly (equally or not for
# all), or people may think a limited number of steps ahead. Each of these can be fitted to any table; the question is which
# predicts best **out of sample**.
#
# The decisions are bayescal's simulated set, so we know which model should win: each person has a cost.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np

import bayescal as bc

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "1500"))
SMALL = DRAWS < 200  # to try it out

where = "group in ['g001', 'g002'] and round <= 5" if SMALL else None
study = bc.load_study("cournot-simulated", where=where)
quantities = study.decisions.table["action"].astype(str).astype(float)
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
axis.hist(quantities, np.arange(-1, 62, 2), color="C1", alpha=0.6)
axis.axvline(24.75, color="k", ls=":", label="Nash: 24.75")
axis.axvline(quantities.mean(), color="C1", label=f"mean: {quantities.mean():.1f}")
axis.set(xlabel="quantity (units)", ylabel="decisions")
axis.set_title(
    f"{len(quantities):,} quantities of {len(study.decisions.levels('participant'))} people", loc="left", fontsize=11
)
axis.legend()
plt.show()

# %% [markdown]
# ## Six models
#
# | name | people … |
# |---|---|
# | prior only | follow a habit, whatever it pays |
# | rational | play Nash, with lapses |
# | common cost | have the same cost of information (quantal response equilibrium) |
# | different costs | have private costs of information |
# | level-k | reply to people who think one step less, with lapses |
# | cognitive hierarchy | reply, with errors, to a mixture of people who think fewer steps |
#
# All are models of the same decisions on the same grid. `compare_study` fits them and computes for each the log predictive
# density of a person's decisions when these are left out (one nat more is a probability 2.7 times as high).

# %%
names = ["prior only", "rational", "common cost", "different costs", "level-k", "cognitive hierarchy"]
fits, comparison = bc.compare_study(
    study, only=names[:4:3] if SMALL else names, draws=DRAWS, warmup=min(DRAWS, 500), chains=2, seed=1
)
print(comparison.verdict)
comparison.table[["elpd", "difference", "difference_se", "weight", "k_hat", "excluded"]].round(2)

# %% [markdown]
# `k_hat` says whether leave-one-out scores can be computed from the posterior draws (below 0.7 they can). `excluded` marks
# a fit that did not pass its own checks and is left out of the verdict. `weight` is the share of each model in the mixture
# that predicts best.

# %%
table = comparison.table.iloc[::-1]
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained", width_ratios=(1.3, 1))
rows = np.arange(len(table))
left.errorbar(table["difference"], rows, xerr=table["difference_se"], fmt="o", color="C0", capsize=3)
left.axvline(0, color="0.6", lw=1)
left.set_xscale("symlog", linthresh=20)
ticks = [-500, -100, -30, -10, 0]
left.set_xticks(ticks, [str(t) for t in ticks])
left.set_xlim(right=3)
left.set_yticks(rows, table.index)
left.set_xlabel("log predictive density, difference to the best\n(nats, all people together, ± 1 se)")
left.set_title(f"{comparison.best} predicts best", loc="left", fontsize=11)
names_ = list(comparison.pointwise.columns)
gain = np.sort(comparison.pointwise[names_[0]] - comparison.pointwise[names_[1]])
right.bar(np.arange(len(gain)), gain, color=np.where(gain > 0, "C0", "C3"))
right.set(xlabel=f"people, in the order of the gain over\n{names_[1]}", ylabel="gain (nats a person)")
right.set_title(
    f"ahead by {gain[gain > 0].sum():.0f} nats where it gains,\nbehind by {-gain[gain < 0].sum():.0f} where it loses",
    loc="left",
    fontsize=10,
)
figure.savefig("comparison.png", dpi=90)
plt.show()

# %% [markdown]
# ## In plain units
#
# How often is a new person's decision the most likely one, how far off is the mean prediction, and how many nats does a
# decision cost? No model can come below the `floor`, which is the variation in what people do in the same situation.

# %%
comparison.scores.round(3)

# %% [markdown]
# Are the probabilities calibrated? Of all decisions that were predicted with a chance of 5%, one in twenty should have
# happened.

# %%
figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
shown = [comparison.best or names_[0], "rational"]
for name, colour in zip(shown, ("C0", "C3"), strict=True):
    dots = comparison.calibration[comparison.calibration["model"] == name]
    if len(dots):
        error = [dots["observed"] - dots["low"], dots["high"] - dots["observed"]]
        axis.errorbar(dots["predicted"], dots["observed"], np.abs(error), fmt="o", color=colour, label=name, ms=4)
top = float(comparison.calibration["high"].max())
axis.plot([0, top], [0, top], "k:", lw=1)
axis.set(xlabel="predicted probability of a quantity", ylabel="share of decisions in which it was chosen")
axis.set_title("Predicted probabilities, and what happened", loc="left", fontsize=11)
axis.legend()
plt.show()

# %% [markdown]
# `bayescal compare cournot-simulated` does the same for some twenty models and writes the report: models without payoffs
# (how often is each quantity chosen? do people lean to a quantity of their own?) are always among them, and behaviours
# compete with the same habits and with people who differ as far as they can. What each ingredient is worth comes first,
# in `comparison.ingredients`. `--plan` says which models would be fitted; `--full` fits the whole cross. Models that do
# not apply to a study are left out, with the reason.
