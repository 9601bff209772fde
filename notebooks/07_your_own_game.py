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
# # Your own game: what does a game need that is not in the package?
#
# A rent-seeking contest (Tullock 1980): two people spend effort on a prize that one of them wins, with chances in proportion
# to effort. It is not in the package. Below, some forty lines define it and some seconds train a policy for it: for every
# cost of information, every distribution of costs and every size of the prize in a domain. The policy is then used in a
# NumPyro model like any other.
#
# Define it, train it, certify it, infer with it: the same four steps for any game.

# %%
import os
import warnings

import equinox as eqx
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import bayescal as bc
from bayescal.environments.base import symmetric_fields

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False})
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "1000"))
SMALL = DRAWS < 200  # to try it out

# %% [markdown]
# ## The rules
#
# A game defines who plays, on which grid of actions, and what is paid; nothing else. `params` are the numbers that may vary
# between markets and may be inferred; everything static is in `symmetric_fields`. `expected_payoffs` is each action's payoff
# against the others' mixed strategies: with it SoftQ takes exact expectations over the others' play.


# %%
class Contest(bc.OneShot):
    """Two players spend x and y; the first wins the prize with probability x / (x + y)."""

    prize: float
    name: str = eqx.field(static=True)
    role_names: tuple[str, ...] = eqx.field(static=True)
    role_counts: tuple[int, ...] = eqx.field(static=True)
    action_values: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    action_labels: tuple[tuple[str, ...], ...] = eqx.field(static=True)
    ordered: bool = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    discount: float = eqx.field(static=True)

    def __init__(self, prize=10.0, efforts=tuple(range(11))):
        self.prize = float(prize)
        vars(self).update(symmetric_fields("contest", "contestant", 2, efforts, ordered=True))

    @property
    def params(self):
        return {"prize": np.asarray(self.prize)}

    def payoff_scale(self, params):
        return jnp.asarray(params["prize"])

    def win(self, own, other):
        return jnp.where(own + other > 0, own / jnp.maximum(own + other, 1e-9), 0.5)

    def payoffs(self, joint_action, params):
        x, y = jnp.asarray(self.action_values[0])[joint_action]
        return params["prize"] * jnp.stack([self.win(x, y), self.win(y, x)]) - jnp.stack([x, y])

    def expected_payoffs(self, strategies, params):
        x = jnp.asarray(self.action_values[0])
        chances = self.win(x[:, None], x[None, :]) @ strategies[0]
        return (params["prize"] * chances - x)[None]


# %% [markdown]
# ## The policy and its trained domain
#
# Each person's cost of information is private, log-normal over people. The network answers for every prize from 8 to 16 and
# every population in the domain, and refuses everything else.

# %%
policy = bc.AmortisedPolicy(
    Contest(),
    {
        "cost": (0.1, 10.0),
        "phi.log_mean": (np.log(0.2), np.log(5.0)),
        "phi.log_sd": (0.1, 1.0),
        "params.prize": (8.0, 16.0),
    },
    population=bc.populations.LogNormal(16),
)
trained = bc.train(bc.SoftQExpected(policy, steps=100 if SMALL else 4000, batch=128))
print(f"{trained.seconds_training:.0f} s of training after {trained.seconds_compiling:.0f} s of compilation")

# %% [markdown]
# To keep it, put a `recipe()` like those of the shipped models into `my-game/experiment.py`. `bayescal train my-game/` then
# shows progress, can be interrupted and resumed, and writes weights, certificate and card.
#
# ## Can it be trusted?
#
# The game has an exact solution (slower, one population and prize at a time), so the network can be compared with it. The
# last figure matters most: the number of decisions up to which the network's error stays below a tenth of the posterior
# sd.

# %%
certificate = bc.certify(trained.policy, points=4 if SMALL else 200)
print("KL(exact, learned), nats:", certificate["kl"])
print("at the corners of the box:", certificate["corner_kl"])
print("decisions:", certificate["decisions_below_a_tenth_of_sd"])

# %% [markdown]
# ## What it has learned
#
# Habit at high costs; at low costs the equilibrium effort, a quarter of the prize.

# %%
crowd = bc.ExactPolicy(Contest(12.0), population=bc.populations.LogNormal(16))
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for axis, log_sd in zip(axes, (0.1, 1.0), strict=True):
    for median in (0.2, 1.0, 5.0):
        phi = {"log_mean": np.log(median), "log_sd": log_sd}
        learned = np.exp(trained.policy.log_prob_all(None, phi, None, {"prize": 12.0}))[0]
        (line,) = axis.plot(learned, "-", label=f"{median:g}")
        axis.plot(crowd.solve(phi=phi).strategies[0], "o", color=line.get_color(), ms=4)
    axis.axvline(3, color="k", ls=":", lw=1)
    axis.set(xlabel="effort (units of money)")
    axis.set_title(f"people {'nearly alike' if log_sd < 0.5 else 'very different'}", loc="left", fontsize=11)
axes[0].set_ylabel("probability")
axes[0].legend(title="median cost (money per nat)\nlines learned, dots exact", fontsize=8, title_fontsize=8)
axes[1].annotate("Nash: 3", (3.3, 0.5), fontsize=9)
figure.suptitle("The network plays what the exact solution plays, for a prize of 12", x=0.01, ha="left")
plt.show()

# %% [markdown]
# ## Inference with it
#
# Two hundred simulated people with a median cost of 0.8, each in ten contests. The learned policy is used in place of an
# `ExactPolicy`; the two posteriors should differ by a small part of their sd.

# %%
rng = np.random.default_rng(1)
truth = {"log_mean": np.log(0.8), "log_sd": 0.6}
payoffs = np.asarray(crowd.solve(phi=truth).expected_payoffs[0])
rows = []
for person in range(20 if SMALL else 200):
    cost = np.exp(rng.normal(truth["log_mean"], truth["log_sd"]))
    p = np.exp(payoffs / cost - np.max(payoffs / cost))
    efforts = rng.choice(11, size=10, p=p / p.sum())
    rows += [(f"p{person:03d}", t, effort) for t, effort in enumerate(efforts)]
table = pd.DataFrame(rows, columns=["participant", "round", "action"])
decisions = bc.Decisions.from_table(table, {"contest": Contest(12.0)})

fits = {}
for name, likelihood in {"learned": trained.policy, **({} if SMALL else {"exact": crowd})}.items():
    model = bc.build_model(likelihood, bc.populations.LogNormal(16), decisions)
    fits[name] = bc.infer(model, bc.NUTS(draws=DRAWS, warmup=min(DRAWS, 300), chains=2))
    print(f"{name}: {fits[name].status}")

figure, axis = plt.subplots(figsize=(6, 3.8), layout="constrained")
for (name, fit), colour in zip(fits.items(), ("C0", "C1"), strict=False):
    draws = fit.tree["posterior"]
    axis.plot(
        np.exp(draws["log_mean"]).to_numpy().ravel(),
        draws["log_sd"].to_numpy().ravel(),
        ".",
        ms=3,
        alpha=0.4,
        color=colour,
        label=f"{name} policy",
    )
axis.plot(np.exp(truth["log_mean"]), truth["log_sd"], "k+", ms=14, mew=2, label="the truth")
axis.set(xlabel="median cost (money per nat)", ylabel="spread (sd of log cost)")
axis.set_title("Both policies say the same of people", loc="left", fontsize=11)
for handle in axis.legend().legend_handles:
    handle.set_markersize(8)
plt.show()
