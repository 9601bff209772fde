"""`bayescal simulate`: a table that the loader reads, and one sentence for each way of asking for the impossible."""

import io
import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

import bayescal as bc
from bayescal.cli import main


def run(*args: str):
    return CliRunner().invoke(main, ["simulate", *args], catch_exceptions=False)


PLAY = ("stag-hunt", "--cost", "0.5", "--seed", "1", "--groups", "3", "--rounds", "20")


def test_the_table_is_on_standard_output_and_the_summary_is_not():
    result = run(*PLAY)
    assert result.exit_code == 0
    table = pd.read_csv(io.StringIO(result.stdout))
    assert list(table) == ["participant", "group", "role", "round", "action", "payoff", "cost"]
    assert len(table) == 120 and (table["cost"] == 0.5).all()
    assert result.stderr == "120 decisions of 6 people in 3 groups of stag-hunt, solved exactly, seed 1\n"
    assert bc.Decisions.from_table(table, {"stag-hunt": bc.get_game("stag-hunt")}).total == 120


@pytest.mark.slow
def test_the_same_command_writes_the_same_table_on_any_number_of_devices(tmp_path):
    out = tmp_path / "new" / "play.csv"
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=5"}
    command = [sys.executable, "-m", "bayescal", "simulate", *PLAY, "--out", str(out)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "" and done.stderr.strip().endswith(str(out))
    assert out.read_text() == run(*PLAY).stdout
    assert run("stag-hunt", "--cost", "0.5", "--seed", "2", "--groups", "3", "--rounds", "20").stdout != out.read_text()


def test_a_file_of_payoffs_costs_by_role_and_a_prior(tmp_path):
    game, prior = tmp_path / "game.json", tmp_path / "prior.json"
    game.write_text(json.dumps({"payoffs": [[[1, 2], [3, 4], [5, 6]], [[6, 5], [4, 3], [2, 1]]]}))
    prior.write_text("[[1, 0, 0], [0, 1]]")
    result = run(str(game), "--cost", "0.1,5", "--prior", str(prior))
    table = pd.read_csv(io.StringIO(result.stdout), dtype=str)
    assert table.groupby("role", sort=False)[["action", "cost"]].agg(set).to_numpy().tolist() == [
        [{"0"}, {"0.1"}],
        [{"1"}, {"5.0"}],
    ]


def test_a_model_of_the_zoo_plays_its_own_game():
    args = ("cournot", "--phi", "log_mean=4,log_sd=0.5", "--psi", "pull=5", "--psi", "anchor=0.2", "--groups", "50")
    result = run(*args, "--set", "intercept=110")
    table = pd.read_csv(io.StringIO(result.stdout))
    assert table["cost"].nunique() == 100
    assert "cournot-2, played by the learned policy cournot, seed 0" in result.stderr
    habit = pd.read_csv(io.StringIO(run(*args, "--cost", "2400").stdout))
    assert habit["action"].mean() < table["action"].mean() - 3  # an anchor below what pays


def test_a_learned_policy_may_stand_in_for_the_exact_one():
    result = run("selten-chmura-03", "--cost", "1,2", "--policy", "normal-form-2x2", "--groups", "2")
    assert "selten-chmura-03, played by the learned policy normal-form-2x2" in result.stderr
    assert set(pd.read_csv(io.StringIO(result.stdout))["action"]) <= {"Up", "Down", "Left", "Right"}


def test_a_game_over_time_is_played_by_the_model_of_its_name_or_solved(tmp_path):
    out = tmp_path / "play.csv"
    result = run("dynamic-cournot", "--cost", "0.5,2", "--groups", "4", "--rounds", "25", "--out", str(out))
    assert result.exit_code == 0 and "dynamic-cournot, solved exactly" in result.stderr
    read = bc.Decisions.from_csv(out, {"dynamic-cournot": bc.get_game("dynamic-cournot")})
    assert read.total == 200 and read.play.masked == 0
    result = run("bus-engine", "--cost", "1", "--set", "RC=5", "--groups", "2")
    assert result.exit_code == 0 and "played by the learned policy bus-engine" in result.stderr


BAD = {
    "a game without a solution or a model": (("capacity-allocation", "--cost", "1"), "learned policy"),
    "an unknown game": (("stag-hnt", "--cost", "1"), "stag-hunt"),
    "an unknown model": (("cornot", "--cost", "1"), "did you mean cournot"),
    "a missing file": (("nowhere.json", "--cost", "1"), "no such file"),
    "a folder without a model": (("tests", "--cost", "1"), "tests"),
    "no cost": (("chicken",), "cost"),
    "a cost of zero": (("chicken", "--cost", "0"), "positive"),
    "a cost in words": (("chicken", "--cost", "low"), "not a list of numbers"),
    "too many costs": (("chicken", "--cost", "1,2,3"), "one for each role"),
    "two costs in one role": (("cournot-2", "--cost", "1,2"), "one for each role"),
    "no groups": (("chicken", "--cost", "1", "--groups", "0"), "--groups"),
    "no rounds": (("chicken", "--cost", "1", "--rounds", "0"), "--rounds"),
    "a negative seed": (("chicken", "--cost", "1", "--seed", "-1"), "--seed"),
    "phi for known costs": (("chicken", "--cost", "1", "--phi", "log_mean=1"), "everybody knows"),
    "no phi": (("cournot",), "log_mean"),
    "half a phi": (("cournot", "--phi", "log_mean=3"), "log_sd"),
    "a phi outside the box": (("cournot", "--phi", "log_mean=3,log_sd=9"), "outside the trained domain"),
    "an unknown psi": (("chicken", "--cost", "1", "--psi", "pull=3"), "has none"),
    "a psi without a number": (("cournot", "--phi", "log_mean=3,log_sd=1", "--psi", "pull"), "name=1.5"),
    "a setting twice": (("chicken", "--cost", "1", "--set", "a=3", "--set", "a=4"), "twice"),
    "an unknown setting": (("cournot-2", "--cost", "9", "--set", "tax=3"), "intercept"),
    "an infinite setting": (("cournot-2", "--cost", "9", "--set", "slope=inf"), "name=1.5"),
    "a setting that was not trained": (("cournot", "--phi", "log_mean=3,log_sd=1", "--set", "cost=3"), "trained at"),
    "an unknown policy": (("chicken", "--cost", "1", "--policy", "nonsense"), "no model"),
    "a policy for another game": (("cournot-3", "--cost", "9", "--policy", "cournot"), "was trained for"),
    "a prior and a policy": (("cournot", "--prior", "p.json", "--phi", "log_mean=3,log_sd=1"), "--prior"),
    "a missing prior": (("chicken", "--cost", "1", "--prior", "nowhere.json"), "nowhere.json: there is no such file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_on_standard_error(name, tmp_path):
    args, word = BAD[name]
    result = run(*args, "--out", str(tmp_path / "play.csv"))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert word in result.stderr
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_help_does_not_wait_for_jax():
    code = (
        "import sys; from bayescal.cli import main\n"
        "try: main(['simulate', '--help'])\n"
        "except SystemExit: print([m for m in ('jax', 'numpy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]") and "--phi" in done.stdout
