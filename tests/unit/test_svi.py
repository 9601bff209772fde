"""Variational inference against posteriors that are known, and against ones that its guides cannot have."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer.util import log_density
from scipy.special import digamma, polygamma

from bayescal.errors import InputError
from bayescal.evaluation.batches import systematic
from bayescal.posterior.fit import Fit
from bayescal.posterior.infer import infer
from bayescal.posterior.status import Problem
from bayescal.posterior.svi import SVI, _pareto, _rise

X = np.stack([np.ones(40), 1.5 + np.random.default_rng(0).normal(size=40)], axis=1)
Y = X @ [1.0, 2.0] + np.random.default_rng(1).normal(size=40)
COVARIANCE = np.linalg.inv(X.T @ X + np.eye(2) / 100)  # prior sd 10, noise sd 1
MEAN = COVARIANCE @ X.T @ Y
STEPS = 2500


def line():
    slope = numpyro.sample("slope", dist.Normal(0.0, 10.0).expand([2]).to_event(1))
    numpyro.sample("y", dist.Normal(X @ slope, 1.0), obs=Y)


def far_apart():
    """Independent, of sizes a million apart; and a scale."""
    numpyro.sample("small", dist.Normal(3e-3, 1e-3))
    numpyro.sample("large", dist.Normal(-2e2, 1e2))
    numpyro.sample("scale", dist.LogNormal(1.0, 0.5))


def funnel():
    v = numpyro.sample("v", dist.Normal(0.0, 3.0))
    with numpyro.plate("i", 4):
        numpyro.sample("x", dist.Normal(0.0, jnp.exp(v / 2)))


def bent():
    a = numpyro.sample("a", dist.Normal(0.0, 1.0))
    numpyro.sample("b", dist.Normal(a**2, 0.5))


@pytest.fixture(scope="module")
def full_rank():
    return infer(line, SVI(steps=STEPS, draws=4000))


def draws(fit, name):
    x = fit.tree["posterior"][name].to_numpy()
    return x.reshape(-1, *x.shape[2:])


@pytest.mark.parametrize("guide", ["full-rank", "flow"])
def test_a_conjugate_posterior(full_rank, guide):
    """Mean, sd and correlation, within four Monte-Carlo errors of 4,000 draws, and a flow within a hundredth."""
    fit = full_rank if guide == "full-rank" else infer(line, SVI(guide="flow", steps=2 * STEPS))
    slope, sd = draws(fit, "slope"), np.sqrt(np.diag(COVARIANCE))
    slack = 0.0 if guide == "full-rank" else 0.03
    np.testing.assert_allclose((slope.mean(axis=0) - MEAN) / sd, 0.0, atol=4 / np.sqrt(4000) + slack)
    np.testing.assert_allclose(slope.std(axis=0) / sd, 1.0, atol=4 / np.sqrt(8000) + slack)
    rho = COVARIANCE[0, 1] / sd.prod()
    assert abs(np.corrcoef(slope.T)[0, 1] - rho) < 4 * (1 - rho**2) / np.sqrt(4000) + slack / 10
    # The bound reaches the evidence: log N(y; 0, I + 100 X X').
    evidence = dist.MultivariateNormal(0.0, np.eye(40) + 100 * X @ X.T).log_prob(Y)
    assert abs(fit.provenance["elbo"] - evidence) < 0.02
    assert fit.converged and fit.provenance["pareto_k_hat"] < 0.7 and fit.provenance["guide"] == guide


def test_mean_field_is_refused_where_parameters_are_correlated_and_not_where_they_are_independent():
    fit = infer(line, SVI(guide="mean-field", steps=STEPS))
    assert fit.provenance["pareto_k_hat"] > 0.7 and not fit.converged
    assert fit.status.problems[0] is Problem.FAR_GUIDE and "NUTS" in str(fit.status)
    # What it converges to is known: the right means, and the sds of the conditionals.
    conditional = 1 / np.sqrt(np.diag(np.linalg.inv(COVARIANCE)))
    np.testing.assert_allclose(draws(fit, "slope").std(axis=0), conditional, rtol=4 / np.sqrt(8000))
    fit = infer(far_apart, SVI(guide="mean-field", steps=4 * STEPS, learning_rate=0.1))
    assert fit.converged
    error = 4 / np.sqrt(4000)
    for x, mean, sd in (
        (draws(fit, "small"), 3e-3, 1e-3),
        (draws(fit, "large"), -2e2, 1e2),
        (np.log(draws(fit, "scale")), 1.0, 0.5),
    ):
        assert abs(x.mean() - mean) < error * sd and abs(x.std() / sd - 1) < error


def test_a_funnel_is_refused_and_a_flow_bends():
    assert not infer(funnel, SVI(guide="mean-field", steps=800)).converged
    plain = infer(bent, SVI(guide="full-rank", steps=STEPS))
    fit = infer(bent, SVI(guide="flow", steps=2 * STEPS))
    assert fit.converged
    assert fit.provenance["elbo"] > plain.provenance["elbo"] + 0.3
    assert abs(draws(fit, "a").std() - 1) < 0.1 and abs(draws(fit, "b").mean() - 1) < 0.15


def test_weights_make_up_for_the_guide():
    """A gamma posterior is skewed on the log scale too, and no normal is; the draws have its moments."""

    def model():
        rate = numpyro.sample("rate", dist.Gamma(8.0, 2.0))
        numpyro.sample("seen", dist.Poisson(rate), obs=np.array([2, 3]))  # Gamma(13, 4)

    fit = infer(model, SVI(guide="mean-field", steps=STEPS))
    log_rate = np.log(draws(fit, "rate"))
    assert fit.converged and 0.1 < fit.tree["sample_stats"]["log_weight"].std() < 0.5
    standard = (log_rate - digamma(13) + np.log(4)) / np.sqrt(polygamma(1, 13))
    error = 4 / np.sqrt(fit.provenance["weights_ess"])
    assert abs(standard.mean()) < error and abs(standard.var() - 1) < np.sqrt(2) * error
    assert abs(np.mean(standard**3) - polygamma(2, 13) / polygamma(1, 13) ** 1.5) < 4 * error  # -0.28


def test_every_group_and_the_file(full_rank, tmp_path):
    assert set(full_rank.tree.children) == {
        "posterior", "sample_stats", "log_likelihood", "log_prior", "prior", "prior_predictive",
        "posterior_predictive", "observed_data", "constant_data",
    }  # fmt: skip
    stats, at = full_rank.tree["sample_stats"], draws(full_rank, "slope")[7]
    assert abs(stats["lp"][0, 7] - log_density(line, (), {}, {"slope": jnp.asarray(at)})[0]) < 1e-3  # float32 there
    assert float(stats["log_weight"].std()) < 0.05  # a guide that has the posterior
    assert full_rank.tree["posterior_predictive"]["y"].shape == (1, 4000, 40)
    assert Fit.load(full_rank.save(tmp_path / "fit.nc")).status == full_rank.status
    again = infer(line, SVI(steps=STEPS, draws=4000))
    np.testing.assert_array_equal(again.tree["posterior"]["slope"], full_rank.tree["posterior"]["slope"])


def test_too_few_steps_are_not_called_enough():
    assert not infer(line, SVI(steps=150)).converged
    rise, error = _rise(np.linspace(-100, 0, 1000))
    assert rise == pytest.approx(10.0, rel=0.01) and error < 1


def test_weights():
    rng = np.random.default_rng(0)
    pareto = rng.pareto(1 / 0.9, 20_000)  # a tail of shape 0.9
    assert _pareto(np.log(pareto))[0] > 0.7
    assert _pareto(rng.normal(size=20_000) * 0.3)[0] < 0.5
    k_hat, weights = _pareto(np.array([0.0, np.nan, 0.0, 0.0]))
    assert k_hat == 0 and weights.tolist() == [1 / 3, 0, 1 / 3, 1 / 3]
    kept = systematic(np.array([0.5, 0.0, 0.3, 0.2]), 10, rng)
    assert np.bincount(kept).tolist() == [5, 0, 3, 2]


def test_bad_requests(unchecked):
    with unchecked(), pytest.raises(InputError, match="guide is 'full'; there are mean-field"):
        SVI(guide="full")  # ty: ignore[invalid-argument-type]
    with pytest.raises(InputError, match="steps is 1, below 100; learning_rate is 2"):
        SVI(steps=1, learning_rate=2.0)

    def many():
        numpyro.sample("x", dist.Normal(0.0, 1.0).expand([3000]).to_event(1))

    with pytest.raises(InputError, match=r"full-rank guide has every correlation of 3,000 numbers"):
        infer(many, SVI())
