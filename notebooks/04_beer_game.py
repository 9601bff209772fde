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
# # Agents for your own simulation: people as an experiment shows them, with all that it leaves uncertain
#
# You have a model of a market and want to fill it with people, not with optimisers and not with made-up rules. Here a
# newsvendor experiment is turned into newsagents for a street that no experiment has seen, and a contract is tried on
# them: what happens when the publisher takes unsold papers back?
#
# Replace the first step by your own table of decisions, and the street by your own model.

# %%
import io
import os
import warnings

import jax
import numpy as np
from IPython.display import Image
from matplotlib.figure import Figure

import bayescal as bc
from bayescal.environments.newsvendor import Newsvendor

warnings.filterwarnings("ignore", category=Warning)
bc.use_cores(2)
DRAWS = int(os.environ.get("BAYESCAL_NOTEBOOK_DRAWS", "800"))


def show(figure):
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return Image(picture.getvalue())


# %% [markdown]
# ## The experiment
#
# Every morning a newsagent orders papers at 3 each, then demand is drawn (1 to 100, equally likely), and each paper sold
# brings 12. The best order is 75. People order less than that, and follow the demand of the day before (Schweitzer &
# Cachon 2000). Here 25 such people are simulated for 30 days. Each has a cost of information of its own; all share
# a habit, to start from the last order and go part of the way to the last demand.

# %%
shop = Newsvendor(price=12, cost=3, orders=range(0, 101, 5), discount=0)  # discount=0: each day for itself
policy = bc.ExactPolicy(shop, prior=bc.priors.Adaptive())
truth = {"median cost": 30.0, "sd of log cost": 0.8, "gain": 0.4, "pull": 4.0}
costs = np.random.default_rng(1).lognormal(np.log(30.0), 0.8, size=(25, 1))
table = bc.simulate(policy, groups=25, cost=costs, psi={"gain": 0.4, "pull": 4.0}, seed=2)
table.head(3)

# %% [markdown]
# ## What it says of people
#
# The costs of the 25, how costs are spread over people, and the habit are inferred together. `by="participant"` gives
# everybody a cost, `prior_parameters=True` infers the habit.

# %%
decisions = bc.Decisions.from_table(table, {"newsvendor": shop})
model = bc.build_model(
    policy, bc.populations.Homogeneous(), decisions, by="participant", prior_parameters=True, centred=True
)
fit = bc.infer(model, bc.NUTS(draws=DRAWS, warmup=300, chains=2))
print(fit.status)
print(truth)
fit.summary(["log_cost_mean", "log_cost_sd", "psi_gain", "psi_pull"])[["mean", "sd", "eti90_lb", "eti90_ub"]]

# %% [markdown]
# ## Agents
#
# New people, drawn from what was inferred. There are two kinds of not knowing, and they do different things to a market:
# people *differ*, which averages out in a street of many shops; and the experiment was *small*, which does not. So ask
# for several populations: the 100 agents of one population come from the same draw of the posterior, that is, from one
# way in which people may be.

# %%
SHOPS, STREETS, DAYS = 100, 40, 30
agents = bc.Agents.from_fit(fit, policy, n=SHOPS, populations=STREETS, seed=3)
agents.table().head(3)

# %% [markdown]
# ## Your own model
#
# A street of 100 newsagents. A customer who finds a shop sold out walks on to the next one, once. That is all of the
# model, in plain NumPy; the agents enter in one line, with what each of them has seen. All streets run side by side:
# rows are streets, columns are shops.


# %%
def street(agents, price, unit_cost, buy_back, seed=0):
    """Orders, unsold papers, turned-away customers and profit of a shop: (days, streets), means over shops."""
    rng = np.random.default_rng(seed)
    own = seen = np.zeros((STREETS, SHOPS))
    out = {"orders": [], "unsold": [], "turned away": [], "profit of a shop": []}
    for day in range(DAYS):
        # What each has seen: its own last order and last demand (these people's habit looks at nothing else).
        sight = {"own": own.ravel(), "seen": seen.ravel(), "usual": 0.0, "began": float(day > 0), "round": day}
        orders = np.asarray(agents.grid()[agents.act(jax.random.key(seed * DAYS + day), sight)]).reshape(own.shape)
        customers = rng.integers(1, 101, size=orders.shape).astype(float)
        walk_on = np.maximum(customers - orders, 0)
        come_by = np.roll(walk_on, 1, axis=1)
        sold = np.minimum(orders, customers + come_by)
        out["orders"].append(orders.mean(axis=1))
        out["unsold"].append((orders - sold).mean(axis=1))
        out["turned away"].append((customers - sold).mean(axis=1))
        out["profit of a shop"].append((price * sold + buy_back * (orders - sold) - unit_cost * orders).mean(axis=1))
        own, seen = orders, np.minimum(customers + come_by, 100)
    return {name: np.array(days) for name, days in out.items()}


today = street(agents, 12, 3, 0)


# %%
def band(axis, days, **style):
    low, middle, high = np.quantile(days, [0.05, 0.5, 0.95], axis=1)
    (line,) = axis.plot(np.arange(1, DAYS + 1), middle, **style)
    axis.fill_between(np.arange(1, DAYS + 1), low, high, color=line.get_color(), alpha=0.2, lw=0)


figure = Figure(figsize=(8, 3), layout="constrained")
for axis, name in zip(figure.subplots(1, 3), ("orders", "unsold", "turned away"), strict=True):
    band(axis, today[name])
    axis.set(title=name, xlabel="day", ylim=(0, None))
show(figure)

# %% [markdown]
# ## A new contract
#
# The publisher takes unsold papers back at a price. The same people (the same seed) are told so through the parameters
# of their game: `salvage` is what an unsold paper brings. A rational newsagent would order 75 of 100 without the
# contract and 90 at a buy-back price of 2. People move less, because what they give up by staying near their habit is
# worth less than the thought; by how much less is what the experiment tells, and how surely is what the bands tell.

# %%
prices = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
outcomes = []
for back in prices:
    told = bc.Agents.from_fit(fit, policy, n=SHOPS, populations=STREETS, seed=3, params={"salvage": back})
    outcomes.append({name: days[10:].mean(axis=0) for name, days in street(told, 12, 3, back).items()})

figure = Figure(figsize=(8, 3), layout="constrained")
for axis, name in zip(figure.subplots(1, 3), ("orders", "turned away", "profit of a shop"), strict=True):
    values = np.array([o[name] for o in outcomes])
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], axis=1)
    axis.plot(prices, middle, "o-", ms=3)
    axis.fill_between(prices, low, high, alpha=0.2, lw=0)
    if name == "orders":
        axis.plot(prices, [100 * (12 - 3) / (12 - back) for back in prices], "k--", lw=1, label="rational")
        axis.legend(frameon=False)
    axis.set(title=name, xlabel="buy-back price")
show(figure)

# %% [markdown]
# The bands are of streets: they hold what the experiment leaves open, and the chance of who lives there.
#
# ## What averages out, and what does not
#
# Agents may also be drawn each from a draw of its own (leave `populations` out). That is right for one person at a
# time. For a whole street it is not: every street then holds a bit of every way in which people may be, and the bands
# are too narrow. Compare the mean order under a buy-back price of 2:

# %%
alone = bc.Agents.from_fit(fit, policy, n=SHOPS * STREETS, seed=3, params={"salvage": 2.0})
together = bc.Agents.from_fit(fit, policy, n=SHOPS, populations=STREETS, seed=3, params={"salvage": 2.0})
for name, crowd in (("each from its own draw", alone), ("one draw a street", together)):
    orders = street(crowd, 12, 3, 2.0)["orders"][10:].mean(axis=0)
    print(f"{name}: mean order {orders.mean():.1f}, sd between streets {orders.std():.2f}")

# %% [markdown]
# In a model in JAX, `agents.act(key, seen)` goes into your own `jit`, `vmap` and `scan` as it is: the agents are a
# frozen set of arrays, and everything random follows from the key.
#
# What the agents do not know: that customers come by from next door. They believe what the experiment told them, demand
# from 1 to 100. Their habit sees the customers that come by, their judgement does not. Whether that is how people are
# is a question for another experiment.
