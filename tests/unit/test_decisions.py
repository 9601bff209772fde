"""Decisions: what is accepted, how it is indexed, and what is said of a table that cannot be used."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import GAMES, MARKET, ONE_TWO, PENNIES, TENTHS, Toy, people_table, table

from bayescal.environments.replay import Replay
from bayescal.errors import InputError
from bayescal.table.decisions import Decisions


def refusal(frame: pd.DataFrame, games=GAMES, **kwargs) -> str:
    with pytest.raises(InputError) as error:
        Decisions.from_table(frame, games, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


def by_cell(decisions: Decisions) -> dict[tuple, list[int]]:
    keys = [k for k in ("game", "group", "participant", "role") if k in decisions.cells]
    names = map(tuple, decisions.cells[keys].astype(str).to_numpy())
    return dict(zip(names, decisions.counts.tolist(), strict=True))


# What is accepted.
def test_cells_hold_the_counts_of_each_person_in_each_role_of_each_game():
    d = Decisions.from_table(table(), GAMES)
    assert by_cell(d) == {
        ("pennies", "a", "1", "row"): [1, 0, 0],
        ("pennies", "a", "2", "column"): [0, 1, 0],
        ("pennies", "b", "10", "row"): [0, 1, 0],
        ("triple", "a", "1", "row"): [0, 0, 1],
        ("triple", "a", "2", "column"): [1, 0, 0],
        ("triple", "b", "10", "row"): [0, 0, 1],
    }
    assert d.total == 6
    assert d.game_names == ("pennies", "triple")
    assert d.counts.dtype == np.int64
    assert d.mask.tolist() == [[True, True, False]] * 3 + [[True] * 3, [True, True, False], [True] * 3]
    assert d.levels("participant") == ("1", "2", "10")  # by size, not by spelling
    assert d.levels("group") == ("a", "b")
    assert d.by("participant").tolist() == [0, 1, 2, 0, 1, 2]
    assert d.by("group").tolist() == [0, 0, 1, 0, 0, 1]
    assert d.by("game").tolist() == [0, 0, 0, 1, 1, 1]


def test_the_canonical_table_has_the_promised_columns():
    t = Decisions.from_table(table(), GAMES).table
    assert list(t.columns) == [
        *("participant", "group", "game", "role", "round", "action", "n"),
        *("game_index", "role_index", "action_index"),
    ]
    assert all(t[c].dtype == np.int64 for c in ("round", "n", "game_index", "role_index", "action_index"))


def test_one_symmetric_game_needs_nothing_but_actions():
    d = Decisions.from_table(pd.DataFrame({"action": [0.1, 3, 0.1]}), {"market": MARKET})
    assert len(d.cells) == 1
    assert d.counts[0, 1] == 2
    assert d.counts[0, 30] == 1
    assert d.cells.loc[0, "game"] == "market"
    assert d.cells.loc[0, "role"] == "firm"


def test_columns_are_called_what_the_mapping_says():
    renamed = table().rename(columns={"participant": "subject_id", "action": "choice", "round": "period"})
    mapping = {"participant": "subject_id", "action": "choice", "round": "period"}
    d = Decisions.from_table(renamed, GAMES, columns=mapping)
    assert d.data_hash == Decisions.from_table(table(), GAMES).data_hash


def test_columns_may_be_called_by_numbers():
    frame = pd.DataFrame([["U", "row"], ["L", "column"]])
    d = Decisions.from_table(frame, {"pennies": PENNIES}, columns={"action": "0", "role": "1"})
    assert d.total == 2


@pytest.mark.parametrize("action", ["U", " U ", 0, 0.0, "0", "0.0", np.int64(0), np.float32(0)])
def test_an_action_is_a_label_or_a_grid_value(action):
    d = Decisions.from_table(pd.DataFrame({"role": ["row"], "action": [action]}), {"pennies": PENNIES})
    assert d.counts.tolist() == [[1, 0]]
    assert d.table["action"].tolist() == ["U"]


def test_labels_that_are_numbers_are_never_taken_for_other_values():
    # Actions 1, 2, 3 are stored as 0, 1, 2: reading "1" as the second action would shift every decision.
    d = Decisions.from_table(pd.DataFrame({"action": [1, 2, 3, 3]}), {"g": ONE_TWO})
    assert d.counts.tolist() == [[1, 1, 2]]
    assert "'0'" in refusal(pd.DataFrame({"action": [0, 1]}), {"g": ONE_TWO})


def test_rounding_errors_are_not_off_the_grid():
    d = Decisions.from_table(pd.DataFrame({"action": [0.1 + 0.2, np.float32(0.7)]}), {"market": MARKET})
    assert (d.counts[0, 3], d.counts[0, 7], d.snapped) == (1, 1, 0)


def test_labels_of_people_survive_whole_numbers_and_text():
    d = Decisions.from_table(table(participant=["007", "7", 7.5, "007", "7", 7.5]), GAMES)
    assert set(d.levels("participant")) == {"007", "7", "7.5"}
    assert Decisions.from_table(table(participant=[1.0, 2.0, 3.0] * 2), GAMES).levels("participant") == (
        "1",
        "2",
        "3",
    )


def test_games_that_nobody_played_are_left_out():
    only = table()[3:]
    d = Decisions.from_table(only, GAMES | {"never": MARKET})
    assert d.game_names == ("triple",)
    assert tuple(d.environments) == ("triple",)
    assert set(d.cells["game_index"]) == {0}
    assert d.counts.shape[1] == 3


def test_a_game_with_one_role_may_leave_the_role_empty():
    frame = pd.DataFrame({"game": ["pennies", "market"], "role": ["column", None], "action": ["L", 0.3]})
    d = Decisions.from_table(frame, {"pennies": PENNIES, "market": MARKET})
    assert d.cells["role"].tolist() == ["column", "firm"]


def test_counts_of_zero_are_nobody():
    frame = pd.DataFrame({"group": ["x", "y"], "role": ["row", "row"], "action": ["U", "D"], "n": [3, 0]})
    d = Decisions.from_table(frame, {"pennies": PENNIES})
    assert d.levels("group") == ("x",)
    assert d.counts.tolist() == [[3, 0]]
    assert d.data_hash == Decisions.from_table(frame[:1], {"pennies": PENNIES}).data_hash


def test_a_participant_without_a_decision_is_refused_by_name():
    frame = pd.DataFrame({"participant": list("xyxyz"), "action": ["0"] * 5, "n": [3, 0, 0, 0, 0]})
    said = refusal(frame, {"market": MARKET})
    assert "column 'participant': 2 rows hold a participant without a decision" in said
    assert "row 1 holds 'y', row 4 holds 'z'" in said


def test_a_person_may_decide_again_in_another_round_or_game():
    twice = pd.concat([table(), table(round=[2] * 6)])
    assert Decisions.from_table(twice, GAMES).total == 12


@pytest.mark.parametrize(("value", "index"), [(0.14, 1), (0.16, 2), (2.99, 30), (0.25, 2)])
def test_finer_data_are_snapped_on_request(value, index):
    frame = pd.DataFrame({"action": [value, 0.5], "n": [4, 1]})
    d = Decisions.from_table(frame, {"market": MARKET}, snap=True)
    assert d.counts[0, index] == 4
    assert d.snapped == 4  # decisions, not rows
    assert "snap=True" in refusal(frame, {"market": MARKET})


@pytest.mark.parametrize("value", [-0.1, 3.2, 1e9])
def test_values_beyond_the_ends_are_not_snapped(value):
    frame = pd.DataFrame({"action": [value]})
    assert "only values between" in refusal(frame, {"market": MARKET}, snap=True)
    assert "snap=True" not in refusal(frame, {"market": MARKET})


def test_a_list_of_actions_is_never_snapped():
    frame = pd.DataFrame({"role": ["row"], "action": [0.4]})
    assert "snap = true" not in refusal(frame, {"pennies": PENNIES})
    refusal(frame, {"pennies": PENNIES}, snap=True)


def test_describe_gives_shares_by_action():
    told = Decisions.from_table(table(), GAMES).describe()
    assert told.loc[("pennies", "row"), "decisions"] == 2
    assert told.loc[("pennies", "row"), "participants"] == 2
    assert told.loc[("pennies", "row"), "U"] == 0.5
    assert told.loc[("triple", "row"), "C"] == 1.0
    assert np.isnan(told.loc[("pennies", "row"), "C"])


# What is refused.
def cells_of(column: str, *changes: tuple[int, object]) -> pd.DataFrame:
    frame = table(n=[1] * 6).astype(object)
    for row, value in changes:
        frame.loc[row, column] = value
    return frame


REFUSED = {
    "unknown game": (cells_of("game", (2, "penies")), ["column 'game'", "row 2", "'penies'", "'pennies'"]),
    "unknown role": (
        cells_of("role", (1, "Column")),
        ["column 'role'", "row 1", "'Column'", "'row', 'column'"],
    ),
    "unknown action": (cells_of("action", (3, "D")), ["column 'action'", "row 3", "'D'", "'A', 'B', 'C'"]),
    "missing action": (cells_of("action", (3, None)), ["column 'action'", "row 3", "no value"]),
    "missing game": (cells_of("game", (0, np.nan)), ["column 'game'", "row 0", "no value"]),
    "missing role": (cells_of("role", (0, " ")), ["column 'role'", "row 0", "no value"]),
    "missing participant": (cells_of("participant", (4, "")), ["column 'participant'", "row 4", "no value"]),
    "missing group": (cells_of("group", (5, None)), ["column 'group'", "row 5", "no value"]),
    "missing round": (cells_of("round", (5, None)), ["column 'round'", "row 5", "no value"]),
    "missing count": (cells_of("n", (5, None)), ["column 'n'", "row 5", "no value"]),
    "round in words": (cells_of("round", (2, "two")), ["column 'round'", "row 2", "'two'", "1, 2, 3"]),
    "half a round": (cells_of("round", (2, 1.5)), ["column 'round'", "row 2", "'1.5'"]),
    "endless round": (cells_of("round", (2, np.inf)), ["column 'round'", "row 2", "'inf'"]),
    "negative count": (cells_of("n", (1, -2)), ["column 'n'", "row 1", "'-2'", "0, 1, 2"]),
    "broken count": (cells_of("n", (1, 2.5)), ["column 'n'", "row 1", "'2.5'"]),
    "count in words": (cells_of("n", (1, "some")), ["column 'n'", "row 1", "'some'"]),
    "endless count": (cells_of("n", (1, np.inf)), ["column 'n'", "row 1", "'inf'"]),
    "no counts": (table(n=[0] * 6), ["holds no decisions", "'n'"]),
    "empty": (table()[:0], ["holds no decisions", "at least one row"]),
    "no action column": (
        table(action=None),
        ["no column 'action'", "participant, group", 'action = "choice"'],
    ),
    "no role column": (table(role=None), ["no column 'role'"]),
    "no game column": (table(game=None), ["no column 'game'"]),
    "duplicate": (cells_of("participant", (2, "1")), ["'participant' with 'round'", "row 2", "'1'", "row 0"]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_fault_is_named_with_its_place_and_the_fix(kind):
    frame, words = REFUSED[kind]
    said = refusal(frame, source="choices.csv")
    for word in ["choices.csv", *words]:
        assert word in said, said


def test_all_kinds_of_fault_come_in_one_error():
    frame = cells_of("action", (0, "X"), (1, None))
    frame.loc[2, "game"], frame.loc[3, "role"], frame.loc[4, "round"], frame.loc[5, "n"] = (
        "chess",
        "king",
        "x",
        -1,
    )
    frame.loc[6] = frame.loc[3]
    said = refusal(frame)
    for word in ["'X'", "no value", "'chess'", "'king'", "'x'", "'-1'", "with 'round'"]:
        assert word in said, said


def test_many_offenders_are_counted_and_the_first_few_named():
    frame = pd.DataFrame({"role": ["row"] * 1234, "action": ["X"] * 1234})
    said = refusal(frame, {"pennies": PENNIES})
    assert "1,234 rows" in said
    assert "row 4 " in said
    assert "and 1,229 more" in said
    assert "row 5" not in said


def test_the_closest_actions_are_offered():
    assert "(closest: 0.1, 0.2)" in refusal(pd.DataFrame({"action": [0.14]}), {"market": MARKET})
    assert "did you mean 'U'" in refusal(pd.DataFrame({"role": ["row"], "action": ["u"]}), {"pennies": PENNIES})
    assert "(31 actions)" in refusal(pd.DataFrame({"action": [0.14]}), {"market": MARKET})


def test_a_missing_column_under_its_mapped_name():
    said = refusal(table().rename(columns={"action": "choise"}), columns={"action": "choice"})
    assert "no column 'choice' (for action) (did you mean 'choise'?)" in said
    assert "'actoin'" in refusal(table(), columns={"actoin": "action"})
    assert "'subject'" in refusal(table(), columns={"participant": "subject"})  # asked for, so not optional


def test_a_repeated_column_is_ambiguous():
    frame = pd.concat([table(), table()[["action"]]], axis=1)
    assert "2 columns named 'action'" in refusal(frame)


def test_no_games_and_no_level():
    assert "environments" in refusal(table(), {})
    d = Decisions.from_table(table(group=None), GAMES)
    with pytest.raises(InputError, match="no column 'group'"):
        d.by("group")
    with pytest.raises(InputError, match="not by 'session'"):
        d.by("session")


# People.
def test_covariates_are_of_the_people_in_the_order_of_levels():
    d = Decisions.from_table(people_table(), GAMES, covariates=("treatment", "age"))
    assert d.people is not None
    assert tuple(d.people.index) == d.levels("participant") == ("1", "2", "10")
    assert d.people["age"].tolist() == [30.0, 25.5, 41.0]
    assert d.people["age"].dtype == np.float64
    assert d.people["treatment"].tolist() == ["a", "a", "b"]
    assert isinstance(d.people["treatment"].dtype, pd.CategoricalDtype)


def test_without_covariates_or_without_people_there_are_none():
    assert Decisions.from_table(people_table(), GAMES).people is None
    assert Decisions.from_table(people_table(participant=None), GAMES, covariates=["age"]).people is None


def test_covariates_may_have_other_names_in_the_table_and_one_may_be_given_alone():
    frame = people_table().rename(columns={"age": "years"})
    d = Decisions.from_table(frame, GAMES, covariates="age", columns={"age": "years"})
    assert d.people is not None and list(d.people) == ["age"]
    assert "'years' (for age)" in refusal(people_table(), covariates=["age"], columns={"age": "years"})


def test_the_order_of_a_categorical_is_kept_and_numbers_as_text_are_numbers(tmp_path):
    levels = pd.Categorical(["low", "high", "low"] * 2, categories=["none", "low", "high"])
    d = Decisions.from_table(table(level=levels), GAMES, covariates=["level"])
    assert d.people is not None and list(d.people["level"].cat.categories) == ["low", "high"]
    frame = people_table(female=[True, False, True] * 2)
    frame.to_csv(tmp_path / "t.csv", index=False)
    read = Decisions.from_csv(tmp_path / "t.csv", GAMES, covariates=("age", "treatment", "female"))
    assert read.people is not None and read.people["female"].tolist() == [1.0, 0.0, 1.0]
    direct = Decisions.from_table(frame, GAMES, covariates=("age", "treatment", "female")).people
    pd.testing.assert_frame_equal(read.people, direct)


def test_the_hash_is_of_the_covariates_too_if_there_are_any():
    plain = Decisions.from_table(people_table(), GAMES).data_hash
    assert plain == Decisions.from_table(table(), GAMES).data_hash
    hashes = {plain}
    for changes in ({}, {"age": [30, 25.5, 42] * 2}, {"treatment": ["a", "a", "c"] * 2}):
        hashes.add(Decisions.from_table(people_table(**changes), GAMES, covariates=("treatment", "age")).data_hash)
    assert len(hashes) == 4
    shuffled = people_table().iloc[::-1]
    a = Decisions.from_table(people_table(), GAMES, covariates=("age", "treatment")).data_hash
    assert a == Decisions.from_table(shuffled, GAMES, covariates=("treatment", "age")).data_hash


REFUSED_PEOPLE = {
    "missing": ({"age": None}, ["no column 'age'"]),
    "empty": ({"age": [30, None, 41, 30, 25, 41]}, ["column 'age'", "row 1", "nothing", "participant '2'"]),
    "endless": ({"age": [30, np.inf, 41] * 2}, ["column 'age'", "no finite number", "row 1", "'inf'", "'2'"]),
    "no number": ({"age": ["30", "25", "NA"] * 2}, ["column 'age'", "no finite number", "row 2", "'NA'", "'10'"]),
    "varies": (
        {"age": [30, 25, 41, 31, 25, 42]},
        ["column 'age'", "2 labels of column 'participant'", "'1' has '30' (row 0), '31' (row 3)", "'10' has '41'"],
    ),
    "two treatments": (
        {"treatment": ["a", "b", "b"] * 2},
        [
            "column 'treatment'",
            "one label of column 'group'",
            "'a' has 'a' (row 0), 'b' (row 1)",
            "labels of their own",
        ],
    ),
}


@pytest.mark.parametrize("kind", REFUSED_PEOPLE)
def test_a_covariate_that_cannot_be_used_is_named_with_its_people(kind):
    changes, words = REFUSED_PEOPLE[kind]
    said = refusal(people_table(**changes), covariates=("treatment", "age"), source="choices.csv")
    for word in ["choices.csv", *words]:
        assert word in said, said


def test_faults_of_people_come_with_all_others():
    frame = people_table(age=[30, None, 41, 31, 25, 41], action=["X", "R", "D", "C", "L", "C"])
    said = refusal(frame, covariates=["age"])
    for word in ("'X'", "nothing (participant '2')", "'31' (row 3)"):
        assert word in said, said


def test_a_group_has_one_treatment_even_if_nobody_asks_for_it():
    frame = people_table(treatment=["a", "b", "b"] * 2)
    assert "'a' has 'a' (row 0), 'b' (row 1)" in refusal(frame)
    renamed = frame.rename(columns={"treatment": "cond"})
    assert "column 'cond'" in refusal(renamed, columns={"treatment": "cond"})
    # Where the table's games are called treatments, people meet several.
    games = table().rename(columns={"game": "treatment"})
    assert Decisions.from_table(games, GAMES, columns={"game": "treatment"}).total == 6


# Games over time.
@dataclass(frozen=True)
class Diary(Toy):
    """A game over time in which a day is known if the day before is recorded."""

    over_time: bool = True
    columns: dict = field(default_factory=dict)

    def replay(self, frame: pd.DataFrame, *, tolerance: float) -> Replay:
        days = list(zip(frame["participant"], frame["round"], strict=True))
        known = [day == 1 or (who, day - 1) in days for who, day in days]
        return Replay({"round": frame["round"].to_numpy()}, np.array(known))


DIARY = Diary(("firm",), (TENTHS,), (tuple(f"{x:g}" for x in TENTHS),), ordered=True)


def diary(who: str, days: list[int], age: float) -> pd.DataFrame:
    return pd.DataFrame({"participant": who, "round": days, "action": 0.5, "age": age})


def test_people_of_whom_nothing_can_be_used_are_no_level():
    frame = pd.concat([diary("b", [5, 9], 50), diary("c", [1, 2, 3], 30), diary("d", [1, 3], 40), diary("a", [7], 60)])
    d = Decisions.from_table(frame, {"diary": DIARY}, covariates=["age"])
    assert d.play is not None and d.people is not None
    assert d.levels("participant") == ("c", "d")
    assert d.play.left_out == ("a", "b")
    assert (d.play.masked, len(d.play.row), len(d.table)) == (4, 4, 8)
    assert d.people["age"].to_dict() == {"c": 30.0, "d": 40.0}
    # What a model counts people by agrees with the levels.
    assert d.table["participant"].cat.codes.iloc[d.play.row].tolist() == [0, 0, 0, 1]
    assert d.by("participant").tolist() == [0, 1]
    assert d.counts.sum(axis=1).tolist() == [3, 2]
    again = Decisions.from_table(d.table, {"diary": DIARY})
    assert again.levels("participant") == ("c", "d")


def test_a_table_of_which_nothing_can_be_used_is_refused():
    with pytest.raises(InputError, match="any of its 2 rows"):
        Decisions.from_table(diary("b", [5, 9], 50), {"diary": DIARY})


# Files.
def write(tmp_path, text: str, encoding: str = "utf-8"):
    path = tmp_path / "choices.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_file_is_read_as_written(tmp_path):
    na = replace(PENNIES, action_labels=(("NA", "D"), ("L", "R")))
    path = write(tmp_path, '\ufeffparticipant, role ,action\n007,row,NA\n\n"7",row, D\n')
    d = Decisions.from_csv(path, {"pennies": na})
    assert d.levels("participant") == ("007", "7")
    assert by_cell(d) == {("pennies", "007", "row"): [1, 0], ("pennies", "7", "row"): [0, 1]}


def test_messages_name_the_line_through_blank_lines_and_quoted_line_breaks(tmp_path):
    path = write(tmp_path, 'role,action,note\nrow,U,"two\nlines"\n\nrow,D,\nrow,X,"a\n\nb"\nrow,Y,\n')
    with pytest.raises(InputError, match=r"choices\.csv, column 'action'.*line 6 holds 'X'.*line 9 holds 'Y'"):
        Decisions.from_csv(path, {"pennies": PENNIES})


BROKEN = {
    "nothing": ("", "empty"),
    "header only": ("role,action\n", "no decisions"),
    "long row": ("role,action\nrow,U\nrow,U,3\n", "line 3 has 3"),
    "short row": ("role,action\nrow\n", "line 2 has 1"),
    "semicolons": ("role;action\nrow;U\n", "separate the cells by commas"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused(tmp_path, kind):
    text, word = BROKEN[kind]
    with pytest.raises(InputError, match=word):
        Decisions.from_csv(write(tmp_path, text), {"pennies": PENNIES})


def test_an_unreadable_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        Decisions.from_csv(tmp_path / "none.csv", {"pennies": PENNIES})
    with pytest.raises(InputError, match=r"choices\.csv, line 2: the byte 0xdc is not UTF-8"):
        Decisions.from_csv(write(tmp_path, "role,action\nrow,Ü\n", "latin-1"), {"pennies": PENNIES})


# Laws, on tables of any size.
@st.composite
def tables(draw) -> pd.DataFrame:
    """Counts of decisions by people in groups, in two games of different size, in any order."""
    rows = []
    for i in range(draw(st.integers(1, 12))):
        game = draw(st.sampled_from(sorted(GAMES)))
        r = draw(st.integers(0, 1))
        toy = GAMES[game]
        rows.append(
            {
                "participant": str(draw(st.integers(1, 4))),
                "group": draw(st.sampled_from("ab")),
                "game": game,
                "role": toy.role_names[r],
                "round": i,
                "action": draw(st.sampled_from(toy.action_labels[r])),
                "n": draw(st.integers(1, 3)),
            }
        )
    return pd.DataFrame(rows)


@settings(max_examples=40, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(frame, random):
    order = list(range(len(frame)))
    random.shuffle(order)
    a = Decisions.from_table(frame, GAMES)
    b = Decisions.from_table(frame.iloc[order], GAMES)
    c = Decisions.from_table(frame, dict(reversed(GAMES.items())))
    pd.testing.assert_frame_equal(a.cells, b.cells)
    np.testing.assert_array_equal(a.counts, b.counts)
    assert a.data_hash == b.data_hash == c.data_hash
    assert by_cell(a).keys() == by_cell(c).keys()


@settings(max_examples=40, deadline=None)
@given(tables())
def test_counts_are_as_good_as_rows(frame):
    a = Decisions.from_table(frame, GAMES)
    expanded = frame.loc[frame.index.repeat(frame["n"])].drop(columns=["n", "round"])
    b = Decisions.from_table(expanded, GAMES)
    pd.testing.assert_frame_equal(a.cells, b.cells)
    np.testing.assert_array_equal(a.counts, b.counts)
    assert a.total == len(expanded)


@settings(max_examples=40, deadline=None)
@given(tables())
def test_the_canonical_table_is_read_back_equal(frame):
    a = Decisions.from_table(frame, GAMES)
    b = Decisions.from_table(a.table, a.environments)
    pd.testing.assert_frame_equal(a.table, b.table)
    pd.testing.assert_frame_equal(a.cells, b.cells)
    np.testing.assert_array_equal(a.counts, b.counts)
    assert a.data_hash == b.data_hash


def test_the_canonical_table_is_read_back_from_a_file(tmp_path):
    a = Decisions.from_table(table(), GAMES)
    a.table.to_csv(tmp_path / "t.csv", index=False)
    b = Decisions.from_csv(tmp_path / "t.csv", GAMES)
    pd.testing.assert_frame_equal(a.table, b.table)
    assert a.data_hash == b.data_hash


@settings(max_examples=40, deadline=None)
@given(tables(), st.integers(0, 12))
def test_two_halves_add_up(frame, cut):
    parts = [part for part in (frame[:cut], frame[cut:]) if len(part)]
    total: dict[tuple, np.ndarray] = {}
    for part in parts:
        for key, counts in by_cell(Decisions.from_table(part, GAMES)).items():
            padded = np.zeros(3, dtype=int)
            padded[: len(counts)] = counts
            total[key] = total.get(key, 0) + padded
    whole = by_cell(Decisions.from_table(frame, GAMES))
    assert whole.keys() == total.keys()
    for key, counts in whole.items():
        np.testing.assert_array_equal(np.pad(counts, (0, 3 - len(counts))), total[key])


def test_a_changed_decision_changes_the_hash():
    a = Decisions.from_table(table(), GAMES).data_hash
    assert a != Decisions.from_table(table(action=["D", "R", "D", "C", "L", "C"]), GAMES).data_hash
    assert a != Decisions.from_table(table(round=[1, 1, 2, 1, 1, 1]), GAMES).data_hash
    assert a != Decisions.from_table(table(n=[1, 1, 2, 1, 1, 1]), GAMES).data_hash


# Cost.
def large(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    people = np.arange(rows) // 100
    return pd.DataFrame(
        {
            "participant": people.astype(str),
            "group": (people // 4).astype(str),
            "game": "market",
            "role": "firm",
            "round": np.arange(rows) % 100,
            "action": rng.integers(0, 31, rows) / 10,
        }
    )


def test_fifty_thousand_rows_are_checked_quickly():
    frame = large(50_000)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        d = Decisions.from_table(frame, {"market": MARKET})
        seconds.append(time.process_time() - start)
    assert d.total == 50_000
    assert min(seconds) < 0.2  # 0.03 s when idle; generous, because tests share the machine


def test_reading_decisions_loads_no_jax():
    code = "import sys, bayescal.table.decisions; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
