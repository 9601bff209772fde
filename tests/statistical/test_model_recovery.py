"""Does the comparison do what it says? Against fits without each person in turn, and on decisions of known origin."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp

import bayescal as bc
from bayescal.comparison.loo import from_mixture, psis, units_of_rows
from bayescal.comparison.pointwise import pointwise
from bayescal.comparison.recovery import recover_models
from bayescal.comparison.refit import left_out_together, refit
from bayescal.comparison.rivals import rivals
from bayescal.posterior.infer import infer
from bayescal.posterior.nuts import NUTS
from bayescal.study.load import Study

pytestmark = pytest.mark.slow


def market(people, rounds, **changes):
    """People who are each a monopolist so many times: fits of decisions without others compile in a third of the time
    of fits of equilibria, and comparisons do the same with them."""
    quantities = np.linspace(0, 60, 7)
    game = bc.NormalForm([quantities * (99 - quantities)], name="monopoly")
    columns = {
        "participant": np.repeat(np.arange(people), rounds),
        "round": np.tile(np.arange(1, rounds + 1), people),
        "action": np.resize(game.action_labels[0], people * rounds),
    }
    decisions = bc.Decisions.from_table(pd.DataFrame(columns | changes), {"monopoly": game})
    return Study("design", "A design", decisions, {"monopoly": game})


def test_weights_and_refits_agree_on_thirty_people():
    rng = np.random.default_rng(2)
    shares = rng.dirichlet([0.3, 1, 2, 1, 0.5, 0.3, 0.2], 30)  # people who differ
    actions = np.concatenate([rng.choice(7, 10, p=p) for p in shares])
    study = market(30, 10, action=actions)
    model = rivals(study, only=["different costs"]).models["different costs"]
    fit = infer(model, NUTS(draws=500, warmup=300, chains=2))
    told = pointwise(fit, "participant", study.decisions)
    by_weights = psis(told)
    rows = units_of_rows(model, "participant", {p: p for p in told.units}, told.units)
    assert rows is not None
    posterior = {str(n): x.to_numpy() for n, x in fit.tree["posterior"].to_dataset().data_vars.items()}
    again = refit(model, posterior, rows, 1 - np.eye(30), draws=400)
    assert again.failed == 0
    exact = np.diag(again.elpd) - told.taken_off
    # The error that the comparison reports is that of another sample of people; this one is much smaller.
    se = np.sqrt(30) * exact.std(ddof=1)
    assert abs(by_weights.elpd.sum() - exact.sum()) < 0.1 * se
    assert np.all(np.abs(by_weights.elpd - exact) < 0.1 + 5 * np.diag(again.error))
    # So does one mixture, whose weights are bounded; its own error is as that of so many refits' draws together.
    everybody = np.arange(30)
    found = left_out_together(model, posterior, rows, by_weights.elpd + told.taken_off, everybody)
    mixed, trusted = from_mixture(*found, everybody)
    assert trusted.all()
    assert np.all(np.abs(mixed - told.taken_off - exact) < 0.02 + 5 * np.diag(again.error))
    # The posterior with everybody inside would say something else.
    inside = logsumexp(told.values, axis=0) - np.log(len(told.values))
    assert inside.sum() - exact.sum() > 3 * abs(by_weights.elpd.sum() - exact.sum())


def test_the_true_explanation_wins_where_it_can_be_told():
    study = market(20, 10)
    models = rivals(study, only=["rational", "common cost", "different costs"]).models
    truths = {
        "rational": {"lapse": 0.4},
        "common cost": {"log_cost": 4.5},
        "different costs": {"log_mean": 4.5, "log_sd": 1.5},
    }
    found = recover_models(models, truths=truths, replicates=10, draws=200, warmup=150)
    apart = found.apart.to_numpy()
    assert apart[0, 1] and apart[1, 0] and apart[2, 0]  # the design is not for nothing
    # Nine in ten are asked for; ten comparisons of such a pair go wrong twice or more often once in four times.
    assert found.found.to_numpy()[apart].min() >= 0.8 and found.found.to_numpy()[apart].mean() >= 0.9
    assert np.diag(found.best).mean() >= 0.8
