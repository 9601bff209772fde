"""The cobweb market of six forecasters, one network for all treatments: kappa from 0.15 to 2.4.

The market is that of Hommes, Sonnemans, Tuinstra & van de Velden (2007): kappa is 0.22 in their stable treatment, 0.5
in the unstable and 2 in the strongly unstable one. Each forecaster's cost of information is private, log-normal over
people; the habit is adaptive expectations, naive at a gain of 1. Train it with `bayescal train cobweb`.
"""

import numpy as np

import bayescal as bc


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    domain = {
        "cost": (50.0, 10_000.0),  # points per nat; a perfect forecast brings 1,300
        "phi.log_mean": (np.log(100.0), np.log(3000.0)),
        "phi.log_sd": (0.1, 1.0),
        "psi.gain": (0.0, 1.0),
        "psi.pull": (0.0, 40.0),  # nats over the whole grid, 10 units of price
        "params.kappa": (0.15, 2.4),
    }
    policy = bc.StagedPolicy(
        bc.Cobweb(),
        domain,
        prior=bc.priors.Adaptive(),
        population=bc.populations.LogNormal(16),
        width=96,
        depth=3,
        waves=10,  # where kappa is large, a small change of the own forecast changes supply at once
    )
    return bc.Recipe(
        title="Cobweb, 6 forecasters, 50 rounds, any treatment, private log-normal costs, adaptive expectations",
        about="Producers forecast the price that their forecasts determine; each knows only its own cost.",
        trainer=bc.LookAhead(policy, steps=7000),
        points=16,
    )
