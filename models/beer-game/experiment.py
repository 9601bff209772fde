"""The beer game with private costs of information; habits are the last order and the order received.

Retailer, wholesaler, distributor and factory with the delays and costs of Sterman (1989), demand U{0..8} (Croson &
Donohue 2006), orders from 0 to 20, each pays the own cost of holding and backlog. Each person's cost of
information is private, log-normal over people. The prior is a product of two habits: staying near the last order
(`psi.pull_0`) and passing on the order that came in (`psi.pull_1`); with pulls of zero it is uniform. Train it with
`bayescal train beer-game`.
"""

import numpy as np

import bayescal as bc


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    domain = {
        "cost": (0.5, 50.0),  # money per nat; a wrong order of ten units costs about 15
        "phi.log_mean": (np.log(1.0), np.log(25.0)),
        "phi.log_sd": (0.1, 1.0),
        "psi.pull_0": (0.0, 15.0),  # nats from one end of the grid to the other
        "psi.pull_1": (0.0, 15.0),
    }
    policy = bc.StagedPolicy(
        bc.beer_game(),
        domain,
        prior=bc.priors.Product((bc.priors.Previous(), bc.priors.Naive())),
        population=bc.populations.LogNormal(16),
        width=64,
    )
    return bc.Recipe(
        title="Beer game, 4 roles, 21 orders, private log-normal costs, previous-order and demand-chasing priors",
        about="Everybody orders from the next one up, waits three weeks, and pays for stock and backlog.",
        trainer=bc.LookAhead(policy, steps=8000, games=128, rounds=4, tries=7, horizon=16, level=0.3),
        points=40,
    )
