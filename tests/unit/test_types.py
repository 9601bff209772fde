"""Every call of a function of bayescal in the tests is checked against its types and shapes (tests/conftest.py)."""

import sys

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

import bayescal as bc
from bayescal.domain import Interval

GAME = bc.get_game("stag-hunt")


def test_a_wrong_shape_is_an_error():
    """Mixed strategies are (roles, actions); this is one role's."""
    with pytest.raises(TypeCheckError, match=r"parameter 'strategies'[\s\S]*f32\[2\][\s\S]*roles actions"):
        GAME.expected_payoffs(jnp.ones(2) / 2, GAME.params)


def test_a_wrong_type_is_an_error():
    with pytest.raises(TypeCheckError, match=r"parameter 'low'[\s\S]*'0'"):
        Interval("0", 1.0)


def test_an_int_is_a_float():
    assert Interval(0, 1).contains(0.5)


def test_a_wrong_result_is_an_error():
    """A game of a user, whose payoffs are one too many."""

    class Wrong(bc.NormalForm):
        def payoffs(self, joint_action, params):
            return jnp.zeros(self.players + 1)

    game, key = Wrong([[[1, 0], [0, 1]], [[1, 0], [0, 1]]]), jax.random.key(0)
    with pytest.raises(TypeCheckError, match=r"return value of bayescal\.environments\.base\.OneShot\.step"):
        game.step(key, game.reset(key, game.params), jnp.zeros(2, int), game.params)


def test_our_own_errors_can_be_tested(unchecked):
    with unchecked(), pytest.raises(TypeError, match="'<' not supported"):
        Interval("0", 1.0)
    test_a_wrong_type_is_an_error()


def test_no_module_was_imported_before_the_check_was_on():
    modules = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "bayescal"}
    unchecked = [n for n, m in modules.items() if not type(m.__spec__.loader).__module__.startswith("jaxtyping")]
    assert len(modules) > 10 and not unchecked
