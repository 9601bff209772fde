"""Public goods and repeated dilemmas: payoffs by hand, and solutions that have a closed form."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bayescal as bc
from bayescal.environments.public_goods import PublicGoods
from bayescal.environments.repeated_dilemma import repeated_dilemma
from bayescal.errors import InputError


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def test_expected_payoffs_of_public_goods_are_those_of_all_joint_contributions():
    game = PublicGoods(3, mpcr=0.6, endowment=10, contributions=(0, 4, 10))
    p = np.array([0.5, 0.2, 0.3])
    want = np.zeros(3)
    for own, *others in itertools.product(range(3), repeat=3):
        want[own] += np.prod(p[others]) * float(game.payoffs(jnp.array([own, *others]), game.params)[0])
    np.testing.assert_allclose(game.expected_payoffs(p[None], game.params)[0], want, rtol=1e-12)
    np.testing.assert_allclose(game.payoffs(jnp.array([2, 1, 0]), game.params), [0 + 8.4, 6 + 8.4, 10 + 8.4])


@pytest.mark.parametrize("players", [2, 20])
def test_what_is_given_falls_by_what_giving_costs(players):
    """Whatever others give, a unit costs 1 - mpcr: logit choice has a closed form."""
    game, cost = PublicGoods(players, mpcr=0.7), 2.0
    weights = np.exp(-0.3 * np.arange(21) / cost)
    np.testing.assert_allclose(bc.equilibrium(game, cost).strategies[0], weights / weights.sum(), rtol=1e-9)
    assert game.payoff_parameters == ("mpcr",)


def test_public_goods_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="1 players"):
        PublicGoods(1)
    for grid in ((0,), (0, 30), (-1, 3)):
        with pytest.raises(InputError, match="give two or more, from 0 to the endowment of 20"):
            PublicGoods(contributions=grid)


@pytest.mark.parametrize("discount", [0.0, 0.75])
def test_a_past_that_changes_no_payoffs_changes_nothing(discount):
    """On the principal branch everybody plays the one-shot game's equilibrium in every state."""
    game = repeated_dilemma(48.0, discount)
    one_shot = bc.equilibrium(bc.NormalForm(game.params["payoffs"][0]), 10.0).strategies
    solved = bc.ExactPolicy(game).solve(10.0)
    assert solved.converged
    np.testing.assert_allclose(solved.strategies, np.broadcast_to(one_shot[:, None], (2, 5, 2)), atol=1e-8)


def test_a_dilemma_is_one():
    with pytest.raises(InputError, match="must fall in this order"):
        repeated_dilemma(reward=60.0)
