"""Priors: normalised over any grid, differentiable in psi, and what they say they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayescal.environments.game_files import load_game_file
from bayescal.environments.named import get_game
from bayescal.errors import InputError
from bayescal.priors import Anchored, Empirical, Focal, LogLinear, Mixture, Uniform, load_prior_file

GRID = jnp.arange(0.0, 31.0)
PRIORS = {
    "uniform": (Uniform(), {}),
    "empirical": (Empirical([np.arange(31) / np.arange(31).sum()]), {}),
    "log-linear": (LogLinear(), {"tilt": 0.8}),
    "anchored": (Anchored(), {"anchor": 0.4, "pull": 3.0}),
    "focal": (Focal(10.0), {"bonus": 2.0}),
    "mixture": (Mixture((Uniform(), Focal(5.0))), {"weight_1": 0.3, "bonus_1": 1.5}),
}
each_prior = pytest.mark.parametrize("name", PRIORS)


@each_prior
def test_normalised(name):
    prior, psi = PRIORS[name]
    log_q = prior.log_prob(0, psi, role=0, action_values=GRID)
    assert log_q.shape == GRID.shape
    np.testing.assert_allclose(jnp.sum(jnp.exp(log_q)), 1, rtol=1e-5)


@each_prior
def test_parameters_and_defaults_agree(name):
    prior, psi = PRIORS[name]
    assert set(prior.parameters) == set(prior.defaults) == set(psi)
    assert all(prior.parameters[n].contains(x) for n, x in prior.defaults.items())


@each_prior
def test_gradients_are_finite(name):
    prior, psi = PRIORS[name]
    f = lambda psi: prior.log_prob(0, psi, role=0, action_values=GRID)[10]
    assert all(np.isfinite(x) for x in jax.tree.leaves(jax.grad(f)(psi)))


def test_shapes():
    np.testing.assert_allclose(
        LogLinear().log_prob(0, {"tilt": 0.0}, role=0, action_values=GRID), -np.log(31), rtol=1e-5
    )
    tilted = LogLinear().log_prob(0, {"tilt": 0.5}, role=0, action_values=GRID)
    assert np.all(np.diff(tilted) > 0)
    focal = jnp.exp(Focal(10.0).log_prob(0, {"bonus": jnp.log(4.0)}, role=0, action_values=GRID))
    np.testing.assert_allclose(focal[20] / focal[21], 4, rtol=1e-5)


def test_anchored_falls_away_from_the_anchor_by_pull_nats_a_grid():
    log_q = Anchored().log_prob(0, {"anchor": 0.5, "pull": 6.0}, role=0, action_values=GRID)
    assert np.argmax(log_q) == 15
    np.testing.assert_allclose(log_q[20] - log_q[25], 6 * 5 / 30, rtol=1e-2)
    np.testing.assert_allclose(log_q, log_q[::-1], atol=1e-5)


def test_impossible_probabilities_are_refused():
    with pytest.raises(InputError, match="sum to"):
        Empirical([[0.5, 0.4]])


def test_a_folder_is_no_prior_and_no_game(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        load_prior_file(tmp_path, get_game("stag-hunt"))
    with pytest.raises(InputError, match="cannot be read"):
        load_game_file(tmp_path)
