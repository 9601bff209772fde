"""Wide spreadsheets: a column for each round or for each subject becomes a row for each decision."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from rich.console import Console
from toys import GAMES, REQUEST, Toy

from bayescal.cli import main
from bayescal.cli.progress import say_masked
from bayescal.errors import InputError
from bayescal.study import load_study
from bayescal.study.wide import Wide, read_wide, unfold
from bayescal.table.decisions import Decisions
from bayescal.table.files import read_csv, read_table
from bayescal.table.play import Play

NAGEL = Path(__file__).parents[2].parent / "shared" / "data" / "beauty-contest" / "Nagel95.csv"
GUESSES = Toy(("guesser",), (tuple(map(float, range(101))),), (tuple(map(str, range(101))),), ordered=True)
ROUNDS = Wide(("round *",), "round")
SUBJECTS = Wide(("subject *",), "participant")


def csv(folder: Path, text: str) -> pd.DataFrame:
    (folder / "wide.csv").write_text(text)
    return read_csv(folder / "wide.csv")


def records(frame: pd.DataFrame) -> list[tuple]:
    return [tuple(row) for row in frame.astype(object).to_numpy().tolist()]


def test_a_column_a_round(tmp_path):
    long = unfold(csv(tmp_path, "session,id,round 1,round 2\na,7,11,12\na,8,13,14\n"), ROUNDS, "wide.csv")
    assert list(long) == ["session", "id", "round", "action"]
    assert records(long) == [
        ("a", "7", "1", "11"),
        ("a", "7", "2", "12"),
        ("a", "8", "1", "13"),
        ("a", "8", "2", "14"),
    ]
    assert long.index.tolist() == [(2, "round 1"), (2, "round 2"), (3, "round 1"), (3, "round 2")]


def test_a_column_a_subject(tmp_path):
    long = unfold(csv(tmp_path, "t,subject A,price,subject B\n1,11,5,12\n2,13,6,14\n"), SUBJECTS, "wide.csv")
    assert list(long) == ["t", "price", "participant", "action"]
    assert records(long) == [("1", "5", "A", "11"), ("1", "5", "B", "12"), ("2", "6", "A", "13"), ("2", "6", "B", "14")]


def test_several_values_a_subject(tmp_path):
    wide = Wide(("s{participant}_{value}",))
    long = unfold(csv(tmp_path, "round,s1_q,s1_profit,s2_q\n1,11,90,12\n2,13,80,14\n"), wide, "wide.csv")
    assert list(long) == ["round", "participant", "q", "profit"]
    assert [row[:3] for row in records(long)] == [
        ("1", "1", "11"),
        ("1", "2", "12"),
        ("2", "1", "13"),
        ("2", "2", "14"),
    ]
    assert long["profit"].fillna("").tolist() == ["90", "", "80", ""]
    assert long.index.tolist()[0] == (2, "s1_q, s1_profit")


def test_names_may_tell_of_two_things(tmp_path):
    wide = Wide(("g{group}.{participant}",), values="order")
    long = unfold(csv(tmp_path, "round,g1.a,g1.b,g2.a\n1,11,12,13\n"), wide, "wide.csv")
    assert records(long) == [("1", "1", "a", "11"), ("1", "1", "b", "12"), ("1", "2", "a", "13")]
    assert list(long) == ["round", "group", "participant", "order"]


def test_all_columns_but_those_that_have_a_meaning_and_named_columns(tmp_path):
    table = csv(tmp_path, "round,session,Anna,Ben\n1,x,11,12\n")
    everybody = unfold(table, Wide(("*",), "participant"), "wide.csv", {"group": "session"})
    named = unfold(table, Wide(("Anna", "Ben"), "participant"), "wide.csv")
    assert records(everybody) == records(named) == [("1", "x", "Anna", "11"), ("1", "x", "Ben", "12")]


@pytest.mark.parametrize("into", ["participant", "role"])
def test_people_may_be_numbered_anew_in_each_group(tmp_path, into):
    table = csv(tmp_path, "group,round,subject 1,subject 2\na,1,11,12\nb,1,13,14\n")
    long = unfold(table, Wide(("subject *",), into, within="group"), "wide.csv")
    assert long["participant"].tolist() == ["a-1", "a-2", "b-1", "b-2"]
    assert long[into].tolist() == (["1", "2"] * 2 if into == "role" else long["participant"].tolist())
    with pytest.raises(InputError, match="no column 'team'"):
        unfold(table, Wide(("subject *",), into, within="team"), "wide.csv")


def test_empty_cells_are_decisions_that_were_not_made(tmp_path):
    table = csv(tmp_path, "id,round 1,round 2,round 3\na,11,,13\nb, ,12,\n")
    assert records(unfold(table, ROUNDS, "wide.csv")) == [("a", "1", "11"), ("a", "3", "13"), ("b", "2", "12")]


def test_parquet_is_unfolded_alike(tmp_path):
    table = csv(tmp_path, "id,round 1,round 2\na,11,12\nb,13,\n")
    table.assign(**{c: pd.to_numeric(table[c]).astype("Int64") for c in ("round 1", "round 2")}).to_parquet(
        tmp_path / "wide.parquet", index=False
    )
    names = {"participant": "id"}
    a = Decisions.from_table(unfold(table, ROUNDS, "t"), {"request": REQUEST}, columns=names)
    long = unfold(read_table(tmp_path / "wide.parquet"), ROUNDS, "t")
    b = Decisions.from_table(long, {"request": REQUEST}, columns=names)
    assert a.total == 3
    assert a.data_hash == b.data_hash
    assert long.index.names[0] == "row"


def test_a_fault_is_named_by_line_and_column_of_the_spreadsheet(tmp_path):
    table = csv(tmp_path, 'id,note,round 1,round 2\na,"two\nlines",11,12\nb,,99,x\nb,,12,13\n')
    long = unfold(table, ROUNDS, "w.csv")
    with pytest.raises(InputError) as error:
        Decisions.from_table(long, {"request": REQUEST}, columns={"participant": "id"}, source="w.csv")
    said = str(error.value)
    assert "line 4, column 'round 1' holds '99'" in said
    assert "line 4, column 'round 2' holds 'x'" in said
    assert "line 5, column 'round 1' holds 'b', '1' (game 'request', as on line 4, column 'round 1')" in said


def test_nagels_table_is_read():
    long = unfold(read_csv(NAGEL), ROUNDS, NAGEL.name)
    wide = pd.read_csv(NAGEL)
    assert len(long) == wide.filter(like="round").notna().to_numpy().sum()
    last = long[(long["session"] == "4") & (long["id"] == "2")]["action"]
    assert last.astype(float).tolist() == [20, 40, 12, 10]
    long["who"] = long["session"] + "-" + long["id"]
    decisions = Decisions.from_table(
        long, {"beauty": GUESSES}, columns={"participant": "who", "group": "session"}, snap=True
    )
    assert decisions.total == len(long)


# What is refused.
WRONG = {
    "no mark": ({"columns": "round", "into": "round"}, "no mark"),
    "no into": ({"columns": "round *"}, 'into = "round"'),
    "no columns": ({"into": "round"}, "None"),
    "two stars": ({"columns": "a*b*", "into": "round"}, "round is in it twice"),
    "twice": ({"columns": "{round}-{round}"}, "round is in it twice"),
    "into and braces": ({"columns": "s{participant}", "into": "round"}, "leave out `into`"),
    "value and values": ({"columns": "s{participant}_{value}", "values": "q"}, "leave out `values`"),
    "run together": ({"columns": "s{participant}{value}"}, "put something between"),
    "open brace": ({"columns": "s{participant"}, "in braces"),
    "no name": ({"columns": "s{}"}, "in braces"),
    "number": ({"columns": 3, "into": "round"}, "3"),
    "unknown key": ({"columns": "round *", "into": "round", "value": "q"}, "unknown key 'value'"),
    "into of a number": ({"columns": "round *", "into": 1}, "into under [wide] is 1"),
    "within without people": ({"columns": "r *", "into": "round", "within": "group"}, "leave it out"),
    "unlike": ({"columns": ["{group}.{participant}", "s{participant}"]}, "say the same things"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_section_is_refused(kind):
    section, words = WRONG[kind]
    faults: list[str] = []
    assert read_wide("dataset.toml", section, faults) is None
    assert len(faults) == 1
    assert faults[0].startswith("dataset.toml: ")
    assert words in faults[0], faults


def test_a_right_section_is_read():
    faults: list[str] = []
    assert read_wide("t", {}, faults) is None
    assert read_wide("t", {"columns": "round *", "into": "round"}, faults) == ROUNDS
    assert read_wide("t", {"columns": ["Anna", "Ben"], "into": "participant", "values": "q"}, faults) == Wide(
        ("Anna", "Ben"), "participant", "q"
    )
    assert faults == []


@pytest.mark.parametrize(
    ("header", "wide", "words"),
    [
        ("id,period 1", ROUNDS, "no column like 'round *'"),
        ("id,Anna", Wide(("Anna", "Ben"), "participant"), "no column 'Ben'"),
        ("round,round 1", ROUNDS, "column 'round' of its own"),
        ("action,round 1", ROUNDS, "column 'action' of its own"),
        ("id,round 1,round  1", ROUNDS, "two columns for the same decision, 'round 1' and 'round  1'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, header, wide, words):
    table = csv(tmp_path, header + "\n" + ",".join(["11"] * (header.count(",") + 1)) + "\n")
    with pytest.raises(InputError) as error:
        unfold(table, wide, "wide.csv")
    assert words in str(error.value)
    assert "wide.csv" in str(error.value)


def test_a_game_in_the_names_of_columns():
    table = pd.DataFrame({"who": ["a", "b"], "role": ["row", "column"], "pennies": ["U", "L"], "triple": ["C", "R"]})
    long = unfold(table, Wide(("pennies", "triple"), "game"), "t")
    d = Decisions.from_table(long, GAMES, columns={"participant": "who"})
    assert d.total == 4
    assert d.game_names == ("pennies", "triple")


TOML = """
[meta]
title = "A wide table"
file = "{file}"
[columns]
participant = "id"
[games]
"11-20" = "request-11-20"
[wide]
columns = "round *"
into = "round"
"""


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_study_may_be_a_wide_table(tmp_path, suffix):
    table = csv(tmp_path, "id,late,round 1,round 2\na,no,11,12\nb,yes,,20\n")
    if suffix == ".parquet":
        table.to_parquet(tmp_path / "wide.parquet")
    (tmp_path / "dataset.toml").write_text(TOML.format(file=f"wide{suffix}"))
    study = load_study(tmp_path)
    assert study.decisions.total == 3
    assert study.decisions.table["round"].tolist() == [1, 2, 2]
    assert load_study(tmp_path, where="late == 'yes'").decisions.levels("participant") == ("b",)


def test_a_wrong_section_of_a_study_comes_with_its_other_faults(tmp_path):
    csv(tmp_path, "id,round 1\na,11\n")
    text = TOML.format(file="wide.csv").replace('"round *"', '"round"').replace("title", "titel")
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(InputError, match=r"'titel'.*under \[wide\] has 'round'"):
        load_study(tmp_path)


def test_a_study_is_snapped_on_request(tmp_path):
    csv(tmp_path, "id,round 1,round 2\na,11.2,12\nb,13,19.6\n")
    (tmp_path / "dataset.toml").write_text(TOML.format(file="wide.csv"))
    with pytest.raises(InputError, match=r"line 2, column 'round 1' holds '11\.2'"):
        load_study(tmp_path)
    decisions = load_study(tmp_path, snap=True).decisions
    assert decisions.snapped == 2
    assert decisions.table["action"].tolist() == ["11", "12", "13", "20"]


def test_the_command_snaps_and_says_how_many(tmp_path, monkeypatch):
    def estimate(*_, **__):
        raise InputError("far enough")

    monkeypatch.setattr("bayescal.posterior.calibrate.estimate", estimate)
    csv(tmp_path, "id,round 1,round 2\na,11.2,12\nb,13,19.6\n")
    (tmp_path / "dataset.toml").write_text(TOML.format(file="wide.csv"))
    run = lambda *words: CliRunner().invoke(main, ["calibrate", str(tmp_path), "--method", "mle", *words])
    refused = run()
    assert refused.exit_code == 2
    assert "--snap" in refused.output
    snapped = run("--snap").output
    assert "2 of 4 decisions were between two values of the grid" in snapped
    assert "far enough" in snapped


def test_people_who_are_left_out_are_named_by_the_command():
    told = io.StringIO()
    play = Play(np.zeros(0, int), {}, masked=7, left_out=tuple("abcdefg"))
    say_masked(SimpleNamespace(play=play, table=range(10)), Console(file=told))
    assert "7 of 10 rows are not used" in told.getvalue()
    assert "No row is used of a, b, c, d, e and 2 more." in told.getvalue()
