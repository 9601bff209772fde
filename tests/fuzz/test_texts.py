"""Mutated tables, studies, games, habits and types: they open, or are refused with a sentence."""

import gzip
import json
import tomllib
from pathlib import Path

import pandas as pd
import pytest
from mutations import damaged, explore, mutated, to_json, to_toml

from bayescal.cli.solve import read_types
from bayescal.environments.game_files import load_game_file
from bayescal.environments.named import get_game
from bayescal.priors import load_prior_file
from bayescal.study import check_study

GAME = {
    "payoffs": [[[1, 0], [0, 1]], [[0, 1], [1, 0.5]]],
    "name": "pennies",
    "roles": ["row", "column"],
    "actions": [["heads", "tails"], ["left", "right"]],
}
NFG = """NFG 1 R "pennies" { "row" "column" } { { "a" "b" } { "c" "d" } }
"" { { "o" 1, -1/2 } { "p" .5 2e1 } }
1 2 0 1
"""
EFG = """EFG 2 R "a \\"tree\\"" { "one" "two" }
c "" 1 "" { "a" 1/3 "b" 2/3 "never" 0 } 0
p "" 1 1 "begin" { "in" "out" } 0
p "" 2 1 "then" { "up" "down" } 1 "o" { 1, 1 }
t "" 2 "" { 2, 2 }
t "" 1
t "" 0
p "" 2 1 0
t "" 2
t "" 1
t "" 0
"""
AGG = "#AGG\n2 2 0\n2 2\n0 1\n0 1\n1 0\n1 1\n0 5 3\n1 2 [0] 2 [1] 1\n"
END, MOVE = [1, 2], {"player": "one", "situation": "then", "actions": {"up": [0, 3], "down": [2.5, 1]}}
TREE = {
    "name": "tree",
    "roles": ["one", "two"],
    "tree": {"chance": [{"probability": "1/3", "then": END}, {"probability": 2 / 3, "then": MOVE, "name": "b"}]},
}
HABIT = [[0.7, 0.3], [0.5, 0.5]]
TYPES = [[0.5, 0.3], [2, 0.7]]
TABLE = """id,group,game,role,round,choice,age,town
1,1,a,row,1,heads,31,x
2,1,a,column,1,left,45,y
1,1,b,row,2,1,31,x
2,1,b,column,2,0,45,y
3,2,c,row,1,Up,27,z
4,2,c,column,1,Left,50,z
"""
STUDY = """
[meta]
title = "Three games"
source = "https://example.org"
units = "points"
file = "decisions.csv"
where = "round <= 20 and not game in ['d', 'e']"
people = 4
[columns]
participant = "id"
action = ["choice", "decision"]
[games]
a = "game.json"
b = { payoffs = [[[1, 0], [0, 1]], [[0, 1], [1, 0]]], roles = ["row", "column"], actions = [["0", "1"], ["0", "1"]] }
c = "selten-chmura-01"
[model]
by = "game"
snap = true
tolerance = 0.5
population = "log-normal"
beliefs = { log_mean = 1.0, log_sd = 0.5 }
method = "marginal"
prior = ["Uniform", { kind = "Focal", every = 5 }]
covariates = "~ log(age) + C(town)"
groups = "group"
lapse = true
hyperpriors = { log_cost = [1.52, 1.41], log_cost_sd = 1.0 }
"""
WIDE = """
[meta]
title = "Orders"
[columns]
round = "day"
[wide]
columns = "s{participant}_{value}"
[games]
all = { game = "newsvendor", orders = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], rounds = 3 }
[model]
policy = "newsvendor"
prior_parameters = true
tolerance = 0.01
chance = false
cost = 2.0
parameters = ["price"]
"""
WIDE_TABLE = "day,s1_action,s1_demand,s2_action,s2_demand\n1,3,5,4,5\n2,5,2,5,2\n3,4,4,9,9\n"


def study(folder: Path, toml: str = STUDY, table: bytes = TABLE.encode(), name: str = "decisions.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dataset.toml").write_text(toml.replace("decisions.csv", name), "utf-8", "surrogatepass")
    (folder / "game.json").write_text(json.dumps(GAME))
    (folder / name).write_bytes(table)
    return folder


def text(path: Path, content: str) -> Path:
    path.write_text(content, "utf-8", "surrogatepass")
    return path


def parquet(folder: Path) -> bytes:
    folder.mkdir(exist_ok=True)
    path = study(folder) / "t.parquet"
    pd.read_csv(folder / "decisions.csv").to_parquet(path)
    return path.read_bytes()


def cases(tmp_path):
    """By format: (strategy, the function that opens an input)."""
    chicken, folder = get_game("selten-chmura-01"), tmp_path / "study"
    table = lambda name: lambda raw: check_study(study(folder, table=raw, name=name))
    packed = gzip.compress(TABLE.encode(), mtime=0)
    plain = study(tmp_path / "plain")
    return {
        "csv": (damaged(TABLE.encode()), table("decisions.csv")),
        "csv.gz": (damaged(packed), table("decisions.csv.gz")),
        "parquet": (damaged(parquet(tmp_path / "parquet")), table("decisions.parquet")),
        "dataset.toml": (mutated(tomllib.loads(STUDY)), lambda x: check_study(study(folder, to_toml(x)))),
        "dataset.toml, bytes": (
            damaged(STUDY.encode()),
            lambda raw: (study(folder) / "dataset.toml").write_bytes(raw) and check_study(folder),
        ),
        "wide": (
            mutated(tomllib.loads(WIDE)),
            lambda x: check_study(study(folder, to_toml(x), WIDE_TABLE.encode())),
        ),
        "game": (mutated(GAME), lambda x: load_game_file(text(tmp_path / "game.json", to_json(x)))),
        "game, bytes": (
            damaged(json.dumps(GAME).encode()),
            lambda raw: (plain / "game.json").write_bytes(raw) and check_study(plain),
        ),
        "tree": (mutated(TREE), lambda x: load_game_file(text(tmp_path / "tree.json", to_json(x)))),
        **{
            name: (
                damaged(content.encode()),
                lambda raw, name=name: (
                    (tmp_path / f"game.{name}").write_bytes(raw) and load_game_file(tmp_path / f"game.{name}")
                ),
            )
            for name, content in (("nfg", NFG), ("efg", EFG), ("agg", AGG))
        },
        "habit": (mutated(HABIT), lambda x: load_prior_file(text(tmp_path / "habit.json", to_json(x)), chicken)),
        "types": (mutated(TYPES), lambda x: read_types(to_json(x))),
    }


FORMATS = (
    "csv", "csv.gz", "parquet", "dataset.toml", "dataset.toml, bytes", "wide", "game", "game, bytes", "tree", "nfg",
    "efg", "agg", "habit", "types",
)  # fmt: skip


def test_without_a_mutation_everything_opens(tmp_path):
    assert check_study(study(tmp_path / "one")).decisions.total == 6
    assert check_study(study(tmp_path / "two", WIDE, WIDE_TABLE.encode())).decisions.total == 6
    assert load_game_file(tmp_path / "one" / "game.json").name == "pennies"
    assert tuple(cases(tmp_path)) == FORMATS


@pytest.mark.parametrize("inputs", [20, pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", FORMATS)
def test_a_mutated_file_opens_or_is_refused_with_a_sentence(form, inputs, tmp_path):
    strategy, open_it = cases(tmp_path)[form]
    seen = explore(strategy, open_it, inputs)
    assert seen["refused"] > inputs // 10
