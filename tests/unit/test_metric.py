"""The metric that chains share: whose it is, what it is worth, and what happens where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.hmc import HMCState
from numpyro.infer.hmc_util import HMCAdaptState, welford_covariance

from bayescal.evaluation.density import Density
from bayescal.evaluation.sites import Site
from bayescal.posterior.metric import agree, window_ends
from bayescal.posterior.nuts import NUTS, compile_nuts


def states(covariances) -> HMCState:
    nothing = np.zeros_like(covariances)
    absent = HMCAdaptState(*[None] * len(HMCAdaptState._fields))
    adapted = absent._replace(
        step_size=np.ones(len(covariances)),
        inverse_mass_matrix=np.asarray(covariances),
        mass_matrix_sqrt=nothing,
        mass_matrix_sqrt_inv=nothing,
    )
    return HMCState(*[None] * len(HMCState._fields))._replace(adapt_state=adapted)


def some(chains: int, d: int, *, diagonal: bool = False) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(chains, 3 * d, d)) * np.arange(1, d + 1)
    return rows.var(axis=1) if diagonal else np.stack([np.cov(x, rowvar=False) for x in rows])


@pytest.mark.parametrize("diagonal", [True, False])
def test_every_chain_has_the_mean(diagonal):
    each = some(4, 5, diagonal=diagonal)
    found = agree(states(each)).adapt_state
    for chain in range(4):
        np.testing.assert_allclose(found.inverse_mass_matrix[chain], each.mean(axis=0), rtol=1e-14)
    with jax.enable_x64(True):  # roots are NumPyro's
        mean = jnp.asarray(each.mean(axis=0))
        _, root, inverse = welford_covariance(diagonal=diagonal)[2]((mean[..., 0], mean, 2))
    np.testing.assert_allclose(found.mass_matrix_sqrt[2], root, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.mass_matrix_sqrt_inv[2], inverse, rtol=1e-10, atol=1e-12)


def test_a_chain_that_overflowed_has_no_say():
    each = some(3, 4)
    each[1, 2, 2] = np.inf
    found = agree(states(each)).adapt_state.inverse_mass_matrix
    np.testing.assert_allclose(found, np.broadcast_to(each[[0, 2]].mean(axis=0), (3, 4, 4)), rtol=1e-14)


@pytest.mark.parametrize("broken", [np.full((2, 3, 3), np.nan), np.full((2, 3, 3), 1.0), -np.ones((2, 3, 3))])
def test_without_a_mean_each_keeps_its_own(broken):
    given = states(broken)
    assert agree(given) is given


def test_when_it_is_shared():
    assert window_ends(300) == [100, 150, 250]  # Stan's windows
    assert window_ends(10) == []  # one window, in which no metric is learned


def test_chains_take_fewer_steps(monkeypatch):
    """Of ten correlated normals: a metric from four chains is nearer to the truth than from one."""
    shape = np.cov(np.random.default_rng(1).normal(size=(15, 10)), rowvar=False)
    precision = jnp.asarray(np.linalg.inv(shape))
    names = [f"x{i}" for i in range(10)]

    def model():
        x = jnp.stack([numpyro.sample(n, dist.ImproperUniform(dist.constraints.real, (), ())) for n in names])
        numpyro.factor("normal", -0.5 * x @ precision @ x)

    # Improper priors cannot be sampled, so that the model is not traced.
    sites = {n: Site("latent", (), (), support=dist.constraints.real) for n in names}

    def drawn():
        with jax.enable_x64(True):
            settings = NUTS(draws=200, warmup=200, chains=4, target_accept=0.8)
            run = compile_nuts(Density(model, sites), settings)
            return run(np.random.default_rng(0), dict.fromkeys(names, np.zeros(())))

    together = drawn()
    monkeypatch.setattr("bayescal.posterior.nuts.agree", lambda states: states)
    alone = drawn()
    steps = [run.stats["n_steps"].mean() for run in (together, alone)]
    assert steps[0] < 0.9 * steps[1], steps
    # The same distribution, whoever shares what: sds within four of their errors.
    for n, sd in zip(names, np.sqrt(np.diag(shape)), strict=True):
        assert abs(together.values[n].std() / sd - 1) < 4 / np.sqrt(2 * 300), n
