"""`bayescal data template`: a study that can be read as it is, whatever the layout of its table."""

import errno
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bayescal as bc
from bayescal.cli import main
from bayescal.cli.template import _by_chance
from bayescal.environments.named import GAMES, get_game
from bayescal.simulation import simulate
from bayescal.study import load_study
from bayescal.study.template import make_template
from bayescal.table.decisions import Decisions
from bayescal.training import load_model

ROUNDS = 4
LAYOUTS = [
    ("newsvendor", None),
    ("newsvendor", "round"),
    ("newsvendor", "participant"),
    ("cobweb-stable", None),
    ("cobweb-stable", "round"),
    ("cobweb-stable", "participant"),
    ("beer-game", None),
    ("beer-game", "round"),
    ("beer-game", "participant"),
]


@pytest.fixture(scope="module")
def played():
    """Tables of play by chance, each made once."""
    made: dict = {}

    def play(name: str):
        if name not in made:
            environment = get_game(name)
            made[name] = environment, simulate(_by_chance(environment), cost=1.0, groups=2, rounds=ROUNDS, seed=1)
        return made[name]

    return play


@pytest.mark.parametrize(("name", "wide"), LAYOUTS)
def test_the_template_is_the_study_that_was_simulated(tmp_path, played, name, wide):
    environment, table = played(name)
    made = make_template(name, environment, table, title=GAMES[name].title, wide=wide)
    (tmp_path / "dataset.toml").write_text(made.toml)
    (tmp_path / "decisions.csv").write_text(made.csv)
    read = load_study(tmp_path).decisions
    assert read.play is not None
    assert read.play.masked == 0
    whole = Decisions.from_table(table, {name: environment})
    # The same people did the same, whatever they are called where columns are numbered.
    by_person = lambda d: sorted(
        tuple(g["action"].astype(str)) for _, g in d.table.groupby("participant", observed=True)
    )
    assert by_person(read) == by_person(whole)
    seen, expected = read.play.observations[name], whole.play.observations[name]
    for key in expected:
        np.testing.assert_allclose(np.sort(seen[key], axis=0), np.sort(expected[key], axis=0), atol=1e-5)


def test_a_wide_table_has_the_columns_that_it_is_named_for(played):
    environment, table = played("cobweb-stable")
    csv = lambda wide: make_template("cobweb-stable", environment, table, title="", wide=wide).csv.splitlines()
    assert csv("participant")[0] == "group,round,subject 1,subject 2,subject 3,subject 4,subject 5,subject 6,price"
    assert len(csv("participant")) == 1 + 2 * ROUNDS
    assert csv("round")[0].startswith("participant,group,action 1,price 1,action 2,price 2")
    assert len(csv("round")) == 1 + 2 * 6


@pytest.mark.parametrize(("name", "wide"), LAYOUTS)
def test_every_column_is_told_of_in_words(played, name, wide):
    environment, table = played(name)
    made = make_template(name, environment, table, title=GAMES[name].title, wide=wide)
    content = tomllib.loads(made.toml)
    assert list(content["games"]) == [name]
    for key in content["columns"]:
        assert f"# {key}: " in made.toml
    assert all(len(line) <= 120 for line in made.toml.splitlines())
    assert ("wide" in content) == (wide is not None)
    assert environment.template_words and all(text[:40] in made.toml for text in environment.template_words)


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(words), catch_exceptions=False)
    return done.exit_code, done.output


def test_the_command_writes_a_study_once(tmp_path):
    out = str(tmp_path / "new" / "mine")
    code, said = run("data", "template", "stag-hunt", "--out", out)
    assert code == 0, said
    before = {p.name: p.read_bytes() for p in Path(out).iterdir()}
    assert sorted(before) == ["dataset.toml", "decisions.csv"]
    code, said = run("data", "validate", out)
    assert code == 0 and "is fine: 160 decisions in 1 game by 8 participants in 4 groups" in said
    code, said = run("data", "template", "stag-hunt", "--out", out)
    assert code == 2 and "would be overwritten" in said
    assert {p.name: p.read_bytes() for p in Path(out).iterdir()} == before
    code, said = run("data", "template", "stag-hunt", "--out", str(Path(out) / "dataset.toml"))
    assert code == 2 and "is a file" in said


@pytest.mark.parametrize("place", ["new", "there", "here"])
@pytest.mark.parametrize("failing", ["decisions.csv", "dataset.toml", "rename"])
def test_a_template_that_cannot_be_written_whole_leaves_nothing(tmp_path, monkeypatch, place, failing):
    """Into a new folder, beside files of the user's, and into the current folder."""
    from bayescal import files
    from bayescal.cli.template import put_files

    out = tmp_path / "mine"
    if place != "new":
        out.mkdir()
        (out / "notes.txt").write_text("mine")
    if place == "here":
        monkeypatch.chdir(out)
    content = {"decisions.csv": b"a,b", "dataset.toml": b"title = 1"}
    before = {p.name: p.read_bytes() for p in out.iterdir()} if out.exists() else None

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def write(path, data, write=files.write_new):
        full() if path.name == failing else write(path, data)

    with monkeypatch.context() as planted:
        planted.setattr("bayescal.results.commit.write_new", write)
        if failing == "rename":
            planted.setattr("bayescal.results.commit.exchange", full)
            planted.setattr(Path, "rename", full)
        with pytest.raises(bc.InputError, match="cannot be written"):
            put_files(out, content, "data template")
    assert ({p.name: p.read_bytes() for p in out.iterdir()} if out.exists() else None) == before
    assert [p.name for p in tmp_path.iterdir()] == ([] if before is None else ["mine"])
    put_files(out, content, "data template")
    assert {p.name: p.read_bytes() for p in out.iterdir()} == (before or {}) | content


def test_what_is_printed_is_a_dataset_toml():
    code, said = run("data", "template", "stag-hunt", "--wide", "round")
    assert code == 0
    assert tomllib.loads(said)["wide"] == {"columns": "round *", "into": "round"}
    assert "# participant,group,role,round 1,round 2" in said


def test_an_unknown_game_is_answered_with_the_nearest():
    code, said = run("data", "template", "stag-hunter")
    assert code == 2 and "did you mean stag-hunt" in said


def test_the_grid_of_cournots_game_is_that_of_the_learned_policy(tmp_path):
    code, said = run("data", "template", "cournot-3", "--out", str(tmp_path / "mine"))
    assert code == 0, said
    text = (tmp_path / "mine" / "dataset.toml").read_text()
    assert all(len(line) <= 120 for line in text.splitlines())
    study = load_study(tmp_path / "mine")
    assert (study.policy, study.population) == ("cournot", "log-normal")
    policy = load_model("cournot")
    policy.play(study.environments["cournot-3"], policy.population)  # raises where it has no answer


@pytest.mark.slow
def test_a_template_is_calibrated_as_it_is(tmp_path):
    bayescal = [sys.executable, "-m", "bayescal"]
    subprocess.run(
        [*bayescal, "data", "template", "cournot-3", "--wide", "participant", "--out", str(tmp_path / "mine")],
        check=True,
    )
    small = ["--draws", "10", "--warmup", "10", "--chains", "1", "--out", str(tmp_path / "out")]
    subprocess.run([*bayescal, "calibrate", str(tmp_path / "mine"), *small], check=True)
    assert (tmp_path / "out" / "report.html").is_file()
