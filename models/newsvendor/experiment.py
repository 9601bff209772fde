"""A newsvendor over 30 days who foresees that today's order is part of tomorrow's habit.

The game is that of Villa, Castañeda & Urrea's base treatment, as in Bolton & Katok (2008): price 12, cost 3, demand 1
to 100 equally likely, orders 0 to 100. The habit is a product: exactly the previous order, adaptive expectations
between it and the last demand, the usual order, the centre, and multiples of ten and of five. All of these
are in the domain, which holds the people of that experiment with room to spare. The exact solution is known
(`Newsvendor.exact_values`), so the certificate measures the network's error. Train it with
`bayescal train newsvendor`.
"""

import bayescal as bc
from bayescal.priors import Adaptive, Centre, Focal, Product, Repeat, Usual


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    domain = {
        "cost": (50.0, 100_000.0),  # money per nat; expected profits are at most 342
        "psi.bonus_0": (0.0, 3.5),  # exactly the previous order
        "psi.gain_1": (0.0, 1.0),  # from the previous order towards the last demand
        "psi.pull_1": (0.0, 8.0),
        "psi.pull_2": (0.0, 8.0),  # the usual order
        "psi.pull_3": (0.0, 6.0),  # the centre
        "psi.bonus_4": (0.0, 2.5),  # tens
        "psi.bonus_5": (0.0, 3.0),  # fives
    }
    policy = bc.AmortisedPolicy(
        bc.Newsvendor(),
        domain,
        prior=Product((Repeat(), Adaptive(), Usual(), Centre(), Focal(10), Focal(5))),
        width=96,
        depth=3,
    )
    return bc.Recipe(
        title="Newsvendor, 30 days, own cost, habits of repeating, chasing, usual, central and round orders",
        about="One person orders before demand is known, and foresees that today's order is part of tomorrow's habit.",
        trainer=bc.SoftQ(policy, steps=20_000, games=64, tries=16, draws=8, explore=0.5, lag=30),
        points=60,
    )
