"""The commands: what they print, and one sentence for each way of asking for the impossible."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from bayescal.cli import main


def run(*args: str):
    return CliRunner().invoke(main, list(args), catch_exceptions=False)


def test_solve_prints_json_and_nothing_else(tmp_path):
    game = tmp_path / "game.json"
    payoffs = np.random.default_rng(0).normal(size=(3, 2, 3, 2)).round(2)
    game.write_text(json.dumps({"payoffs": payoffs.tolist()}))
    result = run("solve", str(game), "--cost", "0.5,1,2", "--x64", "--json")
    out = json.loads(result.stdout)
    assert set(out) == {
        "status", "strategies", "strategies_by_type", "residual", "exploitability", "stable", "forked"
    }  # fmt: skip
    assert out["status"] == "converged" and result.exit_code == 0
    assert out["strategies_by_type"] is None
    assert [len(row) for row in out["strategies"]] == [2, 3, 2]
    assert all(abs(sum(row) - 1) < 1e-12 for row in out["strategies"])
    assert out["residual"] < 1e-9


def test_solve_with_types_prior_and_start(tmp_path):
    prior = tmp_path / "prior.json"
    prior.write_text("[[0.7, 0.3], [0.2, 0.8]]")
    args = ("solve", "selten-chmura-01", "--types", "[[0.2, 0.3], [1, 0.7]]", "--prior", str(prior), "--json")
    out = json.loads(run(*args).stdout)
    assert np.shape(out["strategies_by_type"]) == (2, 2, 2)
    mixed = np.einsum("k,pka->pa", [0.3, 0.7], out["strategies_by_type"])
    np.testing.assert_allclose(out["strategies"], mixed, atol=1e-6)
    start = tmp_path / "start.json"
    start.write_text("[[0.99, 0.01], [0.99, 0.01]]")
    near = json.loads(run("solve", "stag-hunt", "--cost", "0.2", "--start", str(start), "--json").stdout)
    assert near["strategies"][0][0] > 0.9


def test_every_player_of_a_symmetric_game_is_reported():
    out = json.loads(run("solve", "volunteers-dilemma", "--cost", "0.1", "--json").stdout)
    assert len(out["strategies"]) == 3


def test_both_arms_of_a_fork_can_be_asked_for():
    """Chicken is symmetric: its arms are mirror images."""
    out, other = (
        json.loads(run("solve", "chicken", "--cost", "0.5", "--arm", a, "--json").stdout) for a in ("first", "other")
    )
    assert out["forked"] and out["stable"] and other["forked"] and out["strategies"][0][0] < 0.2
    np.testing.assert_allclose(out["strategies"], other["strategies"][::-1], atol=1e-9)
    assert "--arm" in run("solve", "chicken", "--cost", "0.5").stdout


def test_solve_prints_a_table():
    result = run("solve", "chicken", "--cost", "1")
    assert "yield" in result.stdout and "converged" in result.stdout


def test_what_did_not_converge_is_said_and_has_no_numbers(monkeypatch):
    nothing = np.full((2, 2), np.nan)
    unsolved = SimpleNamespace(
        converged=False, message="stopped: the path turned back", strategies=nothing,
        strategies_by_type=nothing[:, None], residual=np.nan, exploitability=nothing[0], stable=False, forked=False,
    )  # fmt: skip
    monkeypatch.setattr("bayescal.cli.solve._solved_small", lambda *asked: False)
    monkeypatch.setattr("bayescal.cli.solve._solve", lambda *asked: unsolved)
    result = run("solve", "chicken", "--cost", "1", "--json")
    out = json.loads(result.stdout)
    assert result.exit_code == 1
    assert out["status"] == "stopped: the path turned back"
    assert out["strategies"][0][0] is None and out["residual"] is None
    said = " ".join(run("solve", "chicken", "--cost", "1").stdout.split())
    assert "stopped: the path turned back. Try a higher cost." in said and "best reply" not in said


def test_games_are_solved_in_float64_whether_or_not_it_is_asked_for():
    solved = [run("solve", "chicken", "--cost", "1e-4", "--json", *flag).stdout for flag in ((), ("--x64",))]
    out, old = map(json.loads, solved)
    assert out == old and out["status"] == "converged"
    assert all(abs(sum(row) - 1) < 1e-12 for row in out["strategies"])


def test_games_are_listed():
    rows = json.loads(run("games", "--json").stdout)
    assert {"selten-chmura-12", "cournot-3", "request-11-20"} <= {row["name"] for row in rows}
    assert "stag-hunt" in run("games").stdout


def test_version():
    assert run("version").stdout.strip()[0].isdigit()


BAD = {
    "an unknown game": (("solve", "stag-hnt", "--cost", "1"), "stag-hunt"),
    "a missing file": (("solve", "nowhere.json", "--cost", "1"), "no such file"),
    "no cost": (("solve", "chicken"), "--cost"),
    "cost and types": (("solve", "chicken", "--cost", "1", "--types", "[[1, 1]]"), "both"),
    "a cost of zero": (("solve", "chicken", "--cost", "0"), "positive"),
    "a negative cost": (("solve", "chicken", "--cost", "-1"), "positive"),
    "a cost that is NaN": (("solve", "chicken", "--cost", "nan"), "positive"),
    "an infinite cost": (("solve", "chicken", "--cost", "inf"), "positive"),
    "a cost in words": (("solve", "chicken", "--cost", "low"), "not a list of numbers"),
    "too many costs": (("solve", "chicken", "--cost", "1,2,3"), "2 players"),
    "different costs in a symmetric game": (("solve", "cournot-2", "--cost", "1,2"), "symmetric"),
    "types that are not pairs": (("solve", "chicken", "--types", "[1, 2]"), "pairs"),
    "types with a negative cost": (("solve", "chicken", "--types", "[[-1, 1]]"), "positive"),
    "types that do not sum to one": (("solve", "chicken", "--types", "[[1, 0.5]]"), "sum to"),
    "types of three numbers": (("solve", "chicken", "--types", "[[1, 0.5, 0.5]]"), "pairs"),
    "types in words": (("solve", "chicken", "--types", '["12"]'), "pairs"),
    "types that are true": (("solve", "chicken", "--types", "[[1, true]]"), "pairs"),
    "types that are an object": (("solve", "chicken", "--types", '{"12": 3}'), "pairs"),
    "no types": (("solve", "chicken", "--types", "[]"), "empty"),
    "a missing prior": (
        ("solve", "chicken", "--cost", "1", "--prior", "nowhere.json"),
        "nowhere.json: there is no such file",
    ),
    "a missing start": (
        ("solve", "chicken", "--cost", "1", "--start", "nowhere.json"),
        "nowhere.json: there is no such file",
    ),
    "an unknown study": (("calibrate", "selten-chmra"), "selten-chmura"),
    "no draws": (("calibrate", "selten-chmura", "--draws", "0"), "--draws"),
    "too few draws": (("calibrate", "selten-chmura", "--draws", "3"), "at least 10"),
    "no chains": (("calibrate", "selten-chmura", "--chains", "0"), "--chains"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_on_standard_error(name):
    args, word = BAD[name]
    result = run(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert word in result.stderr
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("not json", "not JSON"),
        ("[1, 2]", "payoffs"),
        ('{"payoffs": [[[1, 2], [3, 4]]]}', "1 payoff tables"),
        ('{"payoffs": [[[1, 2], [3]], [[1, 2], [3, 4]]]}', "ragged"),
        ('{"payoffs": [[[1, "x"], [3, 4]], [[1, 2], [3, 4]]]}', "not all numbers"),
        ('{"payoffs": [[[1, NaN], [3, 4]], [[1, 2], [3, 4]]]}', "NaN is not a finite number"),
        ('{"payoffs": [[1, 2], [3, 4]]}', "dimensions"),
    ],
)
def test_bad_game_files(tmp_path, content, word):
    game = tmp_path / "game.json"
    game.write_text(content)
    result = run("solve", str(game), "--cost", "1", "--json")
    assert result.exit_code == 2 and result.stdout == ""
    assert "game.json" in result.stderr and word in result.stderr


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[[0.5, 0.5]]", "rows of length"),
        ("[[0.5, 0.4], [0.5, 0.5]]", "sum to"),
        ("[[0.5, -0.5], [0.5, 0.5]]", "non-negative"),
        ("{}", "a list of lists of probabilities"),
    ],
)
def test_bad_prior_files(tmp_path, content, word):
    prior = tmp_path / "prior.json"
    prior.write_text(content)
    result = run("solve", "chicken", "--cost", "1", "--prior", str(prior))
    assert result.exit_code == 2 and "prior.json" in result.stderr and word in result.stderr


@pytest.mark.parametrize("option", ["game", "--prior", "--start"])
def test_a_file_that_is_a_folder_or_not_text_is_one_sentence(tmp_path, option):
    folder, bytes_ = tmp_path / "folder.json", tmp_path / "bytes.json"
    folder.mkdir()
    bytes_.write_bytes(b"\xff\xfe\x00")
    for path in (folder, bytes_):
        args = ("solve", str(path)) if option == "game" else ("solve", "chicken", option, str(path))
        result = run(*args, "--cost", "1", "--json")
        assert result.exit_code == 2
        assert result.stdout == ""
        assert path.name in result.stderr
        assert result.stderr.count("\n") == 1


def test_an_unwritable_folder_is_refused_before_the_work(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    result = run("calibrate", "selten-chmura", "--out", str(blocker / "new" / "deeper"))
    assert result.exit_code == 2 and "cannot be written" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
    assert blocker.read_text() == "in the way"


@pytest.mark.slow
def test_calibrate_writes_a_report_and_prints_json(tmp_path):
    args = ["calibrate", "selten-chmura", "--json", "--draws", "50", "--warmup", "100", "--chains", "2"]
    command = [sys.executable, "-m", "bayescal", *args, "--seed", "3", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    out = json.loads(done.stdout)
    assert set(out["fits"]) == {"pooled", "by game"}
    assert 1.1 < out["fits"]["pooled"]["summary"]["precision"]["mean"] < 1.4
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"report.html", "report.json", "figures", "pooled.nc", "by-game.nc", "manifest.json"}
