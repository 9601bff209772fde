"""Cournot competition of two to five firms with private costs of information, anchored on the last outcome.

The market is that of Huck, Normann & Oechssler (1999, 2004), P = max(a - b Q, 0) at a unit cost of 1, with a and b
in the domain: a = 100 and b = 1 are theirs. Quantities run from 0 to 60 in steps of 2. Each firm's cost of
information is private, log-normal over firms; the habit is a quantity near an anchor, such as the last round's
average quantity. Train it with `bayescal train cournot`.
"""

import numpy as np

import bayescal as bc


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    markets = [bc.Cournot(firms, np.linspace(0, 60, 31)) for firms in (2, 3, 4, 5)]
    domain = {
        "cost": (2.5, 2500.0),  # money per nat; payoffs spread over about 2,500
        "phi.log_mean": (np.log(10.0), np.log(1000.0)),
        "phi.log_sd": (0.1, 1.0),
        "psi.anchor": (0.0, 1.0),
        "psi.pull": (0.0, 10.0),
        "params.intercept": (80.0, 120.0),
        "params.slope": (0.8, 1.25),
    }
    policy = bc.AmortisedPolicy(
        markets,
        domain,
        prior=bc.priors.Anchored(),
        population=bc.populations.LogNormal(16),
        width=96,
        depth=3,
    )
    return bc.Recipe(
        title="Cournot, 2 to 5 firms, 31 quantities, private log-normal costs, anchored prior",
        about="Firms choose quantities; each knows its own cost and the distribution of the others' costs.",
        trainer=bc.SoftQExpected(policy, steps=35_000, batch=128, learning_rate=5e-3, outlier=1e-2),
    )
