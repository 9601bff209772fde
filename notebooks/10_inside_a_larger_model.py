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
# # A bayescal likelihood inside a larger NumPyro model: do numerate people have lower costs?
#
# Sixty people chose quantities in a Cournot market for 25 rounds. They also took a numeracy test. Do people with high scores
# have lower costs of information?
#
# Nobody's cost is observed: 25 choices leave it uncertain by about a quarter of a log unit. Estimating costs first and
# regressing scores on the estimates treats estimates as measurements: it ignores their uncertainty, and it ignores what the
# scores say about costs. A joint model has neither fault. `build_model` returns an ordinary NumPyro model, so the joint
# model is ten lines.
#
# The choices are bayescal's simulated set, and the scores are simulated here, so the truth is known.

# %%
import os
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayescal as bc

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
import numpyro
import numpyro.distributions as dist

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "1000"))
SMALL = DRAWS < 200  # to try it out
study = bc.load_study("cournot-simulated", where="group <= 'g004' and round <= 5" if SMALL else None)
people = study.decisions.levels("participant")
table = pd.read_csv(study.folder / "decisions.csv")
true_cost = table.groupby(table["participant"].astype(str))["cost"].first()[list(people)].to_numpy()

SLOPE = -4.0  # points of the test for each unit of log cost: what is to be found
rng = np.random.default_rng(1)
score = 20 + SLOPE * (np.log(true_cost) - 5.0) + rng.normal(0, 2.0, len(people))

# %% [markdown]
# ## The model of the choices
#
# `method="joint"` keeps each person's cost in the model; calling the model returns the costs in the order of the
# participants.

# %%
policy = bc.load_model("cournot")
choices = bc.build_model(policy, policy.population, study.decisions, method="joint")
print(choices.description)

# %% [markdown]
# ## The larger model
#
# Its own parameters, the choices, and the scores given the costs behind the choices.


# %%
def choices_and_scores():
    slope = numpyro.sample("slope", dist.Normal(0.0, 5.0))
    level = numpyro.sample("level", dist.Normal(20.0, 5.0))
    noise = numpyro.sample("noise", dist.LogNormal(np.log(2.0), 0.3))  # taken twice, such a test differs by 2 or 3
    log_cost = choices()["log_cost"]
    with numpyro.plate("participant", len(people)):
        numpyro.sample("score", dist.Normal(level + slope * (log_cost - 5.0), noise), obs=score)


settings = bc.NUTS(draws=DRAWS, warmup=min(DRAWS, 600), chains=2, seed=1)
fit = bc.infer(choices_and_scores, settings)
print(fit.status)
print(fit.summary(["slope", "level", "noise", "log_mean", "log_sd"]).iloc[:, :6].round(2))

# %% [markdown]
# ## Comparison with two steps
#
# Costs estimated from the choices alone, then a regression of scores on the estimates, beside the truth.

# %%
alone = bc.infer(choices, settings)
estimated = alone.tree["posterior"]["log_cost"].mean(("chain", "draw")).to_numpy()
two_steps, cov = np.polyfit(estimated - 5.0, score, 1, cov=True)
slope = fit.tree["posterior"]["slope"].to_numpy().reshape(-1)
low, middle, high = np.quantile(slope, [0.05, 0.5, 0.95])
print(f"the truth {SLOPE:.1f}; both at once {middle:.2f} (90% interval {low:.2f} to {high:.2f})")
print(
    f"in two steps {two_steps[0]:.2f} (90% interval {two_steps[0] - 1.645 * cov[0, 0] ** 0.5:.2f} "
    f"to {two_steps[0] + 1.645 * cov[0, 0] ** 0.5:.2f})"
)
own = lambda f: f.tree["posterior"]["log_cost"]
error = lambda f: float(np.sqrt(np.mean((own(f).mean(("chain", "draw")).to_numpy() - np.log(true_cost)) ** 2)))
print(f"error of people's log costs: {error(alone):.3f} from the choices, {error(fit):.3f} with the scores")

together = fit.tree["posterior"]["log_cost"]
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
sd = alone.tree["posterior"]["log_cost"].std(("chain", "draw")).to_numpy()
left.errorbar(np.log(true_cost), estimated, sd, fmt="o", ms=3, lw=0.7, color="0.6", label="from the choices")
left.errorbar(
    np.log(true_cost),
    together.mean(("chain", "draw")),
    together.std(("chain", "draw")),
    fmt="o",
    ms=3,
    lw=0.7,
    label="and the scores",
)
ends = [np.log(true_cost).min(), np.log(true_cost).max()]
left.plot(ends, ends, "k:", lw=1)
left.set(xlabel="true log cost (money per nat)", ylabel="posterior mean and sd")
left.set_title(
    f"Scores sharpen costs: error {error(alone):.2f} before, {error(fit):.2f} after", loc="left", fontsize=10
)
left.legend()
right.hist(slope, 40, density=True, alpha=0.6, label="both at once")
right.axvline(SLOPE, color="k", lw=1, ls=":", label="truth")
right.axvline(two_steps[0], color="C1", lw=1.5, label="two steps")
right.set(xlabel="slope (points of the test for a unit of log cost)", yticks=[], ylabel="posterior density")
right.set_title("Costs taken for known: too steep, and too sure of it", loc="left", fontsize=10)
right.legend()
plt.show()

# %% [markdown]
# The scores are informative of costs, too: on the left, each person's cost is known better with them than without. The
# joint model does this by itself. Any other part of a study can be added in the same way: response times, a second game
# played by the same people, a survey. With `method="marginal"`, only the population's parameters are shared with it.
