"""Decisions of games over time: from a table to a likelihood, an estimate and a posterior with closed forms."""

import json

import jax
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray as xr
from numpyro import handlers

import bayescal as bc
from bayescal.domain import Interval
from bayescal.environments.markov import MarkovGame
from bayescal.likelihood.choices import Chosen
from bayescal.posterior.grid import Grid
from bayescal.posterior.status import Problem
from bayescal.posterior.summary import share_at_bounds

POOLED = bc.populations.Homogeneous()
# One person in a state that stays: the first action pays 1 a round, whatever was done before.
COIN = MarkovGame(np.array([[[1.0, 0.0]]]), np.ones((1, 2, 1)), 0.5, name="coin", action_labels=[("heads", "tails")])


def table(heads=70, tails=30, people=2):
    actions = np.repeat(["heads", "tails"], [heads, tails])
    rows = {
        "participant": np.arange(len(actions)) % people, "round": np.arange(len(actions)) // people, "state": 0,
        "action": actions,
    }  # fmt: skip
    return pd.DataFrame(rows)


def model(decisions, **settings):
    return bc.build_model(bc.ExactPolicy(COIN), POOLED, decisions, **settings)


def test_the_likelihood_is_that_of_every_decision():
    decisions = bc.Decisions.from_table(table(), {"coin": COIN})
    built = model(decisions, hyperpriors={"log_cost": dist.Normal(0.0, 1.0)})
    with jax.enable_x64(True):
        seeded = handlers.seed(handlers.substitute(built, data={"log_cost": np.log(0.8)}), 0)
        site = handlers.trace(seeded).get_trace()["choice"]
        found = site["fn"].log_prob(site["value"])
    p = 1 / (1 + np.exp(-1 / 0.8))
    order = decisions.table["action"].to_numpy() == "heads"
    np.testing.assert_allclose(found, np.where(order, np.log(p), np.log(1 - p)), rtol=1e-9)


def test_maximum_likelihood_has_a_closed_form():
    decisions = bc.Decisions.from_table(table(), {"coin": COIN})
    found = bc.maximum_likelihood(model(decisions))
    assert found.converged
    odds = np.log(70 / 30)
    assert found.values["log_cost"] == pytest.approx(-np.log(odds), abs=1e-6)
    assert found.log_likelihood == pytest.approx(70 * np.log(0.7) + 30 * np.log(0.3), abs=1e-9)
    # d logit / d log cost is minus the logit, and the information of a logit is n p (1 - p).
    assert found.standard_errors["log_cost"] == pytest.approx(1 / (odds * np.sqrt(100 * 0.21)), rel=1e-4)


def test_the_data_that_say_nothing_are_owned_up_to():
    decisions = bc.Decisions.from_table(table(heads=100, tails=0), {"coin": COIN})
    assert not bc.maximum_likelihood(model(decisions)).converged  # the best cost is zero


def test_the_grid_is_the_posterior():
    decisions = bc.Decisions.from_table(table(), {"coin": COIN})
    fit = bc.infer(model(decisions, hyperpriors={"log_cost": dist.Normal(0.0, 1.0)}), Grid(points=81))
    x = np.linspace(-3, 3, 20_001)
    p = 1 / (1 + np.exp(-np.exp(-x)))
    density = np.exp(70 * np.log(p) + 30 * np.log(1 - p) - x**2 / 2 + 62)
    mean = (x * density).sum() / density.sum()
    sd = np.sqrt(((x - mean) ** 2 * density).sum() / density.sum())
    assert fit.converged, fit.status
    assert fit.provenance["grid"]["log_cost"]["mean"] == pytest.approx(mean, abs=0.002 * sd)
    assert fit.provenance["grid"]["log_cost"]["sd"] == pytest.approx(sd, rel=0.005)
    assert fit.tree["posterior"]["log_cost"].std().item() == pytest.approx(sd, rel=0.02)
    assert fit.tree["posterior_predictive"]["choice"].mean().item() == pytest.approx(0.3, abs=0.05)


def test_a_grid_that_is_too_small_says_so():
    decisions = bc.Decisions.from_table(table(), {"coin": COIN})
    fit = bc.infer(model(decisions), Grid(points=21, ranges={"log_cost": (0.2, 0.3)}, draws=100))
    assert fit.status.problems == (Problem.BEYOND_GRID,)
    assert not fit.converged


def test_a_grid_and_an_estimate_are_for_few_numbers():
    decisions = bc.Decisions.from_table(table(), {"coin": COIN})
    with pytest.raises(bc.InputError, match="A grid is for one to 3 scalar parameters"):
        bc.infer(model(decisions, by="participant"), Grid())
    with pytest.raises(bc.InputError, match="models without levels"):
        bc.maximum_likelihood(model(decisions, by="participant"))


def test_what_was_seen_before_is_worked_out_once():
    decisions = bc.Decisions.from_table(table(), {"coin": COIN})
    shapes = []

    class Counting(bc.ExactPolicy):
        def log_prob_cells(self, role, seen, cost, phi, psi, params):
            shapes.append(len(seen["state"]))
            return super().log_prob_cells(role, seen, cost, phi, psi, params)

    built = bc.build_model(Counting(COIN), POOLED, decisions, by="participant")
    with jax.enable_x64(True):
        handlers.trace(handlers.seed(built, 0)).get_trace()
    assert shapes == [2]  # one state, two people


def test_a_known_cost_and_parameters_of_the_game():
    decisions = bc.Decisions.from_table(table(), {"coin": COIN})
    with pytest.raises(bc.InputError, match="coin has no parameters RC; it has payoffs, transitions"):
        model(decisions, cost=1.0, parameters=("RC",))
    with pytest.raises(bc.InputError, match="a known cost is a positive number"):
        model(decisions, cost=-1.0)
    with pytest.raises(bc.InputError, match="one number can be inferred"):
        model(decisions, cost=1.0, parameters=("payoffs",))


def test_costs_that_all_know_cannot_differ_between_people():
    game = bc.get_game("dynamic-cournot")
    rows = [("a", "firm 1", 0, 1), ("b", "firm 2", 0, 2)]
    decisions = bc.Decisions.from_table(
        pd.DataFrame(rows, columns=["participant", "role", "state", "action"]).assign(round=1), {"market": game}
    )
    with pytest.raises(bc.InputError, match=r"would have to know each other's.*LogNormal"):
        bc.build_model(bc.ExactPolicy(game), POOLED, decisions, by="participant")


def test_chosen_is_a_distribution():
    log_probs = np.log(np.array([[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]]) + 1e-300)
    draws = Chosen(log_probs).sample(jax.random.key(0), (4000,))
    shares = np.stack([(draws == a).mean(axis=0) for a in range(3)], axis=1)
    np.testing.assert_allclose(shares, np.exp(log_probs), atol=4 * np.sqrt(0.25 / 4000))


def test_one_row_is_one_decision_and_games_are_not_mixed():
    with pytest.raises(bc.InputError, match="every row is one decision"):
        bc.Decisions.from_table(table().assign(n=2), {"coin": COIN})
    both = {"coin": COIN, "stag-hunt": bc.get_game("stag-hunt")}
    rows = pd.DataFrame({"game": ["coin", "stag-hunt"], "role": ["player 1", "row"], "round": 1, "state": 0})
    with pytest.raises(bc.InputError, match="mixes games over time with one-shot games"):
        bc.Decisions.from_table(rows.assign(action=["heads", "stag"]), both)


def test_the_hash_knows_what_was_seen():
    one = bc.Decisions.from_table(table(), {"coin": COIN}).data_hash
    game = MarkovGame(np.zeros((2, 1, 2)), np.full((2, 2, 2), 0.5), 0.5, action_labels=[("heads", "tails")])
    states = table().assign(state=lambda t: t["round"] % 2)
    assert bc.Decisions.from_table(states, {"coin": game}).data_hash != one


# Which rows, and of which file.
def test_rows_are_selected_by_a_question(tmp_path):
    from bayescal.table.files import read_csv
    from bayescal.table.query import select_rows

    path = tmp_path / "play.csv"
    table().assign(group="A").to_csv(path, index=False)
    read = read_csv(path)
    assert len(select_rows(read, "round < 3 and action == 'heads'", "play.csv")) == 6
    with pytest.raises(bc.InputError, match="holds for no row"):
        select_rows(read, "round > 1000", "play.csv")
    with pytest.raises(bc.InputError, match="its columns are participant, round"):
        select_rows(read, "rund > 1", "play.csv")
    import gzip

    (tmp_path / "play.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    pd.testing.assert_frame_equal(read_csv(tmp_path / "play.csv.gz"), read)


def test_a_parameters_own_end_is_no_wall():
    draws = {"psi_pull": np.zeros((1, 10)) + 0.01, "log_mean": np.zeros((1, 10)) + 0.01}
    posterior = xr.Dataset({n: (("chain", "draw"), x) for n, x in draws.items()})
    box = {"psi_pull": Interval(0.0, 10.0), "log_mean": Interval(0.0, 10.0)}
    assert share_at_bounds(posterior, box) == {"psi_pull": 1.0, "log_mean": 1.0}
    assert share_at_bounds(posterior, box, {"psi_pull": Interval(0.0)}) == {"psi_pull": 0.0, "log_mean": 1.0}


@pytest.mark.slow
def test_a_study_over_time_by_command(tmp_path):
    """Estimates as JSON; what cannot be estimated or does not fit the game is said in a sentence."""
    from click.testing import CliRunner

    from bayescal.cli import main

    (tmp_path / "dataset.toml").write_text(
        '[meta]\ntitle = "Buses"\n[games]\nbus-engine = "bus-engine"\n[model]\ncost = 1.0\nparameters = ["RC"]\n'
    )
    rows = {
        "participant": np.repeat([1, 2], 30),
        "round": np.tile(np.arange(30), 2),
        "state": np.tile(np.arange(30), 2),
    }
    buses = pd.DataFrame(rows).assign(action=lambda t: np.where(t["state"] == 29, "replace", "keep"))
    buses.to_csv(tmp_path / "decisions.csv", index=False)
    ask = lambda *more: CliRunner().invoke(main, ["calibrate", str(tmp_path), "--method", "mle", "--json", *more])
    done = ask("--set", "discount=0")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["status"].startswith("converged: ")
    assert found["decisions"] == 58
    # Without foresight an engine is replaced with odds exp(0.001 theta11 x - RC): the score of RC is zero.
    p = 1 / (1 + np.exp(found["RC"] - 0.001 * 2.293 * np.arange(1, 30)))
    assert 2 * p.sum() == pytest.approx(2, abs=1e-5)
    assert "is not NAME=VALUE" in ask("--set", "discount").stderr
    assert "cannot be built with colour" in ask("--set", "colour=red").stderr
    buses.assign(state=lambda t: t["state"].where(t.index != 12, 3)).to_csv(tmp_path / "decisions.csv", index=False)
    refused = ask()
    assert refused.exit_code == 2
    assert "line 14 holds 3 where the game makes it 11" in refused.stderr
    assert "--tolerance" in refused.stderr
