"""`bayescal data`: lists, descriptions, checks of one's own data, and getting the registered sets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bayescal.cli import main
from bayescal.study import study_names
from bayescal.study.where import DATA_DIR

SHARED = Path(__file__).parents[2].parent / "shared" / "data"

TOML = """
[meta]
title = "Two games"
units = "cents"
[columns]
participant = "who"
[games]
a = "stag-hunt"
b = "matching-pennies"
[model]
covariates = "~ age"
"""
TABLE = "who,game,role,action,age\n1,a,player 1,stag,20\n2,a,player 2,hare,30\n1,b,row,heads,20\n2,b,column,tails,30\n"


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.setenv(DATA_DIR, str(SHARED))


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "dataset.toml").write_text(TOML)
    (folder / "decisions.csv").write_text(TABLE.replace("player 1", "row").replace("player 2", "column"))
    return folder


def run(*args: str):
    return CliRunner().invoke(main, ["data", *args], catch_exceptions=False)


def refused(*args: str) -> str:
    result = run(*args)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("bayescal: ")
    return result.stderr


# list
def test_the_list_says_what_ships_what_is_here_and_what_is_to_be_added(tmp_path, monkeypatch):
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert set(rows) == set(study_names())
    assert rows["selten-chmura"]["table"] == "ships" and rows["nagel-1995"]["table"] == "here"
    assert (rows["matrix-games-zhu"]["people"], rows["matrix-games-zhu"]["decisions"]) == (4673, 93460)
    assert all(row["title"] and row["licence"] for row in rows.values())
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows["selten-chmura"]["table"] == "ships" and rows["nagel-1995"]["table"] == "registered"
    text = run("list").stdout
    assert "nagel-1995" in text and "93,460" in text and "bayescal data add NAME" in text


def test_the_list_and_its_help_load_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from bayescal.cli import main; "
        "r = CliRunner().invoke(main, {args}); assert r.exit_code == 0, r.output; "
        "print([m for m in {heavy} if m in sys.modules])"
    )
    for args, heavy in ((["data", "list"], ["jax", "numpyro"]), (["data", "--help"], ["jax", "pandas", "rich"])):
        done = subprocess.run(
            [sys.executable, "-c", code.format(args=args, heavy=heavy)], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]", done.stdout


# describe
def test_a_description_has_means_of_quantities_and_shares_of_choices():
    nagel = json.loads(run("describe", "nagel-1995", "--json").stdout)
    assert (nagel["people"], nagel["groups"], nagel["decisions"], nagel["snapped"]) == (67, 4, 67, 2)
    assert nagel["columns"] == ["participant", "group", "game", "round", "action"]
    (fifteen,) = [game for game in nagel["games"] if game["game"] == "15 players"]
    assert fifteen["mean"] == pytest.approx(37.67, abs=0.005) and fifteen["median"] == 35.0
    volunteers = json.loads(run("describe", "volunteers-dilemma", "--json").stdout)
    rates = [game["shares"]["volunteer"] for game in volunteers["games"]]
    assert rates == pytest.approx([0.5162, 0.3958, 0.2729, 0.1944, 0.1875], abs=5e-5)
    assert "mean" not in volunteers["games"][0]


def test_a_description_is_a_page(mine):
    text = run("describe", "volunteers-dilemma").stdout
    for words in ("Goeree, Holt & Smith", "licence   MIT", "units     dollars", "4,040 decisions in 5 games by 202"):
        assert words in text
    assert "volunteer 51.6%, wait 48.4%" in text
    assert "mean 32.88, median 28" in run("describe", "nagel-1995").stdout
    assert "stag 100.0%, hare 0.0%" in run("describe", str(mine)).stdout


def test_many_games_are_cut_short_and_whole_as_json():
    text = run("describe", "matrix-games-zhu").stdout
    assert len(text.splitlines()) < 40 and "and 2,396 more" in text


def test_a_description_of_what_is_not_here_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR, str(tmp_path))
    assert "bayescal data add public-goods" in refused("describe", "public-goods")
    file = SHARED / "public-goods" / "alsobay_pgg_tidy.csv.gz"
    assert run("describe", "public-goods", "--data", str(file)).exit_code == 0
    assert "did you mean 'nagel-1995'" in refused("describe", "nagel-1996")


# validate
def test_a_data_set_that_is_fine_is_said_to_be(mine):
    for path in (mine, mine / "dataset.toml", mine / "decisions.csv"):
        result = run("validate", str(path))
        assert result.exit_code == 0
        assert result.stdout == f"{path} is fine: 4 decisions in 2 games by 2 participants.\n"
    told = json.loads(run("validate", str(mine), "--json").stdout)
    assert told == {
        "name": "mine", "valid": True, "people": 2, "groups": None, "decisions": 4, "snapped": 0, "masked": 0,
    }  # fmt: skip


def test_every_fault_is_told_at_once(mine):
    toml = TOML.replace('units = "cents"', 'unit = "cents"\nsha256 = "00ff"').replace(
        "[model]", '[model]\nlapse = "yes"'
    )
    (mine / "dataset.toml").write_text(toml.replace('"~ age"', '"~ wage"'))
    (mine / "decisions.csv").write_text((mine / "decisions.csv").read_text().replace("hare", "hair"))
    said = refused("validate", str(mine))
    for words in ("unknown key 'unit' under [meta]", "lapse under [model] is 'yes'", "says 00ff", "'wage'"):
        assert words in said, said
    (mine / "dataset.toml").write_text(toml)
    said = refused("validate", str(mine))
    for words in ("unknown key 'unit'", "lapse under [model]", "says 00ff", "line 3 holds 'hair'"):
        assert words in said, said


def test_faults_of_games_habits_and_file_come_together(mine):
    toml = TOML.replace("stag-hunt", "stag-hnt").replace("[model]", '[model]\nprior = ["Repet"]')
    (mine / "dataset.toml").write_text(toml)
    (mine / "decisions.csv").unlink()
    said = refused("validate", str(mine))
    for words in ("no game called 'stag-hnt'", "no habit 'Repet'", "Cannot read", "decisions.csv"):
        assert words in said, said


@pytest.mark.parametrize(
    "game",
    [
        '{ game = "supply-chain", echelons = 100000 }',
        '{ game = "travelers-dilemma", high = 2147483648 }',
        '{ game = "public-goods", players = 1000000 }',
        '{ game = "cournot-repeated", rounds = 1000000000 }',
    ],
)
def test_games_that_would_fill_the_memory_are_refused(mine, game):
    (mine / "dataset.toml").write_text(TOML.replace('"stag-hunt"', game))
    said = refused("validate", str(mine))
    assert "game 'a' under [games]" in said and "at most" in said


BAD = {
    "a method": ('method = "sampled"', "method under [model] is 'sampled': write one of 'joint', 'marginal'"),
    "a population": ('population = "normal"', "population under [model] is 'normal': write one of 'homogeneous'"),
    "beliefs": ('beliefs = "right"', "beliefs under [model] is 'right'"),
    "groups that are no text": ("groups = 3", "groups under [model] is 3: write the name of a column"),
    "groups that are no column": ('groups = "town"', "'town'"),
    "learning": ("learning = 1", "learning under [model] is 1: write true or false"),
    "a formula": ('covariates = "~ age +* 2"', "covariates under [model] is '~ age +* 2', which is no formula"),
}


@pytest.mark.parametrize("name", BAD)
def test_keys_of_the_model_are_checked(mine, name):
    line, words = BAD[name]
    (mine / "dataset.toml").write_text(TOML.replace('covariates = "~ age"', line))
    assert words in refused("validate", str(mine))


def test_people_are_a_count_and_readers_exist(mine):
    (mine / "dataset.toml").write_text(TOML.replace("[columns]", 'people = "many"\n[columns]'))
    assert "people under [meta] is 'many': write a whole number" in refused("validate", str(mine))
    (mine / "dataset.toml").write_text('[meta]\ntitle = "T"\nreader = "nagel-1996"\n')
    assert "There is no reader of data sets called 'nagel-1996': did you mean nagel-1995" in refused(
        "validate", str(mine)
    )
    (mine / "dataset.toml").write_text(TOML.replace("[columns]", 'reader = "nagel-1995"\n[columns]'))
    assert "the reader knows columns and games" in refused("validate", str(mine))


def test_what_cannot_be_checked_is_said(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    assert "has no dataset.toml beside it" in refused("validate", str(tmp_path / "table.csv"))
    assert "holds no dataset.toml" in refused("validate", str(tmp_path))
    assert "There is no study or folder" in refused("validate", str(tmp_path / "none"))


# add
def test_a_file_is_added_and_found(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "tables"))
    file = SHARED / "volunteers-dilemma" / "vd_tidy.csv"
    assert "--file FILE" in refused("add", "volunteers-dilemma")
    place = tmp_path / "tables" / "volunteers-dilemma" / "vd_tidy.csv"
    assert run("add", "volunteers-dilemma", "--file", str(file)).stdout == f"volunteers-dilemma is here: {place}\n"
    assert place.read_bytes() == file.read_bytes()
    assert json.loads(run("add", "volunteers-dilemma", "--json").stdout)["path"] == str(place)
    assert run("describe", "volunteers-dilemma").exit_code == 0


def test_another_file_is_refused_with_both_sums_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_DIR, str(tmp_path / "tables"))
    other = tmp_path / "vd_tidy.csv"
    other.write_text("session,round\n")
    said = refused("add", "volunteers-dilemma", "--file", str(other))
    assert "e503256f" in said and "its sha256 is" in said
    assert not (tmp_path / "tables").exists()
