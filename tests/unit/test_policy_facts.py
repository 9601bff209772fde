"""Facts about a policy are data: what a model or a fit was built on, without a sentence to search."""

import json

import jax.numpy as jnp
import pytest

from bayescal.diagnostics.oracle import exact_twin
from bayescal.environments.named import get_game
from bayescal.errors import InputError
from bayescal.policies.amortised import AmortisedPolicy
from bayescal.policies.base import Policy, PolicyFacts, PolicyKind
from bayescal.policies.exact import ExactPolicy
from bayescal.policies.habitual import HabitualPolicy
from bayescal.policies.impulse_balance import ImpulseBalancePolicy
from bayescal.policies.level_k import LevelKPolicy
from bayescal.policies.rational import RationalPolicy
from bayescal.priors import Empirical, Focal

GAME = get_game("stag-hunt")
LEARNED = AmortisedPolicy(GAME, {"cost": (0.1, 10.0)}, width=4, depth=1)


class Coin(Policy):
    """A policy that a user has written, without a prior."""

    environment: type(GAME) = GAME

    def log_prob(self, observation, cost, phi, psi, params):
        return jnp.log(jnp.full(2, 0.5))


POLICIES = [
    (ExactPolicy(GAME, Focal(every=1.0)), PolicyKind.SOLVED, "ExactPolicy", "Focal", False),
    (LEARNED, PolicyKind.LEARNED, "AmortisedPolicy", "Uniform", True),
    (RationalPolicy(GAME), PolicyKind.RATIONAL, "RationalPolicy", "Uniform", False),
    (RationalPolicy(GAME, learned=LEARNED), PolicyKind.RATIONAL, "RationalPolicy", "Uniform", True),
    (LevelKPolicy(GAME, "level-k"), PolicyKind.LEVELS, "LevelKPolicy", "Uniform", False),
    (HabitualPolicy(GAME, Empirical([[0.5, 0.5]] * 2)), PolicyKind.HABIT, "HabitualPolicy", "Empirical", False),
    (ImpulseBalancePolicy(GAME), PolicyKind.STATIONARY, "ImpulseBalancePolicy", "", False),
    # The exact twin of a learned policy is of a private class.
    (exact_twin(LEARNED), PolicyKind.SOLVED, "ExactPolicy", "Uniform", False),
    (Coin(), PolicyKind.OTHER, "Coin", "", False),
]


@pytest.mark.parametrize(("policy", "kind", "name", "habit", "learned"), POLICIES)
def test_every_policy_says_what_it_is(policy, kind, name, habit, learned):
    assert policy.facts == PolicyFacts(kind, name, habit, learned)


@pytest.mark.parametrize("policy", [row[0] for row in POLICIES])
def test_facts_survive_json(policy):
    assert PolicyFacts.from_dict(json.loads(json.dumps(policy.facts.as_dict()))) == policy.facts


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"kind": "guessed", "name": "ExactPolicy", "habit": "Uniform", "learned": False},
        {"kind": "solved", "name": "ExactPolicy", "habit": "Uniform"},
        {"kind": "solved", "name": "ExactPolicy", "habit": None, "learned": False},
    ],
)
def test_damaged_facts_are_refused(damaged):
    with pytest.raises(InputError, match="facts of a policy are kind"):
        PolicyFacts.from_dict(damaged)
