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
# # Is the network good enough? Certificate, reweighting, simulation-based calibration
#
# A learned policy answers at once for every cost and every game of its trained domain. It is also slightly wrong everywhere.
# Whether that matters depends on the data: an error that does not show in a thousand choices may dominate in a million.
# Three questions, each with its own check:
#
# 1. before any data: how large is the error, and for how many decisions is it negligible? **the certificate**
# 2. with these data: how far is its posterior from the exact one? **reweighting**
# 3. for data like these: do its intervals cover the truth as often as they should? **simulation-based calibration**

# %%
import json
import os
import warnings

import jax
import matplotlib.pyplot as plt
import numpy as np

import bayescal as bc
from bayescal.resources import resource_path

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "2000"))
SMALL = DRAWS < 200  # to try it out
DRAWS = max(DRAWS, 200)
SHARES = (1.0,) if SMALL else (0.1, 1.0)  # of the choices

study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
game = study.environments["selten-chmura-01"]
learned, exact = bc.load_model("normal-form-2x2"), bc.ExactPolicy(game)

# %% [markdown]
# ## 1. The certificate
#
# This network answers for any 2x2 game with payoffs within ±25 and any cost from 0.1 to 100. Here are its choices in one of
# these games, Selten and Chmura's first, beside the exact solution.

# %%
params = jax.tree.map(np.array, dict(game.params))
costs = np.geomspace(0.11, 90, 60)
solve = jax.jit(jax.vmap(lambda cost: exact.solve(cost, params=params).strategies[0, 0]))
answer = jax.jit(jax.vmap(lambda cost: learned.log_prob_all(cost, None, None, params)[0, 0]))
right, said = np.array(solve(costs)), np.exp(np.array(answer(costs)))
figure, (left, below) = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
left.plot(costs, right, "k", lw=4, alpha=0.3, label="exact")
left.plot(costs, said, color="C0", label="network")
left.set(xscale="log", xlabel="cost (points per nat)", ylabel="share of Up")
left.set_title("The network is right to the eye", loc="left", fontsize=11)
left.legend()
below.plot(costs, 100 * (said - right), color="C0")
below.axhline(0, color="0.6", lw=1)
below.set(xscale="log", xlabel="cost (points per nat)", ylabel="error (percentage points)")
below.set_title(f"and off by up to {100 * np.abs(said - right).max():.2f} points", loc="left", fontsize=11)
plt.show()

# %% [markdown]
# Every shipped model has such figures for its whole domain, and a budget: the number of decisions up to which its error
# moves an estimate by less than a tenth of the posterior sd. (`bc.certify` measures a policy of your own.)

# %%
certificate = json.loads((resource_path("models", "normal-form-2x2") / "certificate.json").read_text())
print("KL(exact, learned), nats:", {k: f"{v:.1g}" for k, v in certificate["kl"].items()})
print("decisions:", certificate["decisions_below_a_tenth_of_sd"])

# %% [markdown]
# It is good in the middle of the domain and useless in its worst corners, where the exact solution jumps. Where are our
# data?
#
# ## 2. Reweighting
#
# 9,600 choices were made in this game. Draw from the posterior with the network in place of the exact solution, then weight
# the draws to the exact posterior. This takes one solution a draw, and no derivatives.


# %%
def fit_with(policy, decisions):
    model = bc.build_model(policy, bc.populations.Homogeneous(), decisions)
    return model, bc.infer(model, bc.Grid(draws=DRAWS))


def some_of(study, share):
    """A smaller experiment: so large a part of the choices."""
    table = study.decisions.table[["game", "role", "action", "n"]].astype({"action": str, "role": str, "game": str})
    table = table.assign(n=(share * table["n"]).round().astype(int))
    return bc.Decisions.from_table(table, dict(study.environments))


figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), layout="constrained")
for axis, share in zip(axes, SHARES, strict=False):
    decisions = some_of(study, share)
    model, fit = fit_with(learned, decisions)
    found = bc.reweight(fit, model, draws=min(DRAWS, 1000))
    print(f"{decisions.counts.sum():,.0f} choices: {found.verdict}\n")
    by = {"network": fit.tree, "reweighted": found.draws(DRAWS), "exact": fit_with(exact, decisions)[1].tree}
    for (name, tree), style in zip(by.items(), ("C0-", "C1--", "k:"), strict=True):
        x = np.sort(tree["posterior"]["cost"].to_numpy().ravel())
        axis.plot(x, np.linspace(0, 1, len(x)), style, label=name, lw=2)
    shift = found.summary().loc["log_cost", "shift"]
    axis.set_title(f"{decisions.counts.sum():,.0f} choices: off by {abs(shift):.2f} sd", loc="left", fontsize=11)
    axis.set(xlabel="cost (points per nat)", ylabel="posterior probability of less")
axes[0].legend()
plt.show()

# %% [markdown]
# With a tenth of the data the network is good enough. With all of them its error shows, and reweighting removes it.
#
# ## 3. Simulation-based calibration
#
# Costs are drawn from the prior, choices are simulated with the **exact** policy, and a cost is inferred with the
# **network**, many times. If the posterior is right, the truth is equally likely to have any rank among its draws. This
# checks the whole pipeline over all costs of the prior, for people who behave as the theory says. (Real people are not quite
# on its curve, see page 02, and off the curve the derivatives of the network matter too: that is why reweighting found
# more.)


# %%
def build(policy, decisions):
    priors = {"log_cost": [0.0, 1.0]}
    return bc.build_model(policy, bc.populations.Homogeneous(), decisions, hyperpriors=priors)


SIZE = {"replicates": 20, "kept": 9} if SMALL else {"replicates": 150, "kept": 49}
ranks = {}
for share in (1.0,) if SMALL else (1.0, 1000.0):  # an experiment of this size, and one a thousand times as large
    decisions = some_of(study, share)
    ranks[share] = bc.sbc(build(learned, decisions), build(exact, decisions), **SIZE)
    print(f"{decisions.counts.sum():,.0f} choices: {ranks[share].verdict}\n")

# %%
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.2), layout="constrained", sharey=True)
for axis, (share, found) in zip(axes, ranks.items(), strict=False):
    n = len(found.ranks)
    axis.hist(found.ranks["log_cost"], np.linspace(0, found.kept + 1, 11), color="C0", alpha=0.6)
    low, high = np.quantile(np.random.default_rng(0).binomial(n, 0.1, 10_000), [0.025, 0.975])
    axis.axhspan(low, high, color="0.6", alpha=0.3, lw=0)
    axis.set(xlabel="rank of the truth among the draws")
    verdict = "its error does not show" if found.calibrated else "its error shows"
    axis.set_title(f"{share * 9600:,.0f} choices: {verdict}", loc="left", fontsize=11)
axes[0].set_ylabel(f"of {n} simulated data sets")
axes[0].annotate("95% of bars, if right", (2, high), fontsize=8, va="bottom")
plt.show()

# %% [markdown]
# If the network is not good enough: use the reweighted draws; or fit with `ExactPolicy` where there is one; or train
# longer, or on a smaller domain. Without an exact solution, the certificate gives the gain of a best reply to the policy.
