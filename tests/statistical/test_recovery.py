"""Costs that made the data are found again; a model told the wrong payoffs is caught not finding them."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from bayescal.environments.named import get_game
from bayescal.environments.normal_form import NormalForm
from bayescal.policies.exact import ExactPolicy
from bayescal.table.decisions import Decisions

GAME = "selten-chmura-01"
GRID = np.linspace(-3, 2, 401)  # of log cost; prior log cost ~ Normal(-0.3, 0.5²)
FITS = 200


@pytest.fixture(scope="module")
def ranks():
    """Simulation-based calibration by grid: the posterior probability below the cost that made each data set.

    Uniform for the right model, whatever the data (Cook, Gelman & Rubin 2006). The wrong model has all of row's
    payoffs for Up halved.
    """
    rng = np.random.default_rng(7)
    right = get_game(GAME)
    wrong = NormalForm(np.asarray(right.params["payoffs"]) * np.array([[[[0.5], [1.0]]], [[[1.0], [1.0]]]])[:, 0])
    with jax.enable_x64(True):
        tables = [
            np.asarray(jax.jit(jax.vmap(lambda c, g=g: ExactPolicy(g).solve(c).log_strategies))(jnp.exp(GRID)))
            for g in (right, wrong)
        ]
    truth = rng.normal(-0.3, 0.5, FITS)
    out = {"right": [], "wrong": []}
    log_prior = -0.5 * ((GRID + 0.3) / 0.5) ** 2
    for log_cost in truth:
        log_p = np.stack([[np.interp(log_cost, GRID, tables[0][:, r, a]) for a in range(2)] for r in range(2)])
        counts = np.stack([rng.multinomial(60, np.exp(row) / np.exp(row).sum()) for row in log_p])
        for name, table in zip(out, tables, strict=True):
            log_post = log_prior + np.einsum("ra,gra->g", counts, table)
            weights = np.exp(log_post - log_post.max())
            out[name].append(np.interp(log_cost, GRID, np.cumsum(weights) / weights.sum()))
    return out


@pytest.mark.slow
def test_the_posterior_is_calibrated(ranks):
    assert kstest(ranks["right"], "uniform").pvalue > 0.01


def test_the_check_catches_a_wrong_likelihood(ranks):
    assert kstest(ranks["wrong"], "uniform").pvalue < 1e-6


@pytest.mark.slow
def test_a_cost_is_recovered_within_its_uncertainty():
    from bayescal.model.build import build_model
    from bayescal.populations import Homogeneous
    from bayescal.posterior.infer import infer
    from bayescal.posterior.nuts import NUTS

    env = get_game(GAME)
    p = np.asarray(ExactPolicy(env).solve(0.6).strategies, float)
    rng = np.random.default_rng(3)
    counts = [rng.multinomial(500, row / row.sum()) for row in p]
    labels = list(zip(env.role_names, env.action_labels, counts, strict=True))
    rows = [(role, a, n) for role, actions, ns in labels for a, n in zip(actions, ns, strict=True)]
    table = pd.DataFrame(rows, columns=["role", "action", "n"])
    model = build_model(ExactPolicy(env), Homogeneous(), Decisions.from_table(table, {GAME: env}))
    fit = infer(model, NUTS(draws=500, warmup=300, chains=2))
    draws = fit.tree["posterior"]["log_cost"]
    assert abs(float(draws.mean()) - np.log(0.6)) < 3 * float(draws.std())
    assert float(draws.std()) < 0.2
