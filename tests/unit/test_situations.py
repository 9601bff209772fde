"""Trees in tables: situations and their actions have names, and who does not move has no row."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import bayescal as bc
from bayescal.cli import main
from bayescal.environments.extensive import Chance, End, ExtensiveForm, Move

LOST = Move(1, "lost", {"help": End((1, 1)), "laugh": End((0, 2)), "leave": End((0, 1))})
SENT = Move(1, "sent", {"grab": End((0, 4)), "share": End((2, 2))})
TRUST = ExtensiveForm(
    Move(0, "begin", {"keep": End((1, 1)), "send": SENT, "gamble": Chance(((0.5, End((3, 0))), (0.5, LOST)))}),
    name="trust",
    role_names=("investor", "trustee"),
)

ROWS = [
    ("a", "investor", "begin", "send"),
    ("b", "trustee", "sent", "share"),
    ("c", "investor", "begin", "gamble"),
    ("d", "trustee", "lost", "leave"),
    ("e", "trustee", "sent", "grab"),
    ("f", "trustee", "lost", "laugh"),
    ("g", "trustee", "sent", "share"),
]


def table(rows=ROWS):
    frame = pd.DataFrame(rows, columns=["participant", "role", "situation", "action"])
    return frame.assign(group=frame["participant"], round=1)


def read(rows=ROWS, game=TRUST):
    return bc.Decisions.from_table(table(rows), {game.name: game})


def test_names_of_situations_and_of_their_actions_are_read():
    decisions = read()
    assert decisions.table["situation"].tolist() == [0, 0, 0, 1, 0, 1, 0]
    assert decisions.table["action_index"].tolist() == [1, 1, 2, 2, 0, 1, 1]
    assert decisions.table["action"].tolist() == [action for *_, action in ROWS]
    found = {(x.role, x.situation): dict(zip(x.labels, x.counts.tolist(), strict=True)) for x in decisions.chosen()}
    assert found == {
        ("investor", "begin"): {"keep": 0, "send": 1, "gamble": 1},
        ("trustee", "sent"): {"grab": 1, "share": 2},
        ("trustee", "lost"): {"help": 0, "laugh": 1, "leave": 1},
    }
    assert [x.participants for x in decisions.chosen()] == [2, 3, 2]
    assert decisions.describe().loc[("trust", "trustee", "sent"), "share"] == pytest.approx(2 / 3)


def test_numbers_do_as_well_where_no_name_is_a_number():
    number = {"begin": 0, "sent": 0, "lost": 1}
    by_number = read([(p, r, number[s], a) for p, r, s, a in ROWS])
    np.testing.assert_array_equal(by_number.table["situation"], read().table["situation"])
    kuhn = bc.get_game("kuhn-poker")
    names = [name for name, _ in kuhn.situations_of(0)]
    seen = read([("a", "first", names[-1], "bet"), ("b", "first", names[1], "pass")], kuhn)
    assert seen.table["situation"].tolist() == [len(names) - 1, 1]
    assert names[-1] != str(len(names) - 1)
    with pytest.raises(bc.InputError, match=r"'situation'.*a situation that its role does not have.*'5'"):
        read([("a", "first", "5", "bet")], kuhn)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("x", "trustee", "sent", "leave"), r"'action'.*'leave'.*'trust', 'trustee', 'sent': 'grab', 'share'"),
        (("x", "trustee", "lsot", "leave"), r"'situation'.*'lsot'.*'lost'.*trustee has 'sent', 'lost'"),
        (("x", "investor", "sent", "keep"), r"'situation'.*'sent'.*investor has 'begin'"),
    ],
)
def test_what_a_situation_does_not_have_is_refused(row, said):
    with pytest.raises(bc.InputError, match=said):
        read([*ROWS, row])


def test_simulated_play_is_read_as_it_was_played():
    played = bc.simulate(bc.ExactPolicy(TRUST), groups=400, cost=1.0, seed=3)
    assert not played["situation"].isna().any()
    labels = {"begin": {"keep", "send", "gamble"}, "sent": {"grab", "share"}, "lost": {"help", "laugh", "leave"}}
    assert {s: set(rows["action"]) for s, rows in played.groupby("situation")} == labels
    trustees = played[played["role"] == "trustee"]
    # Worked out by hand from the tree.
    paid = {"grab": 4, "share": 2, "help": 1, "laugh": 2, "leave": 1}
    assert (trustees["payoff"] == trustees["action"].map(paid)).all()
    sent = played[played["action"] == "send"].merge(trustees, on="group")
    assert (sent["payoff_x"] == sent["action_y"].map({"grab": 0, "share": 2})).all()
    assert set(played[played["action"] == "gamble"]["payoff"]) <= {3.0, 1.0, 0.0}
    solved = bc.ExactPolicy(TRUST).solve(1.0)
    decisions = bc.Decisions.from_table(played, {"trust": TRUST})
    for x in decisions.chosen():
        player, s = (0, 0) if x.role == "investor" else (1, ["sent", "lost"].index(x.situation))
        p = np.asarray(solved.strategies)[player, s, : len(x.labels)]
        off = (x.counts - x.counts.sum() * p) / np.sqrt(x.counts.sum() * p * (1 - p))
        assert np.abs(off).max() < 4
        if x.situation == "lost":  # the check can fail: shares of another situation do not fit
            wrong = np.asarray(solved.strategies)[0, 0]
            assert np.abs(x.counts - x.counts.sum() * wrong).max() > 4 * np.sqrt(x.counts.sum()) / 2


def test_a_game_is_shown_and_written(tmp_path):
    source = tmp_path / "trust.json"
    reply = {"player": "receiver", "situation": "sent", "actions": {"share": [2, 2], "keep": [0, 4]}}
    tree = {"player": "sender", "actions": {"send": reply, "no": [1, 1]}}
    source.write_text(json.dumps({"roles": ["sender", "receiver"], "tree": tree}))
    out = tmp_path / "trust.efg"
    result = CliRunner().invoke(main, ["games", str(source), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "share, keep" in result.output and "sent" in result.output
    assert bc.load_game_file(out).tree == bc.load_game_file(source).tree
    refused = CliRunner().invoke(main, ["games", "--out", str(out)])
    assert refused.exit_code == 2 and "give its name or file" in refused.output


def test_a_study_of_a_tree_begins_with_a_template(tmp_path):
    source = tmp_path / "trust.json"
    reply = {"player": "receiver", "situation": "sent", "actions": {"share": [2, 2], "keep": [0, 4]}}
    tree = {"player": "sender", "situation": "begin", "actions": {"send": reply, "no": [1, 1]}}
    source.write_text(json.dumps({"roles": ["sender", "receiver"], "tree": tree}))
    folder = tmp_path / "mine"
    result = CliRunner().invoke(main, ["data", "template", str(source), "--out", str(folder)])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.toml", "decisions.csv", "trust.json"]
    study = bc.load_study(folder)
    assert study.environments["trust"].tree == bc.load_game_file(source).tree
    assert {x.situation for x in study.decisions.chosen()} == {"begin", "sent"}
    described = CliRunner().invoke(main, ["data", "describe", str(folder)])
    assert "situation" in described.output and "share" in described.output
    again = CliRunner().invoke(main, ["data", "template", str(source), "--out", str(folder)])
    assert again.exit_code == 2 and "would be overwritten" in again.output
    source.write_text("{}")
    broken = CliRunner().invoke(main, ["data", "template", str(source), "--out", str(tmp_path / "other")])
    assert broken.exit_code == 2 and not (tmp_path / "other").exists()
