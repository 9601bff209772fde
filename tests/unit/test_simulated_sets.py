"""The data sets that come with bayescal and are made up: they say so, they load, and they can be made again."""

import shlex
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bayescal.cli import main
from bayescal.study import load_study
from bayescal.training import load_model

DATA = Path(__file__).parents[2] / "data"
SETS = ("beer-game-simulated", "cobweb-simulated", "cournot-simulated")


@pytest.mark.parametrize("name", SETS)
def test_a_simulated_set_says_so_and_loads(name):
    study = load_study(name)
    assert "simulated" in study.title
    assert study.decisions.snapped == 0
    if study.decisions.play is not None:
        assert study.decisions.play.masked == 0
    # The policy that is named as the likelihood answers for the game.
    policy = load_model(study.policy)
    (environment,) = study.environments.values()
    assert policy.play(environment, policy.population).environment.name == environment.name
    meta = tomllib.loads((DATA / name / "dataset.toml").read_text())["meta"]
    assert len(study.decisions.levels("participant")) == meta["people"]
    assert study.decisions.total == meta["decisions"]
    assert (DATA / name / "decisions.csv").stat().st_size < 150_000


@pytest.mark.parametrize("name", SETS)
def test_true_costs_are_in_the_table_and_log_normal(name):
    cost = pd.read_csv(DATA / name / "decisions.csv").groupby("participant")["cost"]
    assert (cost.nunique() == 1).all()
    log_cost = np.log(cost.first())
    # The sets were drawn with sd 0.5; five standard errors of it.
    assert abs(log_cost.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * len(log_cost))


@pytest.mark.parametrize("name", ["cournot-simulated"])
def test_a_simulated_set_is_made_again_by_its_command(tmp_path, name):
    meta = tomllib.loads((DATA / name / "dataset.toml").read_text())["meta"]
    program, *words = shlex.split(meta["source"])
    assert program == "bayescal"
    done = CliRunner().invoke(main, [*words, "--out", str(tmp_path / "again.csv")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    again, there = pd.read_csv(tmp_path / "again.csv"), pd.read_csv(DATA / name / "decisions.csv")
    # Costs are floats of the machine that drew them.
    pd.testing.assert_frame_equal(again.drop(columns="cost"), there.drop(columns="cost"))
    np.testing.assert_allclose(again["cost"], there["cost"], rtol=1e-5)
