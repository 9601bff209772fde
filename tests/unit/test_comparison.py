"""The comparison of models: what is left out, by how much a model is ahead, and what may not be compared."""

import dataclasses
import itertools
import json
from importlib import import_module

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats.base import array_stats
from click.testing import CliRunner
from firms import Replies
from numpyro import handlers
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

import bayescal as bc
from bayescal.cli import main
from bayescal.comparison import compare, loo
from bayescal.comparison.compare import judge
from bayescal.comparison.loo import How, LeftOut, leave_one_out, parts_of, psis
from bayescal.comparison.pointwise import Pointwise, default_unit, pointwise, ways
from bayescal.comparison.recovery import _confusion, recover_models
from bayescal.comparison.refit import refit
from bayescal.comparison.rivals import Rivals
from bayescal.comparison.scores import Chances, calibration, predict_new, score
from bayescal.comparison.stacking import stack
from bayescal.comparison.sums import Units
from bayescal.comparison.verdict import clear
from bayescal.errors import InputError
from bayescal.model.build import build_model
from bayescal.populations import Homogeneous
from bayescal.posterior.fit import Fit
from bayescal.posterior.grid import Grid
from bayescal.posterior.infer import infer
from bayescal.posterior.psis import smoothed_weights
from bayescal.posterior.status import Problem, Status
from bayescal.study.load import Study

PEOPLE = ("a", "b", "c", "d", "e", "f")


def log_mean(values):
    """Log of the mean likelihood over draws."""
    return logsumexp(values, axis=0) - np.log(len(values))


def told(values, **changes):
    units = values.shape[1]
    whole = {
        "units": tuple(f"u{i}" for i in range(units)),
        "decisions": np.full(units, 10),
        "taken_off": np.zeros(units),
        "r_eff": 1.0,
        "copies": np.ones(units, int),
    }
    return Pointwise(values=values, **(whole | changes))


# --- Leaving out by weights -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def normal():
    """(log-likelihood of 30 normal numbers at draws of their mean, the exact leave-one-out density of each)."""
    rng = np.random.default_rng(1)
    y = rng.normal(0.3, 1.0, 30)
    draws = rng.normal(y.mean(), 1 / np.sqrt(30), 4000)  # a flat prior
    others = (y.sum() - y) / 29
    return norm.logpdf(y[None], draws[:, None], 1.0), norm.logpdf(y, others, np.sqrt(1 + 1 / 29))


def test_weights_leave_out_what_algebra_leaves_out(normal):
    values, exact = normal
    found = psis(told(values))
    assert found.k_hat.max() < 0.5
    # An sd of log-likelihoods of 0.4 at most and 4000 draws leave an error of about 0.01 in one unit.
    assert np.allclose(found.elpd, exact, atol=0.04)
    assert not np.allclose(log_mean(values), exact, atol=0.04)  # which is what the posterior says with them inside


def test_one_that_stands_alone_cannot_be_left_out_by_weights(normal):
    values, _ = normal
    far = np.random.default_rng(0).normal(0, 0.2, 4000)
    found = psis(told(np.column_stack([values, norm.logpdf(8.0, 5 * far, 0.2)])))
    assert list(found.bad) == [30]


@pytest.mark.parametrize("r_eff", [1.0, 0.3])
@pytest.mark.parametrize("draws", [30, 100, 1000])
def test_weights_are_smoothed_as_arviz_smooths_them(draws, r_eff):
    rng, spread = np.random.default_rng(draws), np.array([1e-4, 0.1, 1.0, 8.0])
    kinds = [rng.normal(size=(draws, 4)), rng.standard_t(2, (draws, 4)), -rng.exponential(size=(draws, 4))]
    values = np.concatenate([x * spread for x in kinds], axis=1)
    values[:, 0] = np.where(np.arange(draws) < 2, -np.arange(1.0, draws + 1), 0.0)  # a tail whose lowest are all alike
    log_w, k_hat = smoothed_weights(values, r_eff)
    expected, expected_k = array_stats.psislw(values.T, r_eff=r_eff)
    assert np.allclose(log_w.T, expected, atol=1e-10)
    assert np.allclose(k_hat, expected_k, atol=1e-10, equal_nan=True) and np.isnan(k_hat[0])


def test_a_likelihood_that_does_not_move_needs_no_weights():
    found = psis(told(np.full((100, 3), -2.0)))
    assert np.allclose(found.elpd, -2.0) and len(found.bad) == 0


def test_units_that_are_alike_count_as_often_as_they_are():
    rng = np.random.default_rng(0)
    values = rng.normal(-1, 0.1, (500, 3))
    copies = np.array([2, 1, 4])
    each = np.repeat(values, copies, axis=1)
    together = psis(told(values, copies=copies))
    assert together.elpd.sum() == pytest.approx(psis(told(each)).elpd.sum())
    few = judge_of({"m": together}, told(values, copies=copies))
    many = judge_of({"m": psis(told(each))}, told(each))
    assert few.table.loc["m", "se"] == pytest.approx(many.table.loc["m", "se"])


# --- Weights of models, and the verdict -------------------------------------------------------------------------------


def test_stacking_climbs_the_hill():
    rng = np.random.default_rng(0)
    points = rng.normal(-20, 2, (40, 3)) + np.array([0.0, 0.5, -1.0])
    weights = stack(points)

    def loss(z):
        w = np.exp(z - logsumexp(z))
        return -np.sum(logsumexp(points + np.log(w), axis=1))

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 5000})
    assert weights.sum() == pytest.approx(1)
    assert loss(np.log(weights + 1e-300)) <= best.fun + 1e-6


def test_units_of_hundreds_of_nats_do_not_break_stacking():
    points = np.array([[-900.0, -1000.0], [-1000.0, -905.0], [-800.0, -900.0]])
    # Each unit is told by one model only, so that the weights are the shares of units.
    assert np.allclose(stack(points), [2 / 3, 1 / 3], atol=1e-4)
    assert np.allclose(stack(points, np.array([1, 3, 1])), [2 / 5, 3 / 5], atol=1e-4)


def judge_of(left, first, statuses=None):
    return judge("participant", dict.fromkeys(left, first), left, statuses or dict.fromkeys(left, Status()))


def rivals_of(*ahead, units=30):
    """Models whose elpd differs by so much on average, the first the best."""
    rng = np.random.default_rng(0)
    base = rng.normal(-30, 5, units)
    noise = rng.normal(0, 1, (len(ahead), units))
    noise = noise - noise.mean(axis=1, keepdims=True)
    points = [base - a / units + e for a, e in zip(ahead, noise, strict=True)]
    left = {f"m{i}": LeftOut(x, np.zeros(units)) for i, x in enumerate(points)}
    return left, told(np.zeros((5, units)))


def test_errors_are_clustered_by_group():
    """Sixty people in twelve groups that share something: over repetitions, only the clustered error is right."""
    rng, group, ones = np.random.default_rng(1), np.arange(60) % 12, np.ones(60, int)
    x = rng.normal(-2, 1, (500, 60)) + rng.normal(0, 1, (500, 12))[:, group]
    sd = x.sum(axis=1).std()
    assert np.sqrt(np.mean([Units(ones, group).standard_error(row) ** 2 for row in x])) == pytest.approx(sd, rel=0.1)
    assert np.mean([Units(ones).standard_error(row) for row in x]) < 0.65 * sd
    alone = Units(ones).standard_error(x[0])
    assert Units(ones, np.arange(60)).standard_error(x[0]) == alone == pytest.approx(np.sqrt(60) * x[0].std(ddof=1))
    left = {"a": LeftOut(np.zeros(60), np.zeros(60)), "b": LeftOut(x[0], np.zeros(60))}
    first = told(np.zeros((5, 60)))
    group_of = {u: f"session {g}" for u, g in zip(first.units, group, strict=True)}
    statuses = dict.fromkeys(left, Status())
    found = judge("participant", dict.fromkeys(left, first), left, statuses, group_of=group_of)
    assert found.table.loc["b", "difference_se"] == Units(ones, group).standard_error(x[0])
    assert found.clusters == 12 and "60 participants in 12 groups, by which errors are clustered" in found.verdict
    assert judge_of(left, first).clusters == 0 and "groups" not in judge_of(left, first).verdict


def test_the_verdict_names_what_is_clear_and_what_is_not():
    left, first = rivals_of(0.0, 5.0, 100.0)
    found = judge_of(left, first)
    assert found.best == "m0"
    assert "cannot be told apart from m1" in found.verdict
    assert "beats m2 by 100 ± 8" in found.verdict
    close, far = found.conclusion.behind
    assert (found.conclusion.best, close.model, close.clear, far.clear) == ("m0", "m1", False, True)
    assert far.nats == pytest.approx(100) and far.se == found.table.loc["m2", "difference_se"]
    row = found.table.loc["m2"]
    assert row["difference"] == pytest.approx(-100)
    apart = found.pointwise["m2"] - found.pointwise["m0"]
    assert row["difference_se"] == pytest.approx(np.sqrt(30) * apart.std(ddof=1))


@pytest.mark.parametrize(("difference", "se", "expected"), [(-5.0, 2.0, True), (-5.0, 3.0, False), (-3.0, 0.1, False)])
def test_a_difference_is_clear_beyond_two_errors_and_four_nats(difference, se, expected):
    assert clear(difference, se) is expected


def test_a_fit_that_failed_is_shown_and_marked_and_not_in_the_verdict():
    left, first = rivals_of(0.0, 50.0, 100.0)
    failed = Status((Problem.DIVERGENCES,), {"r_hat": 1.2, "divergences": 7})
    found = judge_of(left, first, {"m0": failed, "m1": Status(), "m2": Status()})
    assert list(found.table.index) == ["m1", "m2", "m0"]
    assert found.best == "m1" and found.verdict.startswith("m1 beats m2 by 50")
    assert "cannot be trusted: m0 (transitions diverged)" in found.verdict
    assert found.table.loc["m0", "excluded"] and np.isnan(found.table.loc["m0", "weight"])
    assert found.conclusion.excluded == {"m0": "transitions diverged"} and found.trusted == ("m1", "m2")
    nobody = judge_of(left, first, dict.fromkeys(left, failed))
    assert nobody.best is None and nobody.verdict.startswith("No model can be named")


def test_weights_that_are_not_to_be_trusted_are_told():
    left, first = rivals_of(0.0, 50.0)
    left["m1"] = dataclasses.replace(left["m1"], k_hat=np.r_[0.9, 0.8, np.zeros(28)])
    found = judge_of(left, first)
    assert "m1 (2 above the limit of k-hat)" in found.verdict and found.conclusion.unreliable == {"m1": 2}
    left["m1"] = dataclasses.replace(left["m1"], how=How(refits=2))
    assert "k-hat" not in judge_of(left, first).verdict


def test_numbers_go_to_json_whatever_they_are():
    left, first = rivals_of(0.0, np.nan, units=1)
    assert json.loads(json.dumps(judge_of(left, first).as_dict(), allow_nan=False))["table"]["m0"]["se"] is None


def test_folds_keep_groups_together():
    units = tuple(f"p{i}" for i in range(12))
    group = {u: f"g{i // 3}" for i, u in enumerate(units)}
    parts = parts_of(units, group, 2, seed=0)
    assert [len(set(parts[3 * g : 3 * g + 3])) for g in range(4)] == [1, 1, 1, 1]
    assert sorted(np.bincount(parts)) == [6, 6]
    with pytest.raises(InputError, match="5 folds of 4 groups"):
        parts_of(units, group, 5, seed=0)


# --- Scores -----------------------------------------------------------------------------------------------------------


def test_scores_of_a_few_decisions():
    counts = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 2.0]])
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    values = np.array([[0.0, 10.0, 20.0], [0.0, 10.0, np.nan]])
    found = score(Chances(counts, p, None))
    assert found["share_predicted"] == 5 / 8 and found["mean_error"] is None
    assert found["log_score"] == pytest.approx((3 * np.log(0.5) + np.log(0.3) + 2 * np.log(0.2) + 2 * np.log(0.7)) / 8)
    # Medians are the first action of the first row and, where all is said of two actions, the second of the second.
    two = Chances(counts[:, :2], np.array([[0.5, 0.5], [0.4, 0.6]]), values[:, :2])
    assert score(two)["mean_error"] == pytest.approx((3 * 0 + 1 * 10 + 2 * 0) / 6)


def test_calibration_counts_what_came_true():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), 400)
    counts = np.stack([rng.multinomial(20, row) for row in p]).astype(float)
    right = calibration(Chances(counts, p, None))
    assert right["n"].sum() == 400 * 20 * 4
    inside = (right["low"] <= right["predicted"]) & (right["predicted"] <= right["high"])
    assert inside.mean() > 0.6  # of ten 90 % intervals, seven or more nine times in ten
    wrong = calibration(Chances(counts, p**3 / (p**3).sum(axis=1, keepdims=True), None))
    outside = (wrong["low"] > wrong["predicted"]) | (wrong["predicted"] > wrong["high"])
    assert outside.mean() > 0.7


# --- Fits -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hunt():
    """(decisions of six people in a stag hunt, the model of one cost, its fit)."""
    rng = np.random.default_rng(3)
    stag = bc.get_game("stag-hunt")
    rows = [
        {"participant": p, "group": f"g{i // 2}", "role": r, "action": a, "round": t}
        for i, p in enumerate(PEOPLE)
        for r in stag.role_names[:1]
        for t, a in enumerate(rng.choice(stag.action_labels[0], 12, p=[0.3 + 0.1 * i, 0.7 - 0.1 * i]))
    ]
    table = pd.DataFrame(rows)
    decisions = bc.Decisions.from_table(table, {"hunt": stag})
    model = build_model(Replies(stag), Homogeneous(), decisions, lapse=False)
    fit = infer(model, Grid(points=400), provenance={"data_hash": decisions.data_hash})
    return decisions, model, fit


def fixed(fit, **changes):
    """The fit with other constant or observed data, or another provenance."""
    groups = {g: fit.tree[g].to_dataset() for g in fit.tree.children}
    for name, change in changes.items():
        groups[name] = change(groups[name])
    return dataclasses.replace(fit, tree=xr.DataTree.from_dict(groups), provenance={})


def test_orders_of_counts_are_as_many_as_can_be_listed():
    counts = np.array([[3, 1, 0], [2, 2, 1], [0, 0, 5]])
    listed = [len(set(itertools.permutations(np.repeat(range(3), row)))) for row in counts]
    np.testing.assert_allclose(np.exp(ways(counts)), listed, rtol=1e-12)


def test_orders_of_counted_choices_are_taken_off(hunt):
    decisions, _, fit = hunt
    found = pointwise(fit, "participant")
    whole = fit.tree["log_likelihood"]["choices"].to_numpy().reshape(-1, len(PEOPLE))
    first = whole[:1] - ways(decisions.counts)
    assert found.units == PEOPLE and (found.decisions == 12).all()
    assert np.allclose(found.values[0], first)
    # Every order of these decisions together with all other orders is one count.
    share = np.exp(found.values[0][0] / 12)
    assert 0 < share < 1


def test_units_add_up(hunt):
    decisions, _, fit = hunt
    by = {unit: pointwise(fit, unit, decisions).values.sum(axis=1) for unit in ("participant", "group", "game")}
    assert pointwise(fit, "group", decisions).units == ("g0", "g1", "g2")
    for values in by.values():
        assert np.allclose(values, by["participant"])


def test_decisions_of_a_person_are_counted_one_by_one(hunt):
    decisions, model, fit = hunt
    found = pointwise(fit, "decision", decisions, model)
    assert found.copies.sum() == decisions.total
    whole = pointwise(fit, "participant")
    assert np.allclose((found.values * found.copies).sum(axis=1), whole.values.sum(axis=1), atol=1e-8)
    with pytest.raises(InputError, match="give its model too"):
        pointwise(fit, "decision")


@pytest.mark.slow
def test_a_refit_without_a_person_is_the_posterior_without(hunt):
    _, model, fit = hunt
    posterior = {str(n): x.to_numpy() for n, x in fit.tree["posterior"].to_dataset().data_vars.items()}
    weights = np.stack([np.ones(6), 1 - np.eye(6)[0], 1 - np.eye(6)[5]])
    found = refit(model, posterior, {"choices": np.arange(6)}, weights, draws=800)
    assert found.failed == 0
    values = pointwise(fit, "participant").values
    drawn = found.elpd - ways(hunt[0].counts)
    # The grid's own draws, reweighted without smoothing; 800 draws of a chain are worth 200.
    exact = [log_mean(values)[0], -log_mean(-values)[0], -log_mean(-values)[5]]
    error = 4 * 2 * np.array([found.error[0, 0], found.error[1, 0], found.error[2, 5]]) + 0.02
    assert np.all(np.abs(np.array([drawn[0, 0], drawn[1, 0], drawn[2, 5]]) - exact) < error)
    assert abs(log_mean(values)[5] - exact[2]) > 0.02  # it does matter whether one is there


def left_out_by(people, monkeypatch, policy=Replies):
    """(leave-one-out of people who hunt stags and hares so often, weights alone, the same worked out on a grid)."""
    stag = bc.get_game("stag-hunt")
    rows = [
        {"participant": p, "role": stag.role_names[0], "action": a}
        for p, times in people.items()
        for a, n in zip(("stag", "hare"), times, strict=True)
        for _ in range(n)
    ]
    decisions = bc.Decisions.from_table(pd.DataFrame(rows), {"hunt": stag})
    model = build_model(policy(stag), Homogeneous(), decisions, lapse=False)
    fit = infer(model, Grid(points=400))
    told = pointwise(fit, "participant", decisions)
    assert told.units == tuple(people)
    with jax.enable_x64(True):

        def terms(log_cost):
            trace = handlers.trace(handlers.substitute(handlers.seed(model, 0), {"log_cost": log_cost})).get_trace()
            parts = {n: s["fn"].log_prob(s["value"]) for n, s in trace.items() if n in ("log_cost", "choices")}
            return parts["log_cost"], parts["choices"]

        prior, each = (np.asarray(x) for x in jax.jit(jax.vmap(terms))(np.linspace(-12.0, 12.0, 20_001)))
    posterior = (prior + each.sum(axis=1))[:, None]
    exact = logsumexp(posterior, axis=0) - logsumexp(posterior - each, axis=0) - told.taken_off
    monkeypatch.setattr(loo, "_FEW", 0)  # the mixture, however few they are
    return leave_one_out(told, fit, model, "participant", {p: p for p in people}), psis(told), exact


@pytest.mark.slow
def test_whom_weights_cannot_leave_out_the_mixture_can(monkeypatch):
    people = dict.fromkeys("abcde", (6, 0)) | {"other": (0, 60)}
    found, weighted, exact = left_out_by(people, monkeypatch, bc.ExactPolicy)
    assert weighted.bad.tolist() == [5] and str(found.how) == "mixture for 1"
    # Some 300 effective draws, four standard errors.
    assert found.elpd == pytest.approx(exact, abs=4 / np.sqrt(300))


@pytest.mark.slow
def test_nobody_is_left_out_again_of_a_fit_that_is_excluded(hunt, monkeypatch):
    decisions, model, fit = hunt
    seen = {}

    def watched(told, fit, model, *rest, **options):
        seen[fit.converged] = model
        return LeftOut(told.values.mean(axis=0), np.zeros(len(told.units)))

    monkeypatch.setattr(import_module("bayescal.comparison.compare"), "leave_one_out", watched)
    failed = dataclasses.replace(fit, status=Status((Problem.R_HAT,)))
    found = bc.compare({"good": fit, "bad": failed}, {"good": model, "bad": model}, decisions)
    assert seen == {True: model, False: None}
    assert found.table["excluded"].to_dict() == {"good": False, "bad": True}


def test_a_fit_that_diverged_is_made_once_more_in_smaller_steps(hunt, monkeypatch, tmp_path):
    decisions, model, fit = hunt
    asked = []

    def calibrated(study, *, models, method, checkpoints=None, progress=None):
        asked.append((sorted(models), method.target_accept))
        found = {}
        for name in models:
            stats = xr.Dataset({"diverging": (("chain", "draw"), [[name == "wild" and len(asked) == 1, False]])})
            checkpoint = None if checkpoints is None else checkpoints / name
            if checkpoint is not None:
                checkpoint.touch()
            found[name] = dataclasses.replace(
                fixed(fit, sample_stats=lambda _, s=stats: s), provenance={"asked": len(asked)}, checkpoint=checkpoint
            )
        return found

    module = import_module("bayescal.comparison.study")
    monkeypatch.setattr(module, "calibrate", calibrated)
    compared = compare({"one": fit})
    monkeypatch.setattr(module, "compare", lambda fits, *rest, **options: compared)
    study = Study("hunt", "A hunt", decisions, dict(decisions.environments))
    fits, _ = bc.compare_study(study, among=Rivals({"tame": model, "wild": model}, {}), checkpoints=tmp_path)
    assert asked == [(["tame", "wild"], 0.8), (["wild"], 0.95)]
    assert {n: f.provenance["asked"] for n, f in fits.items()} == {"tame": 1, "wild": 2}
    # Both checkpoints stay until the fits are saved: a run that is killed before goes on from there.
    assert {n: f.checkpoint for n, f in fits.items()} == {n: tmp_path / n for n in fits}
    assert {p.name for p in tmp_path.iterdir()} == {"tame", "wild"}


@pytest.mark.slow
def test_a_mixture_of_parts_that_are_far_apart_is_not_trusted(monkeypatch):
    people = {"a": (100, 900), "b": (10, 990), "c": (400, 600), "d": (50, 950)}
    found, weighted, exact = left_out_by(people, monkeypatch)
    assert len(weighted.bad) >= 3 and found.how.refits
    assert found.elpd == pytest.approx(exact, abs=0.5)
    assert np.abs(weighted.elpd - exact).max() > 2


def test_a_refit_of_another_model_is_refused(hunt):
    _, model, fit = hunt
    with pytest.raises(InputError, match="no draws of log_cost"):
        refit(model, {}, {"choices": np.arange(6)}, np.ones((1, 6)))
    posterior = {"log_cost": fit.tree["posterior"]["log_cost"].to_numpy()}
    with pytest.raises(InputError, match="units are given for"):
        refit(model, posterior, {"choices": np.arange(5)}, np.ones((1, 5)))


@pytest.mark.slow
def test_folds_agree_with_one_at_a_time(hunt):
    _, model, fit = hunt
    fits, models = {"one": fit}, {"one": model}
    alone, parts = compare(fits, models), compare(fits, models, folds=3)
    assert parts.table.loc["one", "how"] == "3-fold"
    # Four people of six say nearly what five say.
    assert parts.table.loc["one", "elpd"] == pytest.approx(alone.table.loc["one", "elpd"], abs=1.5)
    with pytest.raises(InputError, match="give the models of one"):
        compare(fits, folds=3)
    assert alone.scores.loc["one", "floor"] >= alone.scores.loc["one", "log_score"] - 0.05
    assert set(alone.calibration["model"]) == {"one"}


def test_a_new_person_is_predicted_by_the_mean_over_draws(hunt):
    decisions, model, fit = hunt
    found = predict_new(model, fit, draws=400)
    costs = fit.tree["posterior"]["cost"].to_numpy().reshape(-1)
    policy = Replies(decisions.environments["hunt"])
    with jax.enable_x64(True):
        play = jax.jit(jax.vmap(lambda c: policy.log_prob_all(c, None, None, None)[0, 0]))
        stag = np.exp(play(np.quantile(costs, [0.1, 0.9])))
    assert np.allclose(found.sum(axis=1), 1)
    assert min(stag) - 0.02 <= found[0, 0] <= max(stag) + 0.02


def test_fits_of_other_decisions_are_refused(hunt):
    _, _, fit = hunt
    flipped = fixed(fit, observed_data=lambda d: d.assign(choices=d["choices"].isel(action=[1, 0]).drop_vars("action")))
    with pytest.raises(InputError, match=r"game hunt, participant a, role .* times in 'one' and .* times in 'other'"):
        compare({"one": fit, "other": flipped})
    wider = fixed(fit, constant_data=lambda d: d.assign(available=d["available"] & (d["action"] == 0)))
    with pytest.raises(InputError, match=r"hunt, role row has 2 actions in 'one' and 1 in 'other'"):
        compare({"one": fit, "other": wider})
    later = dataclasses.replace(fit, provenance={"data_hash": "another"})
    with pytest.raises(InputError, match="what was seen before decisions, the rounds or the covariates do"):
        compare({"one": fit, "other": later})
    finer = [dataclasses.replace(fit, provenance={"grids": [g]}) for g in ("5 values", "9 values")]
    with pytest.raises(InputError, match="the grid of 'one' is 5 values; the grid of 'other' is 9 values"):
        compare({"one": finer[0], "other": finer[1]})
    assert len(compare({"one": fit, "other": fit}).table) == 2


def test_what_cannot_be_asked_for(hunt, unchecked):
    _, _, fit = hunt
    with pytest.raises(InputError, match="at least one fit"):
        compare({})
    with unchecked(), pytest.raises(InputError, match="choose participant, group, game, decision"):
        compare({"one": fit}, unit="round")  # ty: ignore[invalid-argument-type]
    with pytest.raises(InputError, match=r"there is only one game .hunt., and nothing is left to predict it from"):
        compare({"one": fit}, unit="game")
    study = bc.load_study("selten-chmura", where="game == 'selten-chmura-01'")
    with pytest.raises(InputError, match="there is only one game"):  # before anything is fitted
        bc.compare_study(study, only=["common cost"], unit="game")
    assert default_unit({"cell_game": np.array(["hunt", "hunt"])}) == "decision"


def test_fits_that_were_saved_compare_like_fresh_ones(hunt, tmp_path):
    _, _, fit = hunt
    fit.save(tmp_path / "one.nc")
    again = compare({"one": Fit.load(tmp_path / "one.nc")})
    assert again.table.loc["one", "elpd"] == pytest.approx(compare({"one": fit}).table.loc["one", "elpd"])


# --- Could they be told apart? ----------------------------------------------------------------------------------------


def test_a_confusion_matrix_counts_who_wins():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (3, 3, 40, 25))  # (fitted, true, replicate, participant)
    right = np.zeros((3, 3, 1, 1))
    right[[0, 1, 2], [0, 1, 2]] = 0.5
    found = _confusion(["a", "b", "c"], noise + right)
    assert (np.diag(found.best) == 1).all() and (found.best.sum(axis=1) == 1).all()
    assert found.apart.to_numpy().sum() == 6 and "6 pairs" in found.verdict and "100%" in found.verdict
    assert found.ahead.loc["a", "b"] == pytest.approx(12.5, abs=0.5)
    nobody = _confusion(["a", "b", "c"], noise)
    assert not nobody.apart.to_numpy().any() and nobody.verdict.startswith("No two")
    # One that always loses although it is true: a wrong model would not pass.
    wrong = _confusion(["a", "b", "c"], noise + np.roll(right, 1, axis=0))
    assert (np.diag(wrong.best) == 0).all() and not wrong.apart.to_numpy().any()


def test_what_recovery_cannot_do(hunt):
    _, model, _ = hunt
    with pytest.raises(InputError, match="at least two"):
        recover_models({"one": model})
    with pytest.raises(InputError, match="costs are integrated out"):
        recover_models({"one": model, "two": model})


# --- The command line -------------------------------------------------------------------------------------------------


def test_the_command_compares_fits_that_were_saved(hunt, tmp_path):
    _, _, fit = hunt
    for name in ("one", "two"):
        fit.save(tmp_path / f"{name}.nc")
    paths = [str(tmp_path / f"{n}.nc") for n in ("one", "two")]
    done = CliRunner().invoke(main, ["compare", *paths, "--json", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert set(told["table"]) == {"one", "two"} and told["unit"] == "participant"
    assert "cannot be told apart" in told["verdict"]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == told
    shown = CliRunner().invoke(main, ["compare", *paths])
    assert shown.stdout.startswith("one predicts best, but cannot be told apart from two")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["selten-chmura", "x.nc"], "selten-chmura: compare one study, or saved fits"),
        (["selten-chmura", "nagel-1995"], "compare one study at a time"),
        (["x.nc", "--folds", "3"], "--folds: for a study"),
        (["selten-chmura", "--draws", "3"], "--draws is 3"),
        (["selten-chmura", "--only", "random play", "--unit", "participant"], "no column 'participant'"),
        (["selten-chmura", "--only", "magic"], "no rival model 'magic'"),
    ],
)
def test_the_command_says_what_is_wrong(asked, said, tmp_path):
    done = CliRunner().invoke(main, ["compare", *asked, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
    assert not list(tmp_path.rglob("*.json"))
