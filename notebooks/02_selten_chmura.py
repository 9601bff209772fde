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
# # A first fit: what did thinking cost Selten & Chmura's subjects?
#
# Two players, two actions each, no equilibrium in pure strategies: nobody can be sure of anything. Selten & Chmura (2008)
# had hundreds of people play twelve such games for 200 rounds. We ask how costly information must have been for them to
# choose as they did. You need statistics for this page; you do not need to know JAX.

# %%
import io
import os
import warnings

from IPython.display import Image

import bayescal as bc

# What ArviZ warns of below is in the table that it prints; the other warning is about missing notebook widgets.
warnings.filterwarnings("ignore", category=Warning)

bc.use_cores(2)  # two chains at once: say so before anything numeric happens
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "2000"))


def show(figure):
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return Image(picture.getvalue())


# %% [markdown]
# ## A game, a cost, an equilibrium
#
# With cost $\lambda$ (payoff points per nat of information) a player chooses
# $\pi(a) \propto q(a)\, e^{U(a)/\lambda}$: the habit $q$, tilted towards what pays. Everybody does so at once.

# %%
game = bc.get_game("selten-chmura-01")
for cost in (100.0, 1.0, 0.01):
    solved = bc.equilibrium(game, cost)
    print(f"cost {cost:>6}: P(Up) = {solved.strategies[0, 0]:.3f}, P(Left) = {solved.strategies[1, 0]:.3f}")

# %% [markdown]
# An infinite cost is habit (one half each); a vanishing one is the Nash equilibrium (1/11 and 10/11). Between them
# lies a curve, and the data should be near some point of it if the theory is right. The curve is one call for all costs:

# %%
import jax
import numpy as np
from matplotlib.figure import Figure

policy = bc.ExactPolicy(game)
costs = np.geomspace(0.02, 100, 200)
curve = np.asarray(jax.jit(jax.vmap(lambda c: policy.solve(c).strategies))(costs))

study = bc.load_study("selten-chmura")
shares = study.decisions.describe().loc["selten-chmura-01"]
fig = Figure(figsize=(6, 4), layout="constrained")
ax = fig.subplots()
ax.plot(curve[:, 0, 0], curve[:, 1, 0], color="#0072B2", label="equilibria, by cost")
ax.plot(shares.loc["row", "Up"], shares.loc["column", "Left"], "o", color="#D55E00", label="what people did")
ax.plot(1 / 11, 10 / 11, "x", color="#009E73", label="Nash")
ax.set(xlabel="share of Up", ylabel="share of Left")
ax.legend(frameon=False)
show(fig)

# %% [markdown]
# ## From decisions to a posterior
#
# `build_model` returns an ordinary NumPyro model. Here every game has its own cost, and the costs share a population:
# $\log\lambda_g \sim N(\mu, \sigma^2)$. The priors are those of the study; write your own by naming the site.

# %%
model = bc.build_model(
    policy,
    bc.populations.Homogeneous(),
    study.decisions,
    by="game",
    hyperpriors={"log_cost_mean": [1.52, 1.41], "log_cost_sd": 1.0},
)
print(model.description)
fit = bc.infer(model, bc.NUTS(draws=DRAWS, chains=2, seed=1))
print(fit.status)
fit.summary(["cost"]).round(3)

# %% [markdown]
# `fit.tree` is an ArviZ `DataTree` with every group, so whatever you know of ArviZ works on it.

# %%
list(fit.tree.children)

# %%
import arviz as az

az.loo(fit.tree)

# %% [markdown]
# Each cell here pools thousands of choices of many people, so leaving one out is a large step, and ArviZ warns where it
# is too large for importance sampling. With decisions by participant the same call is about people.

# %%
from bayescal.report.figures import cost_forest

show(cost_forest({"by game": fit}, study.units))

# %% [markdown]
# One cost for all twelve games will not do: the intervals of game 9 and game 2 are far apart. `bayescal calibrate
# selten-chmura` makes this comparison and writes it up.
#
# ## Keep it

# %%
import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    path = fit.save(Path(folder) / "by-game.nc")
    again = bc.Fit.load(path)
assert again.status == fit.status
