"""When to replace a bus engine (Rust 1987), learned: a check of learned likelihoods.

The problem has an exact solution (`bayescal.ExactPolicy`), so every figure of the certificate is a measured error.
Usage is that of Rust's group 4, as counted in his data: the policy answers for these buses, and for any replacement
cost and operating cost in its domain. Train it with `bayescal train bus-engine`.
"""

import bayescal as bc

MONTHS = (1682, 2555, 55)  # of group 4 in which a bus was driven on by 0, 1 and 2 bins


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    policy = bc.AmortisedPolicy(
        bc.get_game("bus-engine", usage=MONTHS),
        {"cost": (0.5, 2.0), "params.RC": (3.0, 40.0), "params.theta11": (0.3, 20.0)},
        unit="cost",
    )
    return bc.Recipe(
        title="Rust's bus engines, group 4: replacement cost 3 to 40, operating cost 0.3 to 20",
        about="Keep an engine that costs more with every mile, or replace it. The cost of information is the scale of "
        "the taste shock; choices depend on RC and theta11 in units of it.",
        trainer=bc.SoftQMarkov(policy, steps=8000, batch=16),
        points=100,
    )
