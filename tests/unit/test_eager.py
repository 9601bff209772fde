"""Eager and traced calls of one policy, in turns."""

import jax
import numpy as np

import bayescal as bc


def test_an_eager_call_after_a_traced_one_is_still_in_float64():
    """JAX knows arrays by their identity: payoffs that a trace of float32 met must not be passed on as such."""
    game = bc.get_game("selten-chmura-01")
    chosen = lambda cost: bc.equilibrium(game, cost).strategies
    traced = jax.jit(chosen)(0.8)
    eager = chosen(np.array([0.8, 0.8]))
    np.testing.assert_allclose(eager, traced, atol=1e-5)
    assert np.abs(np.asarray(chosen(np.array([0.8, 1.0]))) - np.asarray(eager)).max() > 1e-3
