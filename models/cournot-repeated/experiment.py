"""Cournot duopoly over 25 rounds with the same rival: firms see what the market brought before they choose again.

The market is that of Huck, Normann & Oechssler (1999, 2004), P = max(100 - Q, 0) at a unit cost of 1. Each firm's cost
of information is private, log-normal over firms; the habits are the own last quantity and imitation of
the other's. Train it with `bayescal train cournot-repeated`.
"""

import numpy as np

import bayescal as bc


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    domain = {
        "cost": (10.0, 10_000.0),  # money per nat; joint profits are at most 2,450
        "phi.log_mean": (np.log(50.0), np.log(2000.0)),
        "phi.log_sd": (0.1, 1.0),
        "psi.pull_0": (0.0, 10.0),  # the own last quantity
        "psi.pull_1": (0.0, 10.0),  # the other's
    }
    policy = bc.RepeatedPolicy(
        bc.RepeatedCournot(),
        domain,
        prior=bc.priors.Product((bc.priors.Previous(), bc.priors.Naive())),
        population=bc.populations.LogNormal(16),
        width=160,
    )
    return bc.Recipe(
        title="Cournot duopoly, 25 rounds, private log-normal costs, habits of repeating and imitating",
        about="Two firms meet in 25 rounds; each knows its own cost of information and sees both quantities.",
        trainer=bc.Distil(policy, steps=1150, batch=512),
        points=16,
    )
