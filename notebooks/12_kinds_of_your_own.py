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
# # A kind of your own: game, habit, population, rival model, reader
#
# Each kind is one class (or one object) and one line of registration. It then has a name in Python, in `dataset.toml` and
# on the command line. Put all of it into a file `game.py` in the folder of a study: `bayescal calibrate my-study --trust`
# runs that file. Without `--trust` nothing in a study runs.

# %%
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="IProgress not found")  # a progress bar that is not used here

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bayescal as bc
from bayescal.comparison.rivals import RIVALS, Rival
from bayescal.comparison.rivals.base import lapse_hyperprior
from bayescal.domain import POSITIVE
from bayescal.environments.base import symmetric_fields
from bayescal.environments.named import GAMES, NamedGame
from bayescal.policies.base import Policy
from bayescal.populations import POPULATIONS, Population
from bayescal.priors import HABITS
from bayescal.priors.base import Tilt
from bayescal.study.readers import READERS, Reader, Reading
from bayescal.study.readers.raw import raw_table

# %% [markdown]
# ## A game
#
# A Tullock contest: effort buys a share of the prize. Only the payoffs of a joint action are needed. Fields that are
# numbers, like `prize`, are the game's parameters. (Notebook 7 trains a policy for this game.)


# %%
class Contest(bc.OneShot):
    """payoff = prize · effort / (sum of all efforts) - effort"""

    prize: float

    def __init__(self, players: int = 2, prize: float = 12.0, efforts: tuple[float, ...] = tuple(range(0, 11, 2))):
        self.prize = float(prize)
        vars(self).update(symmetric_fields("contest", "contestant", players, efforts, ordered=True))

    def payoffs(self, joint_action, params):
        effort = jnp.asarray(self.action_values[0])[joint_action]
        total = jnp.sum(effort)
        share = jnp.where(total > 0, effort / jnp.where(total > 0, total, 1.0), 1 / self.players)
        return params["prize"] * share - effort


GAMES.register("contest", NamedGame("Contest for a prize", "Tullock (1980)", 2, "6 efforts", Contest))
print(bc.equilibrium(bc.get_game("contest"), cost=1.0).strategies.round(2))

# %% [markdown]
# ## A habit
#
# A default choice distribution with parameters. It states where its parameters lie, their defaults and hyperpriors, and at
# which values it is uniform.


# %%
class Thrift(Tilt):
    """q(effort) ∝ exp(-thrift · effort / largest effort)"""

    @property
    def parameters(self):
        return {"thrift": POSITIVE}

    @property
    def defaults(self):
        return {"thrift": 1.0}

    def default_hyperpriors(self, payoff_scale):
        return {"thrift": dist.HalfNormal(3.0)}

    @property
    def flat_parameters(self):
        return {"thrift": 0.0}

    def log_weight(self, observation, psi, *, role, action_values):
        return -psi["thrift"] * action_values / action_values[-1]


HABITS.register("Thrift", Thrift)
thrifty = bc.ExactPolicy(bc.get_game("contest"), prior=Thrift())
print(thrifty.solve(1.0, psi={"thrift": 2.0}).strategies.round(2))

# %% [markdown]
# ## A population
#
# A distribution of costs: its parameters and their hyperpriors, a density, a sampler and a quadrature. Hyperpriors scale
# with the spread of payoffs, because costs are in money.

# %%
NODES, WEIGHTS = np.polynomial.laguerre.laggauss(24)


class Exponential(Population):
    """Costs with density exp(-cost / mean) / mean."""

    @property
    def parameters(self):
        return {"mean": POSITIVE}

    def default_hyperpriors(self, payoff_scale):
        return {"mean": dist.LogNormal(np.log(payoff_scale / 10), 1.5)}

    def log_density(self, cost, phi):
        return -cost / phi["mean"] - jnp.log(phi["mean"])

    def sample(self, key, phi, shape=()):
        return phi["mean"] * jax.random.exponential(key, shape)

    def quadrature(self, phi):
        return phi["mean"] * jnp.asarray(NODES), jnp.asarray(WEIGHTS)


POPULATIONS.register("Exponential", Exponential)
crowd = bc.ExactPolicy(bc.get_game("contest"), population=Exponential())
print(crowd.solve(phi={"mean": 1.0}).strategies.round(2))

# %% [markdown]
# ## A reader
#
# From the file of somebody's data set to a table with one row a decision, and the games in it.


# %%
def read(path, options):
    raw = raw_table(path, ("subject", "effort"))
    return Reading(raw.rename(columns={"subject": "participant", "effort": "action"}), {"contest": Contest(**options)})


EXAMPLE = "subject,effort\na,2\nb,4\n"
READERS.register("contest-lab", Reader(read, ("subject", "effort"), ("effort",), ("subject",), EXAMPLE))

played = bc.simulate(crowd, phi={"mean": 1.0}, groups=20, rounds=10, seed=1)
folder = Path(tempfile.mkdtemp())
played[["participant", "action"]].set_axis(["subject", "effort"], axis=1).to_csv(folder / "lab.csv", index=False)
(folder / "dataset.toml").write_text(
    '[meta]\ntitle = "Contests"\nreader = "contest-lab"\nfile = "lab.csv"\n[model]\npopulation = "Exponential"\n'
)
study = bc.load_study(folder)
print(study.decisions.total, "decisions by", len(study.decisions.levels("participant")), "people")

# %% [markdown]
# ## A rival model
#
# A rival model of your own: a policy, its hyperpriors and a sentence. `bayescal compare` then includes it.


# %%
class TokenEffort(Policy):
    """Everybody makes the smallest effort above zero."""

    environment: bc.Environment

    def log_prob(self, observation, cost, phi, psi, params):
        actions = self.environment.mask.shape[1]
        return jnp.where(jnp.arange(actions) == 1, 0.0, -jnp.inf)

    def log_prior(self, psi=None):
        return jnp.zeros(self.environment.mask.shape)


RIVALS.register(
    "token effort",
    Rival(
        "token effort",
        "Everybody makes the smallest effort above zero, with lapses.",
        lambda field: field.typed(TokenEffort(field.game), lapse_hyperprior(), "A token effort, with lapses"),
    ),
)
rivals = bc.rivals(study, only=["token effort", "common cost"])
for name, model in rivals.models.items():
    print(f"{name}: {model.description}")

# %% [markdown]
# The laws in `tests/laws` run on every registered kind: probabilities add up, gradients equal finite differences, replayed
# play is what people observed, and so on. A kind that is registered in `game.py` can be given to the same functions.
