"""Files of games: what is refused and how, trees that are written out, and the commands that read and print them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import bayescal as bc
from bayescal.cli import main
from bayescal.environments import limits
from bayescal.environments.extensive import Chance, End, ExtensiveForm, Move
from bayescal.environments.gambit import read_agg, read_efg, read_nfg
from bayescal.environments.game_files import game_of
from bayescal.environments.limits import DEPTH
from bayescal.errors import InputError
from bayescal.study.games import build_games

NFG = 'NFG 1 R "pennies" { "row" "column" }\n{ 2 2 }\n\n1 -1 -1 1 -1 1 1 -1\n'
EFG = """EFG 2 R "trust" { "sender" "receiver" "watcher" }
c "" 1 "" { "a" 1/3 "b" 2/3 } 0
p "" 1 1 "begin" { "trust" "keep" } 0
p "" 2 1 "was trusted" { "share" "keep" } 0
t "" 1 "" { 2, 2, 0 }
t "" 2 "" { 0, 4, 0 }
t "" 3 "" { 1, 1, 0 }
t "" 0
"""
AGG = "#AGG\n2 2 0\n2 2\n0 1\n0 1\n1 0\n1 1\n0 5 3\n0 2 1\n"
READ = {"nfg": (read_nfg, NFG), "efg": (read_efg, EFG), "agg": (read_agg, AGG)}


@pytest.mark.parametrize(
    ("form", "old", "new", "sentence"),
    [
        ("nfg", "NFG", "EFG", "line 1: the file does not begin with NFG"),
        ("nfg", "1 R", "2 R", "line 1: only version 1 can be read"),
        ("nfg", '"row" "column"', "", "line 1: there are no players"),
        ("nfg", "{ 2 2 }", "{ 2 3 }", "line 5: found the end of the file where the payoff of player 1 in outcome 5"),
        ("nfg", "1 -1\n", "1\n", "line 5: found the end of the file where the payoff of player 2 in outcome 4 of 4"),
        ("nfg", "1 -1\n", "1 -1 5\n", "line 4: found '5' where the end of the file"),
        ("nfg", "1 -1\n", "1 x\n", "line 4: found 'x' where the payoff of player 2 in outcome 4 of 4 is needed"),
        ("nfg", "1 -1\n", "1 1/0\n", "line 4: 1/0 is not a number"),
        ("nfg", "1 -1\n", "1 1e999\n", "line 4: 1e999 is too large"),
        ("nfg", "1 -1\n", "1 1.2.3\n", "line 4: '1.2.3' is neither a number"),
        ("nfg", "{ 2 2 }", "{ 999999999 999999999 }", "player 1 has more, where from 1 to 10,000"),
        ("nfg", "{ 2 2 }", "{ 9999 9999 }", "there are 199,960,002 payoffs, and at most 2,000,000"),
        ("nfg", "{ 2 2 }", "{ 0 2 }", "player 1 has no strategies"),
        ("nfg", "row", "ro\x00w", "line 1: 'NFG 1 R"),
        ("nfg", "row", "ro\u202ew", "holds an invisible character, U\\+202E"),
        ("nfg", '"column"', '"column', "line 1: '\"column' is neither"),
        ("efg", "c ", "q ", "line 2: found 'q' where a node is needed"),
        ("efg", "2/3", "1/3", "line 2: the probabilities of information set 1 of nature sum to 0.666"),
        ("efg", "p \"\" 2 1", "p \"\" 4 1", "line 4: player 4 moves, but players are numbered from 1 to 3"),
        ("efg", '"was trusted" { "share" "keep" }', "", "line 4: information set 1 has no actions yet"),
        ("efg", '3 "" { 1, 1, 0 }', "3", "line 7: outcome 3 has no payoffs anywhere"),
        ("efg", "t \"\" 3", "t \"\" 2", "line 7: outcome 2 has other payoffs than where it came first"),
        ("efg", '{ 1, 1, 0 }', "{ 1, 1 }", "line 7: found '}' where the payoff of player 3 in outcome 3 is needed"),
        ("efg", 't "" 0\n', "", "line 8: found the end of the file where a node"),
        ("efg", 't "" 0\n', 't "" 0\nt "" 0\n', "line 9: found 't' where the end of the file"),
        ("efg", 't "" 0\n', 't "" 0 "" { 1 2 3 }\n', "line 8: outcome 0, which means none, is given payoffs"),
        ("efg", 'p "" 2 1', 'p "" 1 1', "line 4: information set 1 has other actions"),
        ("agg", "2 2 0", "2 2 1", "line 2: games with function nodes are not read"),
        ("agg", "0 5 3", "0 5", "payoff"),
        ("agg", "\n0 1\n", "\n0 7\n", "line 4: found node 7"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_with_its_line(form, old, new, sentence, tmp_path):
    read, text = READ[form]
    assert old in text
    path = tmp_path / f"game.{form}"
    path.write_text(text)
    assert bc.load_game_file(path).players == read(text, "a file", "game").players
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=sentence) as caught:
        bc.load_game_file(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_files_that_are_no_text_or_not_there(tmp_path):
    path = tmp_path / "game.efg"
    with pytest.raises(InputError, match="there is no such file"):
        bc.load_game_file(path)
    path.write_bytes(EFG.encode("utf-16"))
    with pytest.raises(InputError, match="not UTF-8"):
        bc.load_game_file(path)
    (tmp_path / "folder.nfg").mkdir()
    with pytest.raises(InputError, match="a folder"):
        bc.load_game_file(tmp_path / "folder.nfg")


def chain(length: int) -> str:
    lines = ['EFG 2 R "long" { "one" "two" }']
    lines += [f'p "" {1 + k % 2} {k + 1} "" {{ "go" "stop" }} 0' for k in range(length)]
    return "\n".join([*lines, *['t "" 0'] * (length + 1)])


def test_deep_and_wide_trees(monkeypatch):
    """A tree as deep as is possible is read without recursion; one move more, or too many nodes, are refused."""
    assert read_efg(chain(DEPTH - 1), "a file", "game").horizon == DEPTH - 1
    with pytest.raises(InputError, match="more than 1,000 moves follow each other"):
        read_efg(chain(DEPTH + 1), "a file", "game")
    wide = " ".join('""' for _ in range(3_000))
    lines = ['EFG 2 R "wide" { "one" }', *(f'p "" 1 {k} "" {{ {wide} }} 0' for k in range(2))]
    with pytest.raises(InputError, match="nodes times branches"):
        read_efg("\n".join(lines), "a file", "game")
    monkeypatch.setattr(limits, "NODES", 500)  # the true limit takes seconds to reach
    with pytest.raises(InputError, match="at most 500 nodes"):
        read_efg(chain(251), "a file", "game")
    assert read_efg(chain(249), "a file", "game").horizon == 249


def test_names_that_are_missing_or_repeated():
    text = EFG.replace('"share" "keep"', '"" ""').replace('"was trusted"', '""').replace('"receiver"', '"sender"')
    game = read_efg(text.replace('"watcher"', '""'), "a file", "game")
    assert game.role_names == ("sender", "sender (2)", "player 3")
    assert game.situations_of(1) == [("set 1", ("1", "2"))] and game.situations_of(2) == []


def test_branches_that_never_happen_are_dropped():
    kept = Move(0, "begin", {"a": End((1,)), "b": End((0,))})
    never = Move(0, "never", {"a": End((5,)), "b": End((6,))})
    game = ExtensiveForm(Chance(((1.0, kept), (0.0, never))), role_names=["one"])
    assert game.situations_of(0) == [("begin", ("a", "b"))] and game.default_payoffs.tolist() == [[1.0], [0.0]]
    with pytest.raises(InputError, match="negative or do not sum to 1"):
        ExtensiveForm(Chance(((1.5, kept), (-0.5, never))), role_names=["one"])
    with pytest.raises(InputError, match="nobody has a choice"):
        ExtensiveForm(Chance(((1.0, End((1,))), (0.0, never))), role_names=["one"])


REPLY = {"player": "receiver", "actions": {"share": [2, 2], "keep": [0, 4]}}
BEGIN = {"player": "sender", "situation": "begin", "actions": {"send": REPLY, "keep": [1, 1]}}
TREE = {"chance": [{"probability": "1/3", "then": [0, 0]}, {"probability": 0.6666666666666666, "then": BEGIN}]}


def test_a_tree_in_json_and_in_a_study(tmp_path):
    reply = Move(1, "after branch 2, send", {"share": End((2, 2)), "keep": End((0, 4))})
    root = Chance(((1 / 3, End((0, 0))), (2 / 3, Move(0, "begin", {"send": reply, "keep": End((1, 1))}))))
    expected = ExtensiveForm(root, name="trust", role_names=["sender", "receiver"])
    content = {"roles": ["sender", "receiver"], "tree": TREE}
    (tmp_path / "trust.json").write_text(json.dumps(content))
    (tmp_path / "trust.efg").write_text(EFG)
    games = build_games(tmp_path, {"a": content | {"name": "trust"}, "b": "trust.json", "c": "trust.efg"})
    for game in (games["a"], games["b"]):
        assert game.tree == expected.tree and np.array_equal(game.default_payoffs, expected.default_payoffs)
    assert games["b"].name == "trust" and games["c"].players == 3


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"player": "sender"', '"player": "sendr"', "tree.chance\\[1\\].then.player is 'sendr', where one of"),
        ('"keep": [0, 4]', '"keep": [0]', r"then.actions.send.actions.keep is \[0\], where a list of 2"),
        ('"keep": [0, 4]', '"keep": [0, true]', "is True, where a number"),
        ('"keep": [0, 4]', '"keep": 4', "actions.keep is 4, where a section or a list of payoffs"),
        ('"1/3"', '"1/0"', "chance\\[0\\].probability is '1/0', where a number from 0 to 1"),
        ('"1/3"', '"1/4"', "probabilities in tree.chance sum to 0.91"),
        ('"situation"', '"sitation"', "did you mean 'situation'"),
        ('"actions": {"share"', '"acts": {"share"', "actions.send.actions is missing"),
        ('"situation": "begin"', '"situation": 3', "situation is 3, where a text"),
    ],
)  # fmt: skip
def test_a_faulty_tree_is_refused_with_its_place(old, new, sentence):
    text = json.dumps(TREE)
    assert old in text
    with pytest.raises(InputError, match=sentence):
        game_of({"roles": ["sender", "receiver"], "tree": json.loads(text.replace(old, new, 1))}, "a file", "game")


def test_nested_too_deep():
    node = [0]
    for _ in range(3000):
        node = {"player": "one", "actions": {"go": node, "stop": [0]}}
    with pytest.raises(InputError, match="more than 100 moves"):
        game_of({"roles": ["one"], "tree": node}, "a file", "game")


def test_games_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"end in \.efg"):
        bc.save_game_file(bc.get_game("kuhn-poker"), tmp_path / "kuhn.nfg")
    with pytest.raises(InputError, match="neither played once nor a tree"):
        bc.save_game_file(bc.get_game("bus-engine"), tmp_path / "bus.efg")
    with pytest.raises(InputError, match="payoffs"):
        bc.save_game_file(bc.PublicGoods(8), tmp_path / "goods.nfg")


def test_solve_prints_situations_by_name_and_nobody_who_never_moves(tmp_path):
    path = tmp_path / "trust.efg"
    path.write_text(EFG)
    shown = CliRunner().invoke(
        main, ["solve", str(path), "--cost", "0.4", "--concept", "agent"], catch_exceptions=False
    )
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert shown.exit_code == 0 and "watcher" not in shown.stdout
    row = next(line for line in lines if line[:2] == ["was", "trusted"])
    keep = 1 / (1 + np.exp((2 - 4) / 0.4))
    assert row[2:] == [f"{1 - keep:.4f}", f"{keep:.4f}"]
    trust = 1 / (1 + np.exp((1 - 2 * (1 - keep)) / 0.4))
    assert next(line for line in lines if line[:1] == ["begin"])[1:] == [f"{trust:.4f}", f"{1 - trust:.4f}"]
