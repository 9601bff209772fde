"""Every check is shown a fit that is right, and one that it must catch."""

import dataclasses
import hashlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from firms import MARKET, Replies, table
from scipy.stats import norm

import bayescal as bc
import bayescal.diagnostics.recover
import bayescal.diagnostics.sbc
from bayescal.cli import main
from bayescal.diagnostics import Checks, check, loo_pit, predictive, sensitivity
from bayescal.diagnostics.computed import certificate_check
from bayescal.diagnostics.pit import left_out, pit_check
from bayescal.diagnostics.predictive import compared, play_statistics, predicts
from bayescal.diagnostics.replicates import Replicates
from bayescal.policies.base import PolicyFacts, PolicyKind
from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Problem, Status

CHAINS, DRAWS = 4, 500
SHARES, PERSON = "action shares (G²)", "most unusual person (G²)"
SEEN = np.random.default_rng(0).normal(1.0, 1.0, 10)


def normal_fit(prior=(0.0, 3.0), seen=SEEN, noise=1.0, draws=DRAWS, **provenance):
    """Numbers of known noise around a mean: draws of the exact posterior, and what else a fit holds."""
    rng = np.random.default_rng(1)
    precision = 1 / prior[1] ** 2 + len(seen) / noise**2
    centre = (prior[0] / prior[1] ** 2 + np.sum(seen) / noise**2) / precision
    x = centre + rng.normal(size=(CHAINS, draws)) / np.sqrt(precision)
    group = lambda **values: xr.Dataset({n: (("chain", "draw", "i")[: v.ndim], v) for n, v in values.items()})
    tree = {
        "posterior": group(mean=x),
        "prior": group(mean=rng.normal(*prior, size=(1, 500))),
        "log_prior": group(mean=norm.logpdf(x, *prior)),
        "log_likelihood": group(x=norm.logpdf(seen, x[..., None], noise)),
        "sample_stats": group(diverging=np.zeros((CHAINS, draws), bool), energy=rng.normal(size=(CHAINS, draws))),
        "observed_data": xr.Dataset(),
        "constant_data": xr.Dataset(),
    }
    return Fit(xr.DataTree.from_dict(tree), Status(), {"method": "NUTS", **provenance})


def changed(fit, group, **values):
    tree = fit.tree.copy(deep=True)
    for name, value in values.items():
        tree[group][name] = tree[group][name].copy(data=value)
    return Fit(tree, fit.status, fit.provenance)


def test_a_right_fit_passes():
    found = check(normal_fit())
    assert found.passed and found.computed and found.status.startswith("passed: none of 8 checks failed")
    assert {c.name for c in found.items if c.passed} == {
        "R-hat", "effective sample size (bulk)", "effective sample size (tail)", "divergences", "E-BFMI", "likelihood",
        "identifiability", "prior sensitivity",
    }  # fmt: skip
    # Without decisions nothing is said of people.
    assert not any(found[n].applies for n in ("posterior predictive", "prior predictive", "LOO-PIT"))
    json.dumps(found.as_dict(), allow_nan=False)
    assert str(found).endswith(found.status)


def walk(shape):
    return np.cumsum(np.random.default_rng(2).normal(size=shape), axis=1)


def first(n):
    return np.arange(CHAINS * DRAWS).reshape(CHAINS, DRAWS) < n


def apart(fit):
    return fit.tree["posterior"]["mean"] + np.array([[1], [0], [1], [0]])


@pytest.mark.parametrize(
    ("name", "said", "broken"),
    [
        ("divergences", "7 of 2,000", lambda f: changed(f, "sample_stats", diverging=first(7))),
        ("R-hat", "above it: mean", lambda f: changed(f, "posterior", mean=apart(f))),
        ("E-BFMI", "does not reach the tails", lambda f: changed(f, "sample_stats", energy=walk((CHAINS, DRAWS)))),
        ("effective sample size (bulk)", "fewer: mean", lambda f: normal_fit(draws=50)),
        ("effective sample size (tail)", "fewer: mean", lambda f: changed(f, "posterior", mean=walk((CHAINS, DRAWS)))),
        ("likelihood", "1 of 20,000", lambda f: changed(f, "log_likelihood", x=nan_at(f.tree["log_likelihood"]["x"]))),
        ("bounds of the trained domain", "log_mean (40%)", lambda f: at_walls(0.4)),
    ],
)  # fmt: skip
def test_broken_computations_are_caught(name, said, broken):
    found = check(broken(normal_fit()))
    assert found[name].passed is False and said in found[name].found and found[name].advice
    assert not found.computed and "the draws are not to be trusted" in found.status and name in found.status


def nan_at(x):
    values = x.to_numpy().copy()
    values[0, 0, 0] = np.nan
    return values


def at_walls(share):
    return normal_fit(posterior_share_at_the_walls={"log_mean": share, "log_sd": 0.0})


def test_walls_that_are_far_away_pass():
    assert check(at_walls(0.01))["bounds of the trained domain"].passed


def test_thecertificate_check():
    facts = PolicyFacts(PolicyKind.LEARNED, "AmortisedPolicy", "Uniform", learned=True).as_dict()
    learned = normal_fit(policy=facts)
    budget = {
        "total_variation": {"median": 0.004},
        "decisions_below_a_tenth_of_sd": {"phi.log_mean": {"median": 900.0}},
    }
    good = certificate_check(learned, budget, 800)
    assert good.passed and "900 decisions" in good.found
    many = certificate_check(learned, budget, 1000)
    assert many.warns and "--reweight" in many.advice
    assert certificate_check(learned, budget | {"total_variation": {"median": 0.2}}, 10).passed is False
    earlier = {"best_reply_gain": {"mean": -0.08, "standard error": 0.02}}  # a test that could hardly fail
    assert certificate_check(learned, earlier, 10).warns
    assert certificate_check(learned, None, 10).warns
    assert not certificate_check(normal_fit(), None, 10).applies
    solved = PolicyFacts(PolicyKind.SOLVED, "ExactPolicy", "Uniform", learned=False).as_dict()
    assert not certificate_check(normal_fit(policy=solved), None, 10).applies
    assert certificate_check(at_walls(0.0), None, 10).warns  # an earlier version's file does not name the policy
    assert check(normal_fit(policy=facts, certificate=budget)).certificate == budget


def test_what_the_prior_decides():
    """One number of great noise leaves the mean where it was assumed; ten that contradict a narrow prior do not."""
    driven = check(normal_fit(prior=(5.0, 0.3), seen=np.array([4.0]), noise=3.0))
    assert driven.sensitivity.loc["mean", "verdict"] == "prior-driven"
    assert (
        driven["prior sensitivity"].warns
        and "mean is determined by the hyperpriors" in driven["prior sensitivity"].found
    )
    assert driven["identifiability"].warns and driven.passed  # a warning is no failure
    torn = check(normal_fit(prior=(0.0, 0.3), seen=SEEN + 3))
    assert torn.sensitivity.loc["mean", "verdict"] == "prior and data disagree"
    # A prior that is the same everywhere moves nothing; of a likelihood with gaps nothing can be told.
    flat = normal_fit()
    assert sensitivity(changed(flat, "log_prior", mean=np.zeros((CHAINS, DRAWS)))).loc["mean", "prior"] == 0
    unsolved = sensitivity(changed(flat, "log_likelihood", x=nan_at(flat.tree["log_likelihood"]["x"])))
    assert unsolved.loc["mean", "verdict"] == "unknown"
    # Only hyperpriors are scaled, where the fit knows them.
    one = normal_fit(hyperpriors={"other": "Normal"})
    one.tree["log_prior"]["other"] = one.tree["log_prior"]["mean"] * 0
    assert sensitivity(one).loc["mean", "prior"] < 1e-6 < sensitivity(normal_fit()).loc["mean", "prior"]


def test_other_methods_have_other_checks():
    svi = normal_fit(**{"method": "SVI", "pareto_k_hat": 0.9, "weights_ess": 30.0})
    found = check(Fit(svi.tree, Status((Problem.FAR_GUIDE, Problem.STILL_RISING)), svi.provenance))
    assert [found[n].passed for n in ("guide", "effective sample size (weights)", "optimisation")] == [False] * 3
    assert "still rising" in found["optimisation"].found and found["optimisation"].advice == "Take more steps."
    assert check(Fit(svi.tree, Status(), svi.provenance))["optimisation"].passed
    grid = normal_fit(method="Grid")
    assert check(grid)["edge of the grid"].passed
    assert check(Fit(grid.tree, Status((Problem.BEYOND_GRID,)), grid.provenance))["edge of the grid"].passed is False


# Predictions of one-shot games


def counted(probabilities, decisions, draws=400):
    """A fit that predicts everybody's choices with these probabilities (cells, actions)."""
    rng = np.random.default_rng(3)
    totals = decisions.counts.sum(axis=1)
    drawn = np.stack([rng.multinomial(totals, probabilities) for _ in range(draws)])[None]
    cells = decisions.cells
    tree = {
        "observed_data": xr.Dataset({"choices": (("cell", "action"), decisions.counts)}),
        "posterior_predictive": xr.Dataset({"choices": (("chain", "draw", "cell", "action"), drawn)}),
        "constant_data": xr.Dataset(
            {
                f"cell_{n}": (("cell",), cells[n].astype(str).to_numpy(dtype=str))
                for n in ("game", "role", "participant")
            }
        ),
    }
    return Fit(xr.DataTree.from_dict(tree), Status(), {})


@pytest.fixture(scope="module")
def firms():
    """Eight firms, of which half produce much more than the others."""
    rng = np.random.default_rng(0)
    likely = np.array([[0.1, 0.3, 0.4, 0.1, 0.1, 0, 0], [0, 0, 0.1, 0.1, 0.3, 0.4, 0.1]])[[0, 1] * 4]
    rows = [(f"{p}", str(10 * a)) for p in range(8) for a in rng.choice(7, 20, p=likely[p])]
    decisions = bc.Decisions.from_table(pd.DataFrame(rows, columns=["participant", "action"]), {"m": MARKET})
    return decisions, likely


def test_predictions_of_ordered_actions(firms):
    decisions, likely = firms
    right = predictive(counted(likely, decisions), decisions)
    assert list(right.index) == ["mean action", "sd of actions", "spread of people", SHARES, PERSON]
    actions = decisions.table["action"].astype(str).astype(float)
    people = actions.groupby(decisions.table["participant"], observed=True).mean()
    observed = [actions.mean(), actions.std(ddof=0), people.std()]
    np.testing.assert_allclose(right["observed"].iloc[:3].astype(float), observed, rtol=1e-12)
    assert predicts(right, over_time=False).passed
    # Everybody alike: right on average, wrong in how people differ.
    alike = predictive(counted(np.tile(likely.mean(axis=0), (8, 1)), decisions), decisions)
    said = predicts(alike, over_time=False)
    assert said.passed is False and "spread of people is" in said.found and "mean action is" not in said.found
    assert alike.loc["mean action", "p"] > 0.01 and alike.loc["spread of people", "p"] < 0.01
    # A mean that is off, and an exactly predicted one.
    off = predictive(counted(np.roll(likely, 1, axis=1), decisions), decisions)
    assert off.loc["mean action", "p"] == 1e-4 and not off.loc["mean action", "inside"]
    with pytest.raises(bc.InputError, match=r"160 decisions and .* has 48"):
        predictive(counted(likely, decisions), bc.Decisions.from_table(table(), {"m": MARKET}))


def test_predictions_of_unordered_actions():
    game = bc.get_game("selten-chmura-01")
    rows = [(f"{r}{i}", r, a) for r, acts in (("row", ("Up", "Down")), ("column", ("Left", "Right")))
            for i in range(6) for a in [acts[0]] * (2 * i) + [acts[1]] * (10 - 2 * i)]  # fmt: skip
    decisions = bc.Decisions.from_table(pd.DataFrame(rows, columns=["participant", "role", "action"]), {"g": game})
    share = decisions.counts[:, 0] / 10
    right = predictive(counted(np.stack([share, 1 - share], axis=1), decisions), decisions)
    by_role = [f"spread of people in g · {role}" for role in ("row", "column")]
    assert set(right.index) == {"row: Up", "column: Left", "spread of people", SHARES, PERSON, *by_role}
    observed = right["observed"].drop([SHARES, PERSON, *by_role]).astype(float).sort_values()
    np.testing.assert_allclose(observed, sorted([0.5, 0.5, share.std(ddof=1)]))
    assert predicts(right, over_time=False).passed
    alike = predictive(counted(np.full((12, 2), 0.5), decisions), decisions)
    apart = predicts(alike, over_time=False).found
    assert "spread of people is" in apart and "row: Up" not in apart and SHARES not in apart  # the spread alone


# Predictions of games over time


def newsvendors(people=12, rounds=25, seed=0):
    """(decisions, probabilities of each): people who stay near their last order, and their order is their own."""
    game = bc.Newsvendor(demand=range(1, 11), orders=range(11), rounds=rounds)
    rng = np.random.default_rng(seed)
    rows, likely = [], []
    for p in range(people):
        own, usual = None, 3 + 4 * (p % 2)
        for t in range(rounds):
            centre = usual if own is None else 0.7 * own + 0.3 * usual
            q = norm.pdf(np.arange(11), centre, 1.2)
            likely.append(q / q.sum())
            own = rng.choice(11, p=likely[-1])
            rows.append((f"{p:02d}", f"{p:02d}", t + 1, str(own), float(rng.integers(1, 11))))
    columns = ["participant", "group", "round", "action", "demand"]
    return bc.Decisions.from_table(pd.DataFrame(rows, columns=columns), {"newsvendor": game}), np.array(likely)


def chosen(likely, decisions, draws=400):
    """A fit that predicts each decision with these probabilities."""
    rng = np.random.default_rng(4)
    seen = decisions.table["action_index"].to_numpy()[decisions.play.row]
    drawn = (rng.random((1, draws, len(seen), 1)) > np.cumsum(likely, axis=1)).sum(axis=-1)
    log_p = np.broadcast_to(np.log(likely[np.arange(len(seen)), seen]), (1, draws, len(seen)))
    tree = {
        "observed_data": xr.Dataset({"choice": (("decision",), seen)}),
        "posterior_predictive": xr.Dataset({"choice": (("chain", "draw", "decision"), drawn)}),
        "log_likelihood": xr.Dataset({"choice": (("chain", "draw", "decision"), log_p)}),
    }
    return Fit(xr.DataTree.from_dict(tree), Status(), {})


@pytest.fixture(scope="module")
def orders():
    return newsvendors()


def test_predictions_over_time(orders):
    decisions, likely = orders
    right = predictive(chosen(likely, decisions), decisions)
    played = decisions.table.assign(order=lambda t: t["action"].astype(str).astype(float))
    people = played.groupby("participant", observed=True)
    own, seen = people["order"].shift(), people["demand"].shift()
    change = played["order"] - own
    moved = own.notna() & (change != 0)
    facts = {
        "mean action": played["order"].mean(),
        "spread of people": people["order"].mean().std(),
        "changes towards what was seen": (np.sign(change) == np.sign(seen - own))[moved].mean(),
        "own autocorrelation": played["order"].corr(own),
        "response to what was seen": played["order"].corr(seen),
        "change from round to round": change.abs().mean(),
        "drift over rounds": played["order"][played["round"] > 13].mean()
        - played["order"][played["round"] <= 13].mean(),
    }
    np.testing.assert_allclose(right.loc[list(facts), "observed"].astype(float), list(facts.values()))
    said = predicts(right, over_time=True)
    assert said.passed and "one step ahead" in said.found
    # Predictions that overlook what was done before.
    forgot = predicts(
        predictive(chosen(np.tile(likely.mean(axis=0), (len(likely), 1)), decisions), decisions), over_time=True
    )
    assert (
        forgot.passed is False
        and "own autocorrelation" in forgot.found
        and "change from round to round" in forgot.found
    )
    with pytest.raises(bc.InputError, match=r"300 decisions and .* has 100"):
        predictive(chosen(likely, decisions), newsvendors(people=4)[0])


def statistics(name, **options):
    """Of what was recorded in a study: (by name, its table of the rows that are used)."""
    decisions = bc.load_study(name, **options).decisions
    used = decisions.table.iloc[decisions.play.row]
    done = np.stack([used["action_index"].to_numpy()] * 3)
    return {s.name: compared(s, done)[0] for s in play_statistics(decisions)}, used.assign(
        value=lambda t: t["action"].astype(str).astype(float)
    )


def test_statistics_of_chains_and_markets():
    beer, used = statistics("beer-game-simulated")
    retailer = used[used["role"] == "retailer"].groupby("group", observed=True)
    ratio = retailer["value"].var(ddof=0).mean() / retailer["demand"].var(ddof=0).mean()
    assert beer["bullwhip ratio, retailer"] == pytest.approx(ratio)
    assert {"bullwhip ratio, factory", "own autocorrelation"} <= set(beer)
    cobweb, used = statistics("cobweb-simulated")
    prices = (
        used.drop_duplicates(["group", "round"])
        .sort_values(["group", "round"])
        .groupby("group", observed=True)["price"]
    )
    assert cobweb["price variance"] == pytest.approx(prices.var(ddof=0).mean())
    now, last = prices.head(50), prices.shift()
    assert cobweb["price autocorrelation"] == pytest.approx(now[last.notna()].corr(last.dropna()))


def test_statistics_of_dilemmas_and_engines():
    """What the other did is told from one's own place; engines are replaced at a mileage."""
    game = bc.repeated_dilemma()
    after = {1: 0.9, 2: 0.4, 3: 0.6, 4: 0.1, 0: 0.5}  # player 1 after state: 2 is that player 2 defected
    rows = []
    for state, share in after.items():
        for role in ("player 1", "player 2"):
            seen = {2: 3, 3: 2}.get(state, state) if role == "player 2" else state
            rows += [
                (f"{role}", role, 10 * seen + i, "cooperate" if i < 10 * share else "defect", seen) for i in range(10)
            ]
    columns = ["participant", "role", "round", "action", "state"]
    decisions = bc.Decisions.from_table(pd.DataFrame(rows, columns=columns), {"g": game})
    done = np.stack([decisions.table["action_index"].to_numpy()[decisions.play.row]] * 3)
    found = {s.name: compared(s, done)[0] for s in play_statistics(decisions)}
    names = ("in first rounds", "after both cooperated", "after the other defected", "after defecting alone",
             "after both defected")  # fmt: skip
    for state, share in after.items():
        assert found[f"cooperation {names[state]}"] == pytest.approx(share)

    rows = [
        ("bus", t, a, s)
        for t, (a, s) in enumerate([("keep", 3), ("keep", 9), ("replace", 11), ("keep", 1), ("replace", 7)])
    ]
    engine = bc.BusEngine()
    labels = dict(zip(("keep", "replace"), engine.action_labels[0], strict=True))
    table_ = pd.DataFrame(rows, columns=["participant", "round", "action", "state"]).replace({"action": labels})
    decisions = bc.Decisions.from_table(table_, {"bus": engine})
    done = np.stack([decisions.table["action_index"].to_numpy()[decisions.play.row]] * 3)
    found = {s.name: compared(s, done)[0] for s in play_statistics(decisions)}
    assert found["replacements"] == 2 and found["mileage at replacement"] == 9.0
    assert found["spread of mileage at replacement"] == pytest.approx(2.0)


# Where decisions lie in what was predicted


def test_leaving_out_is_exact():
    """Eight throws of a coin with a uniform prior: without one of them, the chance of a head is (1 + heads) / 9."""
    y = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    p = np.random.default_rng(5).beta(1 + y.sum(), 1 + (1 - y).sum(), size=20_000)[:, None]
    log_p = np.where(y == 1, np.log(p), np.log1p(-p))
    below, at = np.where(y == 1, 1 - p, 0.0), np.exp(log_p)
    low, own, k_hat = left_out(below, at, log_p)
    head = (1 + y.sum() - y) / 9
    # 20,000 draws of sd 0.15, with uneven weights.
    np.testing.assert_allclose(own, np.where(y == 1, head, 1 - head), atol=4 * 0.15 / np.sqrt(5000))
    np.testing.assert_allclose(low, np.where(y == 1, 1 - head, 0.0), atol=4 * 0.15 / np.sqrt(5000))
    assert (k_hat < 0.7).all()


def test_places_of_decisions(orders):
    decisions, likely = orders
    pit = lambda p: loo_pit(chosen(p, decisions), decisions)
    right = pit(likely)
    assert pit_check(right, decisions).passed and right["k_hat_bad"] == 0 and right["decisions"] == 300
    assert ((right["low"] <= right["ecdf"]) & (right["ecdf"] <= right["high"])).all()
    high = pit_check(pit(np.roll(likely, 1, axis=1) + 1e-9), decisions)
    assert high.passed is False and high.found.endswith("predictions are too high")
    flat = likely**0.3 / np.sum(likely**0.3, axis=1, keepdims=True)
    sharp = likely**3 / np.sum(likely**3, axis=1, keepdims=True)
    assert pit_check(pit(flat), decisions).found.endswith("predictions are too wide")
    assert pit_check(pit(sharp), decisions).found.endswith("predictions are too narrow")


def test_weights_that_fail_are_told(orders):
    decisions, likely = orders
    fit = chosen(likely, decisions)
    noisy = 3 * np.random.default_rng(0).normal(size=fit.tree["log_likelihood"]["choice"].shape)
    said = pit_check(loo_pit(changed(fit, "log_likelihood", choice=noisy), decisions), decisions)
    assert said.warns and "cannot be left out" in said.found
    # Too few draws for a tail: nothing is told; draws that do not differ need no weights.
    few = noisy[0, :20]
    assert np.isinf(left_out(few * 0, few * 0 + 1, few)[2]).all()
    same = np.ones((20, 3))
    low, own, k_hat = left_out(0.2 * same, 0.5 * same, np.log(0.5 * same))
    np.testing.assert_allclose([low, own, k_hat], [[0.2] * 3, [0.5] * 3, [0] * 3])


# All of it


@pytest.mark.slow
def test_a_model_and_its_study():
    """People with costs of their own: probabilities come from the model, and other decisions are refused."""
    decisions = bc.Decisions.from_table(table(), {"m": MARKET})
    model = bc.build_model(Replies(MARKET), bc.populations.Homogeneous(), decisions)
    fit = bc.infer(model, bc.NUTS(draws=200, warmup=150, chains=2), provenance={"data_hash": decisions.data_hash})
    found = check(fit, model)
    assert isinstance(found, Checks) and found["LOO-PIT"].applies and len(found.pit["values"]) == decisions.total
    assert found["posterior predictive"].applies and found["prior predictive"].applies
    known = {"mean action", "sd of actions", "spread of people", SHARES, PERSON, "repetition"}
    assert set(found.predictive.index) == known and not found["new people"].applies  # one cost for all
    assert set(found.sensitivity.index) == {"log_cost"}
    told = found.as_dict()
    assert told["predictive"]["mean action"]["observed"] == pytest.approx(
        found.predictive.loc["mean action", "observed"]
    )
    json.dumps(told, allow_nan=False)
    # Without the model the probabilities of actions are not known.
    study = bc.Study("made", "made", decisions, {"m": MARKET})
    assert not check(fit, study=study)["LOO-PIT"].applies
    study = dataclasses.replace(study, decisions=bc.Decisions.from_table(table(seed=1), {"m": MARKET}))
    with pytest.raises(bc.InputError, match="other decisions than those that were fitted"):
        check(fit, study=study)


# From the command line


def run(*words):
    return CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False)


def test_fits_from_the_command_line(tmp_path):
    good = normal_fit().save(tmp_path / "good.nc")
    bad = changed(normal_fit(), "sample_stats", diverging=first(7)).save(tmp_path / "bad.nc")
    done = run("check", good, "--strict")
    assert done.exit_code == 0 and "good: passed: none of" in done.stdout
    assert (
        "so fewer checks are made" in " ".join(done.stdout.split()) or "which study they were made from" in done.stdout
    )
    assert run("check", good, bad).exit_code == 0  # said in words
    told = run("check", good, bad, "--json", "--strict")
    assert told.exit_code == 1
    fits = json.loads(told.stdout)["fits"]
    assert fits["good"]["passed"] and not fits["bad"]["passed"]
    (failed,) = (c for c in fits["bad"]["checks"] if c["passed"] is False)
    assert failed["name"] == "divergences" and failed["advice"]
    for words, said in {
        ("selten-chmura", good): "check one study, or saved fits",
        ("nothing-here",): "nothing-here",
    }.items():
        refused = run("check", *words)
        assert refused.exit_code == 2 and said in refused.stderr and refused.stderr.count("\n") == 1


TOML = """
[meta]
title = "One game"
units = "points"
sha256 = "{sha256}"
[games]
T1 = "selten-chmura-01"
"""


def test_simulations_from_the_command_line(tmp_path, monkeypatch):
    """Posteriors that are right by construction, and ones that are half an sd too low where an error is planted."""
    text = "game,role,action,n\nT1,row,Up,30\nT1,row,Down,90\nT1,column,Left,80\nT1,column,Right,40\n"
    (tmp_path / "decisions.csv").write_text(text)
    (tmp_path / "dataset.toml").write_text(TOML.format(sha256=hashlib.sha256(text.encode()).hexdigest()))

    def replicate(model, truth, replicates, kept, warmup, target_accept, seed, progress):
        rng, shape = np.random.default_rng(0), (replicates, 1)
        at = rng.normal(size=shape)
        around = (at + rng.normal(size=shape)) / 2 - (0 if truth is None else 0.5)
        drawn = around[:, None] + np.sqrt(0.5) * rng.normal(size=(replicates, 990, 1))
        progress(replicates, replicates)
        return Replicates(("log_cost",), at, drawn, np.zeros(replicates, int), 0.0, 0.0)

    for kind in ("sbc", "recover"):
        monkeypatch.setattr(sys.modules[f"bayescal.diagnostics.{kind}"], "replicate", replicate)
    for command, fine in (("recover", "recovered"), ("sbc", "calibrated")):
        done = run(command, tmp_path, "--replicates", 100, "--self-test", "--strict", "--json")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert told["model"] == "pooled" and told["pooled"][fine] and not told["self-test"][fine]
        assert told["pooled"]["replicates"] == 100 and "fail, as they should" in told["notes"][0]
        shown = run(command, tmp_path, "--replicates", 100)
        assert shown.exit_code == 0 and f"pooled: {fine}" in shown.stdout
        refused = run(command, tmp_path, "--model", "by game")
        assert refused.exit_code == 2 and "it has pooled" in refused.stderr


@pytest.mark.slow
def test_a_rival_on_a_learned_policy_has_its_certificate_checked_and_its_predictions():
    """The description of a rival is its own sentence and does not name the policy's class."""
    study = bc.load_study("cournot-simulated", where="group in ['g001','g002']")
    model = bc.rivals(study, only=["different costs"]).models["different costs"]
    fit = bc.infer(model, bc.Grid(points=8, draws=40))
    assert fit.provenance["policy"]["name"] == "AmortisedPolicy" and "AmortisedPolicy" not in model.description
    checks = bc.check(fit, model, study)
    assert checks["certificate of the policy"].applies and checks.certificate
    alone = bc.check(fit, model)
    assert alone["certificate of the policy"].warns  # it is not known where the certificate is
    assert alone["posterior predictive"].applies


def test_rivals_of_types_have_their_predictions_checked():
    study = bc.Study("made", "made", bc.Decisions.from_table(table(), {"m": MARKET}), {"m": MARKET})
    model = bc.rivals(study, only=["level-k"]).models["level-k"]
    fit = bc.infer(model, bc.NUTS(draws=10, warmup=10, chains=1))
    assert fit.provenance["policy"]["kind"] == "levels"
    assert bc.check(fit, model)["posterior predictive"].applies
