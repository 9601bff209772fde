"""Any 2x2 game with private log-normal costs of information and an inferred habit: one network for all of them.

Payoffs are in the domain: centred between the own actions they reach from -25 to 25, so that an action is worth up to
50 more than the other. Costs are private and log-normal; at the lowest mean the largest difference is 50 times the
median cost. The habit leans towards each player's first action: `tilt` is the log-odds of that action. Nothing else
depends on the order of the actions or of the players. Train it with `bayescal train normal-form-2x2-private`.
"""

import numpy as np

import bayescal as bc


def recipe() -> bc.Recipe:
    """The policy's domain, and how it is trained."""
    game = bc.NormalForm(np.zeros((2, 2, 2)), name="2x2 game")
    domain = {
        "cost": (0.1, 1000.0),
        "phi.log_mean": (0.0, np.log(100.0)),
        "phi.log_sd": (0.1, 2.0),
        "psi.tilt": (-2.0, 2.0),
        "params.payoffs": (-25.0, 25.0),
    }
    habit = bc.priors.LogLinear(features=((1, 0), (1, 0)))
    policy = bc.MeetingPolicy(game, domain, prior=habit, population=bc.populations.LogNormal(), width=32, depth=3)
    return bc.Recipe(
        title="Any 2x2 game with payoffs within ±25, private log-normal costs, a habit towards the first actions",
        about=(
            "Two players, two actions; each knows its own cost and the distribution of the other's. Near the border "
            "between games with different equilibria the solution jumps from one to the other, where no network "
            "can follow: there are the largest errors. `bayescal calibrate --sharpen` takes Newton steps from here "
            "to an equilibrium; in a game with several it may not be the principal one."
        ),
        trainer=bc.DistilOneShot(policy, steps=10_000),
        points=2000,
    )
