"""One rule of convergence: a right sampler of hundreds of numbers passes it, and one number that disagrees does not."""

import arviz_stats as azs
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray as xr

from bayescal.comparison.loo import LeftOut, psis
from bayescal.comparison.pointwise import Pointwise
from bayescal.diagnostics.computed import computation
from bayescal.posterior.convergence import convergence_of, convergence_of_draws, r_hat_limit
from bayescal.posterior.fit import Fit
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS
from bayescal.posterior.psis import k_hat_limit
from bayescal.posterior.status import Problem, Status, status_of_draws, status_of_guide

CHAINS, DRAWS, PEOPLE = 4, 400, 60


def tree_of(effect, mean, cost=None):
    """Draws as inference keeps them: what was sampled has a log prior, and costs were drawn afterwards."""
    lead = ("chain", "draw")
    posterior = {"effect": ((*lead, "person"), effect), "mean": (lead, mean)}
    if cost is not None:
        posterior["cost"] = ((*lead, "person"), cost)
    priors = {n: (lead, np.zeros(mean.shape)) for n in ("effect", "mean")}
    stats = xr.Dataset({"diverging": (lead, np.zeros(mean.shape, bool))})
    tree = {"posterior": xr.Dataset(posterior), "log_prior": xr.Dataset(priors), "sample_stats": stats}
    return xr.DataTree.from_dict(tree | {"log_likelihood": xr.Dataset(), "constant_data": xr.Dataset()})


def drawn(seed, people=PEOPLE, draws=DRAWS):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(CHAINS, draws, people)), rng.normal(size=(CHAINS, draws))


def test_a_right_sampler_of_hundreds_of_numbers_passes():
    """In half of such runs, of 4 x 250 independent draws, the largest R-hat of 401 numbers is above 1.01."""
    effect, mean = drawn(3, people=400, draws=250)
    found = convergence_of_draws({"effect": effect, "mean": mean})
    assert found.r_hat > 1.01 and found.agree and found.long_enough


@pytest.mark.parametrize("shift", [0.5, 1.0, 5.0])
def test_one_number_of_hundreds_that_disagrees_in_one_chain_is_caught(shift):
    effect, mean = drawn(1)
    assert status_of_draws(tree_of(effect, mean)).converged
    effect[2, :, 17] += shift
    status = status_of_draws(tree_of(effect, mean))
    assert Problem.R_HAT in status.problems and status.numbers["r_hat"] > status.numbers["r_hat_limit"]
    assert "chains disagree: R-hat is not below 1.01" in status.reason
    checks = {c.name: c for c in computation(Fit(tree_of(effect, mean), Status(), {}), None, None)}
    assert checks["R-hat"].failed and "effect[17]" in checks["R-hat"].found


def test_short_chains_of_one_number_are_caught():
    effect, mean = drawn(1)
    effect[:, :, 3] = np.cumsum(effect[:, :, 3], axis=1)
    assert {Problem.R_HAT, Problem.FEW_DRAWS} <= set(status_of_draws(tree_of(effect, mean)).problems)


def test_what_was_drawn_afterwards_is_not_judged():
    effect, mean = drawn(2)
    apart = effect + 10 * np.arange(CHAINS)[:, None, None]
    status = status_of_draws(tree_of(effect, mean, cost=apart))
    assert status.converged and status.numbers["r_hat"] < 1.02
    unknown = tree_of(effect, mean, cost=apart)
    del unknown["log_prior"]  # of an earlier version: everything is judged
    assert not status_of_draws(unknown).converged


@pytest.mark.parametrize("spoil", [0.0, 0.5, 2.0])
def test_the_sampler_and_the_status_use_one_rule(spoil):
    effect, mean = drawn(3)
    mean[0] += spoil
    tree = tree_of(effect[:, :, :8], mean)
    of_draws = convergence_of_draws({"draw effect": effect[:, :, :8], "draw mean": mean})
    status = status_of_draws(tree)
    assert status.converged == (of_draws.agree and of_draws.long_enough) == (spoil == 0)
    known = azs.summary(tree, var_names=["effect", "mean"], round_to="none").astype(float)
    assert status.numbers["r_hat"] == pytest.approx(known["r_hat"].max()) == pytest.approx(of_draws.r_hat)
    assert status.numbers["ess"] == pytest.approx(known[["ess_bulk", "ess_tail"]].min().min())
    assert list(known.index) == list(convergence_of(tree).table.index)


def test_the_limit_is_the_chance_of_the_largest():
    """By simulation: the means of half chains that agree, of so many quantities, as in R-hat by Gelman & Rubin."""
    rng = np.random.default_rng(4)
    halves, each, quantities = 2 * CHAINS, 100, 50
    between = rng.normal(size=(4000, quantities, halves)).var(axis=2, ddof=1)  # times 1 / each, of variance 1 within
    r_hat = np.sqrt(1 + between.max(axis=1) / each)
    assert r_hat_limit(quantities, CHAINS, halves * each) == pytest.approx(np.quantile(r_hat, 0.95), abs=5e-4)
    assert r_hat_limit(quantities, CHAINS, 1e5) == 1.01
    assert r_hat_limit(quantities, CHAINS, 3.0) == r_hat_limit(quantities, CHAINS, 400)


def test_short_chains_are_extended_and_not_only_labelled():
    def model():
        numpyro.sample("x", dist.Normal(0.0, 1.0))

    short, longer = (infer(model, NUTS(draws=60, warmup=50, chains=2, longest=n)) for n in (60, 1200))
    assert not short.converged and Problem.FEW_DRAWS in short.status.problems
    assert longer.converged and 60 < longer.provenance["draws"] <= 1200


# --- k-hat ------------------------------------------------------------------------------------------------------------


def test_the_limit_of_k_hat_follows_the_draws():
    """As ArviZ has it; the same weights are trusted with many draws and not with few."""
    for draws in (200, 1000, 2155, 10_000):
        log_likelihood = xr.Dataset(
            {"y": (("chain", "draw", "i"), np.random.default_rng(0).normal(scale=0.05, size=(1, draws, 3)))}
        )
        tree = xr.DataTree.from_dict({"posterior": log_likelihood, "log_likelihood": log_likelihood})
        assert k_hat_limit(draws) == pytest.approx(azs.loo(tree, var_name="y").good_k)
    k_hat = np.array([0.55, 0.65, 0.69, 0.75])
    bad = lambda draws: LeftOut(np.zeros(4), k_hat, limit=k_hat_limit(draws)).bad.tolist()
    assert [bad(n) for n in (100, 300, 1000, 4000)] == [[0, 1, 2, 3], [1, 2, 3], [2, 3], [3]]
    few, many = (status_of_guide(0.65, 1e3, 0.0, 0.1, 0.0, weighted=n) for n in (400, 4000))
    assert "k-hat is above 0.62" in few.reason and many.converged
    points = Pointwise(("a",), np.ones(1, int), np.random.default_rng(1).normal(size=(400, 1)), np.zeros(1), 1.0,
                       np.ones(1, int))  # fmt: skip
    assert psis(points).limit == k_hat_limit(400)
