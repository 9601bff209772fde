"""Whom people believe they meet: exploring moves no equilibrium, and SoftQ finds the exact one of its concept."""

import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.errors import InputError
from bayescal.precision import double_precision

GAME = bc.RepeatedCournot(2, quantities=(0, 20, 40, 60), rounds=2)
PEOPLE, HABIT = bc.populations.LogNormal(8), bc.priors.Previous()
BOX = {"cost": (100.0, 1000.0), "phi.log_mean": (5.4, 5.6), "phi.log_sd": (0.7, 0.8), "psi.pull": (2.0, 3.0)}
PHI, PSI = {"log_mean": 5.5, "log_sd": 0.75}, {"pull": 2.5}
STATES = [(0.0, 0.0, 0), (0.0, 60.0, 1), (20.0, 40.0, 1), (40.0, 20.0, 1), (60.0, 0.0, 1)]
SEEN = {
    "own": np.array([s[0] for s in STATES]),
    "seen": np.array([s[1] for s in STATES]),
    "began": np.array([float(s[2] > 0) for s in STATES]),
    "round": np.array([s[2] for s in STATES]),
    "price": np.zeros(len(STATES)),
    "profit": np.zeros(len(STATES)),
}


def skeleton(others="average"):
    return bc.AmortisedPolicy(GAME, BOX, prior=HABIT, population=PEOPLE, width=48, depth=2, others=others)


def divergence(policy, cost):
    with double_precision():
        exact = bc.ExactPolicy(GAME, HABIT, PEOPLE).log_prob_cells(0, SEEN, cost, PHI, PSI, None)
        learned = policy.log_prob_cells(0, SEEN, jnp.asarray(cost), PHI, PSI, None)
    return float(np.max(np.sum(np.exp(exact) * (exact - learned), axis=1)))


@pytest.mark.slow
@pytest.mark.parametrize("explore", [0.0, 0.5])
def test_softq_finds_the_exact_equilibrium_however_much_is_explored(explore):
    trainer = bc.SoftQ(skeleton(), steps=6000, games=128, draws=8, explore=explore, everyone=False, learning_rate=3e-3)
    policy = bc.train(trainer).policy
    assert max(divergence(policy, cost) for cost in (120.0, 300.0, 800.0)) < 1e-4


def test_persistent_others_allow_no_exploring():
    with pytest.raises(InputError, match=r"explore is 0\.3 and others are persistent"):
        bc.SoftQ(skeleton("persistent"), explore=0.3)
    with pytest.raises(InputError, match="others is 'all'"):
        skeleton("all")
