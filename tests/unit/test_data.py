"""Studies: dataset.toml with its table, and the study that comes with bayescal."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bayescal.errors import InputError
from bayescal.study import Study, load_study, study_names

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "selten_chmura_data.json"
DATA = Path(__file__).parents[2] / "data"

TABLE = "subject_id,treatment,side,t,choice\n7,T1,row,1,Up\n8,T1,column,1,Right\n7,T2,a,2,x\n8,T2,b,2,y\n"
TOML = """
[meta]
title = "A small study"
units = "cents"
sha256 = "{sha256}"
[columns]
participant = "subject_id"
game = "treatment"
role = "side"
round = "t"
action = "choice"
[games]
T1 = "selten-chmura-01"
T2 = {{payoffs = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]], roles = ["a", "b"], actions = [["x", "y"],["x", "y"]]}}
[model]
by = "participant"
hyperpriors = {{ log_cost = [0.0, 2.0] }}
"""


def study_at(folder: Path, toml: str = TOML, table: str = TABLE) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "decisions.csv").write_text(table)
    (folder / "dataset.toml").write_text(toml.format(sha256=hashlib.sha256(table.encode()).hexdigest()))
    return folder


def refusal(path: Path | str) -> str:
    with pytest.raises(InputError) as error:
        load_study(path)
    assert "\n" not in str(error.value)
    return str(error.value)


# A study of one's own.
def test_a_folder_is_a_study(tmp_path):
    study = load_study(study_at(tmp_path / "mine"))
    assert isinstance(study, Study)
    assert (study.name, study.title, study.units) == ("mine", "A small study", "cents")
    assert study.by == "participant"
    assert study.hyperpriors == {"log_cost": [0.0, 2.0]}
    assert study.decisions.game_names == ("T1", "T2")
    assert study.decisions.levels("participant") == ("7", "8")
    assert study.environments["T2"].role_names == ("a", "b")
    assert study.decisions.total == 4


def test_a_study_is_found_by_folder_text_or_file(tmp_path):
    folder = study_at(tmp_path / "mine")
    hashes = {load_study(p).decisions.data_hash for p in (folder, str(folder), folder / "dataset.toml")}
    assert len(hashes) == 1


def test_a_game_may_be_a_file_of_payoffs(tmp_path):
    folder = study_at(tmp_path / "mine", TOML.replace('"selten-chmura-01"', '"pennies.json"'))
    (folder / "pennies.json").write_text(
        json.dumps(
            {
                "payoffs": [[[1, 0], [0, 1]], [[0, 1], [1, 0]]],
                "roles": ["row", "column"],
                "actions": [["Up", "Down"], ["Left", "Right"]],
            }
        )
    )
    assert load_study(folder).environments["T1"].action_labels == (("Up", "Down"), ("Left", "Right"))
    (folder / "pennies.json").write_text("{")
    assert "game 'T1' under [games]" in refusal(folder)
    (folder / "pennies.json").unlink()
    assert "pennies.json" in refusal(folder)


def test_snapping_is_asked_for_under_model(tmp_path):
    toml = '[meta]\ntitle = "C"\n[games]\nc = "cournot-2"\n[model]\nsnap = {snap}\n'
    game = load_study(study_at(tmp_path / "c", toml.replace("{snap}", "true"), "action\n3\n")).environments["c"]
    low, high = game.action_values[0][:2]
    table = f"action\n{low + 0.4 * (high - low)}\n{high}\n"
    study = load_study(study_at(tmp_path / "c", toml.replace("{snap}", "true"), table))
    assert study.decisions.snapped == 1
    assert study.decisions.counts[0, :2].tolist() == [1, 1]
    assert "snap = true" in refusal(study_at(tmp_path / "c", toml.replace("{snap}", "false"), table))


FAULTS = {
    "no title": (TOML.replace('title = "A small study"', ""), ["no title", "[meta]"]),
    "no games": (TOML.split("[games]")[0], ["names no games", "[games]"]),
    "nothing": ("", ["no title", "names no games"]),
    "not toml": ("[meta\ntitle = 1", ["is not TOML", "line 1"]),
    "title is a number": (TOML.replace('"A small study"', "3"), ["title under [meta] is 3"]),
    "misspelt section": (TOML.replace("[columns]", "[colums]"), ["unknown section 'colums'", "'columns'"]),
    "misspelt key": (TOML.replace("units", "unit"), ["unknown key 'unit' under [meta]", "'units'"]),
    "section is a text": ('columns = "a"\n' + TOML.replace("[columns]", "[model.x]"), ["columns is 'a'"]),
    "column is a number": (TOML.replace('"choice"', "4"), ["action under [columns] is 4"]),
    "no such column": (
        TOML.replace('"choice"', '"choise"'),
        ["decisions.csv", "'choise' (for action)", "'choice'"],
    ),
    "no such game": (TOML.replace("chmura-01", "chmura-1"), ["'T1' under [games]", "selten-chmura-1"]),
    "game is a number": (TOML.replace('"selten-chmura-01"', "1"), ["'T1' under [games]", "1 is not a game"]),
    "ragged payoffs": (TOML.replace("[[1, 0], [0, 1]]", "[[1, 0], [0]]"), ["'T2' under [games]", "payoffs"]),
    "no payoffs": (TOML.replace("payoffs", "payofs"), ["'T2' under [games]", "payoffs"]),
    "extra keys": (TOML.replace("roles", "players"), ["'T2' under [games]", "'players'", "roles, actions"]),
    "roles as text": (TOML.replace('roles = ["a", "b"]', 'roles = "ab"'), ["roles is 'ab'"]),
    "flat actions": (TOML.replace('[["x", "y"],["x", "y"]]', '["x", "y"]'), ["actions[0] is 'x'"]),
    "unlisted game": (TOML.replace("T2 =", "T3 ="), ["column 'treatment'", "line 4 holds 'T2'", "'T3'"]),
    "other level": (
        TOML.replace('"participant"\nhyper', '"person"\nhyper'),
        ["by under [model] is 'person'"],
    ),
    "absent level": (TOML.replace('"participant"\nhyper', '"group"\nhyper'), ["no column 'group'"]),
    "snap in words": (TOML + '\nsnap = "yes"', ["snap under [model] is 'yes'"]),
    "flat hyperpriors": (
        TOML.replace("{{ log_cost = [0.0, 2.0] }}", "2"),
        ["hyperpriors under [model] is 2"],
    ),
    "other file": (
        TOML.replace("[columns]", 'file = "other.csv"\n[columns]'),
        ["other.csv", "No such file", "[meta]"],
    ),
    "other sum": (TOML.replace("{sha256}", "00ff"), ["decisions.csv", "sha256", "00ff", "write the new sum"]),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_in_dataset_toml_is_named_with_the_fix(tmp_path, kind):
    toml, words = FAULTS[kind]
    assert toml != TOML
    said = refusal(study_at(tmp_path / "mine", toml))
    for word in words:
        assert word in said, said


def test_the_table_is_refused_with_file_and_line(tmp_path):
    said = refusal(study_at(tmp_path / "mine", table=TABLE.replace("1,Up", "1,N")))
    assert "decisions.csv, column 'choice': one row holds" in said
    assert "line 2 holds 'N'" in said
    assert "'Up', 'Down'" in said


def test_what_is_not_a_study_is_refused(tmp_path):
    assert "did you mean 'selten-chmura'" in refusal("selten-chmurra")
    assert "selten-chmura" in refusal(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "holds no dataset.toml" in refusal(tmp_path / "empty")
    table = study_at(tmp_path / "mine") / "decisions.csv"
    assert "put it in a folder with a dataset.toml" in refusal(table)


def test_what_the_model_is_asked_for_comes_with_the_study(tmp_path):
    toml = TOML.replace("[games]", 'town = "home"\n[games]').replace(
        "hyperpriors = {{ log_cost = [0.0, 2.0] }}",
        """
population = "log-normal"
beliefs = "free"
method = "marginal"
covariates = "~ C(town) + age"
groups = "class"
lapse = true
learning = true
""",
    )
    table = (
        "subject_id,treatment,side,t,choice,home,age,class\n"
        "7,T1,row,1,Up,x,20,3\n8,T1,column,1,Right,y,30,4\n7,T2,a,2,x,x,20,3\n8,T2,b,2,y,y,30,4\n"
    )
    study = load_study(study_at(tmp_path / "mine", toml, table))
    assert (study.population, study.beliefs, study.method) == ("log-normal", "free", "marginal")
    assert (study.covariates, study.groups, study.lapse, study.learning) == ("~ C(town) + age", "class", True, True)
    assert {"home", "age", "class"} <= set(study.columns)
    people = study.decisions.people
    assert people["age"].to_dict() == {"7": 20.0, "8": 30.0} and people["town"].tolist() == ["x", "y"]
    assert set(people) == {"town", "age", "class"}
    plain = load_study(study_at(tmp_path / "plain"))
    assert (plain.population, plain.method, plain.groups, plain.lapse, plain.learning) == (
        None,
        None,
        None,
        False,
        False,
    )
    assert plain.decisions.people is None


# What comes with bayescal.
@pytest.mark.parametrize("name", study_names())
def test_every_study_loads_and_says_where_it_comes_from(name, monkeypatch):
    monkeypatch.setenv("BAYESCAL_DATA_DIR", str(GOLDEN.parents[1] / "data"))  # of those that do not ship
    study = load_study(name)
    assert study.name == name
    assert all((study.title, study.source, study.licence, study.units))
    assert study.citation or "simulated" in study.title
    assert 'sha256 = "' in (DATA / name / "dataset.toml").read_text()
    assert study.decisions.total > 0


def golden() -> dict:
    # Not skipped where the file is missing: a transcription that nobody checks is worth nothing.
    return json.loads(GOLDEN.read_text())["games"]


def test_selten_chmura_is_transcribed_without_error():
    decisions = load_study("selten-chmura").decisions
    assert len(decisions.table) == 48
    assert decisions.counts.shape == (24, 2)
    assert decisions.total == 2 * (6 * 4800 + 6 * 2400)
    want = {name.replace("_", "-"): game for name, game in golden().items()}
    assert decisions.game_names == tuple(want)
    for (game, role), counts in zip(
        decisions.cells[["game", "role"]].astype(str).to_numpy(), decisions.counts, strict=True
    ):
        assert counts.tolist() == want[game]["counts_up_down" if role == "row" else "counts_left_right"], game


def test_selten_chmura_labels_mean_what_the_source_means():
    for name, game in golden().items():
        environment = load_study("selten-chmura").environments[name.replace("_", "-")]
        assert environment.role_names == ("row", "column")
        assert environment.action_labels == (("Up", "Down"), ("Left", "Right"))
        np.testing.assert_array_equal(environment.params["payoffs"], game["payoffs"])


def test_selten_chmura_frequencies_are_transcribed_without_error():
    table = pd.read_csv(DATA / "selten-chmura" / "frequencies.csv").set_index(["game", "role", "action"])["share"]
    for name, game in golden().items():
        name = name.replace("_", "-")
        for role, first, second in (("row", "Up", "Down"), ("column", "Left", "Right")):
            assert table[name, role, first] == pytest.approx(game["mean_frequencies_200_rounds"][first[0]], abs=1e-8)
            assert table[name, role, first] + table[name, role, second] == pytest.approx(1, abs=1e-8)
    assert len(table) == 48
