"""The p-beauty contest of two to twenty players with private costs of information.

Everybody guesses a number from 0 to 100 and is paid by the distance to p times the mean guess (`payoff="distance"`:
prize · (1 - (distance / 100)²)), p from 0.5 to 1.2. Costs are private and log-normal over people; a prize of 1 is
the unit of money. Train it with `bayescal train beauty-contest`.
"""

import numpy as np

import bayescal as bc


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    contests = [bc.BeautyContest(players, guesses=np.linspace(0, 100, 51)) for players in range(2, 21)]
    domain = {
        "cost": (0.001, 1.0),
        "phi.log_mean": (np.log(0.004), np.log(0.4)),
        "phi.log_sd": (0.1, 1.0),
        "params.multiplier": (0.5, 1.2),
    }
    policy = bc.AmortisedPolicy(contests, domain, population=bc.populations.LogNormal(16), width=64, depth=3)
    return bc.Recipe(
        title="p-beauty contest, 2 to 20 players, p from 0.5 to 1.2, private log-normal costs",
        about=(
            "Guesses from 0 to 100 in steps of 2. For p above 1 several equilibria exist at small costs; the policy "
            "follows the branch that starts at the prior."
        ),
        trainer=bc.SoftQExpected(policy, steps=15_000, batch=128, newton=False, outlier=1e-2),
    )
