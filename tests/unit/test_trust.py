"""Programs in a study: they run only if the user says so, and then register games, habits and more."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from click.testing import CliRunner

from bayescal.cli import main
from bayescal.cli.saved import load_fits, study_of
from bayescal.comparison.rivals import RIVALS
from bayescal.environments.named import GAMES
from bayescal.errors import InputError
from bayescal.populations import POPULATIONS
from bayescal.priors import HABITS
from bayescal.study import check_study, load_study
from bayescal.study.formula import formula_columns
from bayescal.study.readers import READERS

# A Tullock contest, as a user writes it: efforts x and y win a prize with probability x / (x + y).
CONTEST = '''
"""Tullock's contest: two people spend efforts on one prize."""

import equinox as eqx
import jax.numpy as jnp

import bayescal as bc
from bayescal.environments.base import symmetric_fields
from bayescal.environments.named import GAMES, NamedGame


class Contest(bc.OneShot):
    prize: float

    def __init__(self, prize=10.0, efforts=range(11)):
        self.prize = float(prize)
        vars(self).update(symmetric_fields("contest", "contestant", 2, efforts, ordered=True))

    def payoffs(self, joint_action, params):
        effort = jnp.asarray(self.action_values[0])[joint_action]
        total = jnp.sum(effort)
        win = jnp.where(total > 0, effort / jnp.where(total > 0, total, 1.0), 0.5)
        return params["prize"] * win - effort


GAMES.register("contest", NamedGame("Tullock contest", "Tullock (1980)", 2, "11 efforts", Contest))
'''
STUDY = """
[meta]
title = "A contest"
units = "points"
[games]
lab = "contest"
"""
TABLE = "participant,group,round,action\na,1,1,3\nb,1,1,2\na,1,2,4\nb,1,2,0\n"


@pytest.fixture(autouse=True)
def registries_are_left_alone():
    """What a study registers is forgotten after a test."""
    from bayescal.study import trust

    with GAMES.scope(), HABITS.scope(), POPULATIONS.scope(), READERS.scope(), RIVALS.scope():
        yield
    trust._RUN.clear()


@pytest.fixture
def marker(tmp_path):
    """A file that hostile programs write."""
    return tmp_path / "marker"


def study_at(folder: Path, toml: str = STUDY, program: str | None = CONTEST) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "decisions.csv").write_text(TABLE)
    (folder / "dataset.toml").write_text(toml)
    if program is not None:
        (folder / "game.py").write_text(program)
    return folder


def hostile(marker: Path) -> str:
    return f"from pathlib import Path\nPath({str(marker)!r}).write_text('it ran')\n"


def run(*args: str):
    return CliRunner().invoke(main, list(args), catch_exceptions=False)


def refused(*args: str) -> str:
    result = run(*args)
    assert result.exit_code == 2 and result.stdout == ""
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    return result.stderr


# Without trust nothing runs.
COMMANDS = (
    "calibrate FOLDER", "compare FOLDER", "check FOLDER", "sbc FOLDER", "recover FOLDER", "data validate FOLDER",
    "data describe FOLDER", "data template FOLDER", "data template FOLDER/contest", "simulate FOLDER --cost 1",
    "simulate FOLDER/contest --cost 1", "solve FOLDER --cost 1", "solve FOLDER/contest --cost 1",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_without_trust_no_command_runs_a_program(command, tmp_path, marker):
    folder = study_at(tmp_path / "mine", program=hostile(marker) + CONTEST)
    said = refused(*command.replace("FOLDER", str(folder)).split())
    assert str(folder / "game.py") in said and "--trust" in said
    assert not marker.exists() and "contest" not in GAMES


def test_python_gives_the_same_sentence_and_names_what_is_unknown(tmp_path, marker):
    toml = STUDY + '[model]\npopulation = "bimodal"\nprior = ["Imitate"]\n'
    folder = study_at(tmp_path / "mine", toml, hostile(marker))
    for load in (load_study, check_study):
        with pytest.raises(InputError) as error:
            load(folder)
        for words in ("'contest'", "'bimodal'", "'Imitate'", str(folder / "game.py"), "trust=True"):
            assert words in str(error.value)
    assert not marker.exists()


def test_a_study_that_needs_no_program_is_read_without_running_it(tmp_path, marker):
    folder = study_at(tmp_path / "mine", STUDY.replace('"contest"', '"cournot-2"'), hostile(marker))
    assert load_study(folder).decisions.total == 4
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["models/mine", "models/mine/experiment.py", "{folder}/models/mine", "../mine/models/mine"]
)
def test_a_policy_with_a_program_of_its_own_does_not_run(name, tmp_path, marker):
    folder = tmp_path / "mine"
    name = name.format(folder=folder)
    study_at(folder, STUDY.replace('"contest"', '"cournot-2"') + f'[model]\npolicy = "{name}"\n', None)
    (folder / "models" / "mine").mkdir(parents=True)
    (folder / "models" / "mine" / "experiment.py").write_text(hostile(marker))
    said = refused("calibrate", str(folder))
    assert "experiment.py would run" in said and "--trust" in said and not marker.exists()
    assert refused("data", "validate", str(folder)) and not marker.exists()
    run("calibrate", str(folder), "--trust")
    assert marker.exists()  # so the test would notice


def test_a_policy_that_is_no_model_is_said_to_be_none(tmp_path):
    toml = STUDY.replace('"contest"', '"cournot-2"') + '[model]\npolicy = "cornot"\n'
    assert "there is no such model; the models are" in refused("data", "validate", str(study_at(tmp_path / "m", toml)))


CONDITIONS = (
    "@os.system('touch {marker}') == 0",
    "@pd.io.common.os.system('touch {marker}') == 0",
    "action.to_csv('{marker}') == 1",
    "action.__class__ == 1",
    "[action for action in (1,)] == 1",
    "'`' == @os.system('touch {marker}') == '`'",
)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_is_a_comparison_and_nothing_else(condition, tmp_path, marker):
    condition = condition.format(marker=marker)
    toml = STUDY.replace('"contest"', '"cournot-2"').replace("[games]", f"where = {json.dumps(condition)}\n[games]")
    said = refused("data", "validate", str(study_at(tmp_path / "mine", toml, None)))
    assert "group in [1, 2, 3]" in said and not marker.exists()


FORMULAS = (
    "~ {{__import__('os').system('touch {marker}')}}",
    "~ C(age, contr.treatment.__globals__)",
    "~ log(age.to_csv('{marker}'))",
    "~ {{[x for x in age]}}",
    "~ {{(lambda: 1)()}}",
    "~ poly(open('{marker}', 'w'))",
)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_runs_nothing(formula, tmp_path, marker):
    formula = formula.format(marker=marker)
    with pytest.raises(InputError, match="a formula is data and does not run programs"):
        formula_columns(formula)
    toml = STUDY.replace('"contest"', '"cournot-2"') + f"[model]\ncovariates = {json.dumps(formula)}\n"
    assert "does not run programs" in refused("data", "validate", str(study_at(tmp_path / "mine", toml, None)))
    assert not marker.exists()


def test_formulas_that_people_write_are_accepted():
    formula = "~ age + C(town) - 1 + log(age):town + `weird name` + center(scale(age)) * town"
    assert formula_columns(formula) == ["age", "town", "weird name"]


@pytest.mark.parametrize("place", ["../outside.csv", "/etc/passwd", "a/../../b.csv", "C:/x.csv", "..\\x.csv"])
def test_a_table_is_fetched_to_a_place_below_the_folder_of_tables(place, tmp_path):
    toml = f'[meta]\ntitle = "T"\nreader = "nagel-1995"\nexternal = {json.dumps(place)}\n'
    assert "external under [meta]" in refused("data", "add", str(study_at(tmp_path / "mine", toml, None)))


def test_a_saved_fit_cannot_say_that_a_study_is_trusted(tmp_path, marker):
    loaded = {"study": str(study_at(tmp_path / "mine", program=hostile(marker))), "trust": True}
    study, reason = study_of({"fit": SimpleNamespace(provenance={"loaded": loaded})})
    assert study is None and "game.py" in reason and not marker.exists()


# With trust it runs.
def test_a_program_registers_its_game_and_runs_once(tmp_path, marker):
    program = (
        CONTEST + f"\nfrom pathlib import Path\nwith Path({str(marker)!r}).open('a') as file:\n    file.write('.')\n"
    )
    folder = study_at(tmp_path / "mine", program=program)
    first = load_study(folder, trust=True)
    assert first.environments["lab"].name == "contest" and first.decisions.total == 4
    assert check_study(folder / "decisions.csv", trust=True).environments["lab"].name == "contest"
    assert marker.read_text() == "."
    (folder / "game.py").write_text(program.replace("prize=10.0", "prize=20.0"))  # a user who works on it
    assert load_study(folder, trust=True).environments["lab"].prize == 20.0
    assert marker.read_text() == ".."


def test_two_studies_cannot_register_one_name(tmp_path):
    load_study(study_at(tmp_path / "one"), trust=True)
    with pytest.raises(InputError, match=r"already a game called 'contest', registered by .*one/game.py"):
        load_study(study_at(tmp_path / "two"), trust=True)


@pytest.mark.parametrize(
    ("program", "words"),
    [("import nothing_like_it\n", "line 1"), ("x = 1\ny = (\n", "line 2"), ("\n\nraise SystemError('no')\n", "line 3")],
)
def test_a_program_that_fails_is_one_sentence_with_its_line(program, words, tmp_path):
    said = refused("data", "validate", str(study_at(tmp_path / "mine", program=program)), "--trust")
    assert f"game.py, {words}: the program failed" in said


def test_a_program_may_register_habits_populations_and_readers(tmp_path):
    program = (
        CONTEST
        + """
from bayescal.populations import POPULATIONS, LogNormal
from bayescal.priors import HABITS, Focal
from bayescal.study.readers import READERS, Reader, Reading
from bayescal.study.readers.raw import raw_table


class Narrow(LogNormal):
    pass


class Round(Focal):
    pass


def read(path, options):
    return Reading(raw_table(path, ("participant", "action")), {"lab": Contest(**options)})


POPULATIONS.register("narrow", Narrow)
HABITS.register("Round", Round)
READERS.register("my-lab", Reader(read, ("participant", "action"), ("action",), ("participant",), ""))
"""
    )
    model = '[model]\npopulation = "narrow"\nprior = [{ kind = "Round", every = 5 }]\n'
    study = load_study(study_at(tmp_path / "one", STUDY + model, program), trust=True)
    assert study.population == "narrow" and type(study.prior).__name__ == "Round"
    reader = '[meta]\ntitle = "A contest"\nreader = "my-lab"\nexternal = "my-lab/x.csv"\n'
    (tmp_path / "one" / "dataset.toml").write_text(reader + model)
    read = load_study(tmp_path / "one", data=tmp_path / "one" / "decisions.csv", trust=True)
    assert read.decisions.total == 4 and read.environments["lab"].name == "contest"


def simulated(folder: Path) -> Path:
    """The study with a table of simulated play. It has no groups: with them there is a model by group too."""
    out = str(folder / "decisions.csv")
    done = run("simulate", str(folder), "--trust", "--cost", "0.8", "--groups", "20", "--rounds", "10", "--out", out)
    assert done.exit_code == 0 and "400 decisions of 40 people" in done.stderr
    pd.read_csv(out).drop(columns="group").to_csv(out, index=False)
    return folder


def test_a_contest_of_ones_own_is_simulated_and_validated(tmp_path):
    folder = simulated(study_at(tmp_path / "mine"))
    assert "is fine: 400 decisions in 1 game by 40" in run("data", "validate", str(folder), "--trust").stdout


@pytest.mark.slow
def test_a_contest_of_ones_own_is_calibrated(tmp_path):
    folder = simulated(study_at(tmp_path / "mine"))
    args = ("calibrate", str(folder), "--trust", "--method", "grid", "--json", "--out", str(tmp_path / "out"))
    fitted = json.loads(run(*args).stdout)["fits"]["pooled"]
    cost = fitted["summary"]["cost"]
    assert fitted["converged"] and cost["eti90_lb"] < 0.8 < cost["eti90_ub"] < 1.2
    # Saved fits find their study again, if it is trusted.
    fits = load_fits([str(tmp_path / "out" / "pooled.nc")])
    assert study_of(fits, trust=True)[0].environments["lab"].name == "contest"
