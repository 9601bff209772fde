"""Eager and traced calls of one policy, in turns; whether JAX traces is known whatever came first."""

import jax
import numpy as np
import pytest

import bayescal as bc
from bayescal.errors import InputError
from bayescal.policies import eager


def test_an_eager_call_after_a_traced_one_is_still_in_float64():
    """JAX knows arrays by their identity: payoffs that a trace of float32 met must not be passed on as such."""
    game = bc.get_game("selten-chmura-01")
    chosen = lambda cost: bc.equilibrium(game, cost).strategies
    traced = jax.jit(chosen)(0.8)
    eager = chosen(np.array([0.8, 0.8]))
    np.testing.assert_allclose(eager, traced, atol=1e-5)
    assert np.abs(np.asarray(chosen(np.array([0.8, 1.0]))) - np.asarray(eager)).max() > 1e-3


class ReadWithNumpy(bc.NormalForm):
    """A game of one's own, whose methods know numbers only, not JAX's traced ones."""

    @property
    def params(self):
        return {"payoffs": np.asarray(self.default_payoffs)}


def test_a_game_that_cannot_be_traced_is_solved_step_by_step():
    payoffs = np.asarray(bc.get_game("selten-chmura-01").params["payoffs"])
    wanted = bc.equilibrium(bc.NormalForm(payoffs), 0.8).strategies
    for _ in range(2):  # the second time it is known that it cannot
        found = bc.equilibrium(ReadWithNumpy(payoffs), 0.8).strategies
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("solve", [bc.equilibrium, bc.equilibria, lambda game, cost: bc.nash_equilibria(game)])
def test_a_game_over_time_is_refused_in_a_sentence(solve, unchecked):
    with unchecked(), pytest.raises(InputError, match=r"kuhn-poker is not a one-shot game: use `ExactPolicy"):
        solve(bc.get_game("kuhn-poker"), 1.0)


def test_what_is_traced_does_not_depend_on_what_came_first(monkeypatch):
    monkeypatch.setattr(eager, "_outside", [])
    seen = []

    def look():
        seen.append(eager.traced())

    for _ in range(2):
        jax.jit(lambda: look())()
        look()
    assert seen == [True, False, True, False]
