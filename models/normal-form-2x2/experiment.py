"""Any 2x2 game with costs that both players know: one network for all of Selten & Chmura's (2008) games.

Payoffs are in the domain, from -25 to 25 (Selten & Chmura's largest is 22; a constant added to a player's payoffs at
one action of the other changes nothing, so games with larger numbers can be moved into the box). Each player
has its own cost. Train it with `bayescal train normal-form-2x2`.
"""

import numpy as np

import bayescal as bc


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    game = bc.NormalForm(np.zeros((2, 2, 2)), name="2x2 game")
    domain = {"cost": (0.1, 100.0), "params.payoffs": (-25.0, 25.0)}
    # The game tells each role its own payoffs first, so both share one network.
    policy = bc.AmortisedPolicy(game, domain, roles="shared", width=160, depth=3)
    return bc.Recipe(
        title="Any 2x2 game with payoffs within ±25, known costs",
        about=(
            "Two players, two actions, a uniform prior, and costs that both know. Near the border between games with "
            "different equilibria the solution jumps from one to the other. At small costs no network can follow "
            "there, which the maxima over the corners show."
        ),
        trainer=bc.SoftQExpected(policy, steps=40_000, batch=1024, learning_rate=5e-3, curriculum=0.3, outlier=1e-4),
        points=2000,
    )
