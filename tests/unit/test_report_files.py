"""`bayescal report`: from fits that were saved, with their study where it can be found again."""

import dataclasses
import json

import pytest
from click.testing import CliRunner
from test_report import TOO_SHORT, TWO_GAMES

from bayescal.cli import main
from bayescal.cli.saved import COMPARISON, comparison_of, fit_files, load_fits, study_of
from bayescal.comparison import compare
from bayescal.posterior.calibrate import calibrate
from bayescal.posterior.status import Status
from bayescal.study import load_study


def save_fits(fits, folder, **facts):
    for name, content in fit_files(fits, **facts):
        (folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def fits():
    """Those of test_report.py: their programs are compiled once."""
    return calibrate(load_study("selten-chmura", **TWO_GAMES), **TOO_SHORT)


@pytest.fixture
def folder(fits, tmp_path):
    save_fits(
        fits, tmp_path, command="bayescal calibrate x", loaded={"study": "selten-chmura", **TWO_GAMES, "data": None}
    )
    return tmp_path


@pytest.mark.slow
def test_a_report_from_files(folder):
    paths = [str(folder / "pooled.nc"), str(folder / "by-game.nc")]
    result = CliRunner().invoke(main, ["report", *paths, "--json", "--out", str(folder / "out")])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (
        told["study_found"]
        and set(told["checks"]) == {"pooled", "by game"}
        and "No model can be named" in told["verdict"]
    )
    numbers = json.loads((folder / "out" / "report.json").read_text())
    assert numbers["study"]["title"] == load_study("selten-chmura").title and numbers["study"]["games"] == 2
    assert numbers["command"].splitlines()[0] == "bayescal calibrate x"


def test_a_comparison_beside_the_same_fits_is_used(folder, fits):
    paths = [str(folder / "pooled.nc"), str(folder / "by-game.nc")]
    assert comparison_of(paths, fits) == (None, "")
    made = compare(fits, unit="game", left_out={"level-k": "no time"})
    (folder / COMPARISON).write_text(json.dumps(made.as_dict()))
    found, path = comparison_of(paths, fits)
    assert found.as_dict() == made.as_dict() and path == str(folder / COMPARISON)
    assert found.best == made.best and list(found.table.index) == list(made.table.index)
    again = fits | {"pooled": dataclasses.replace(fits["pooled"], status=Status(numbers={"r_hat": 1.005}))}
    assert comparison_of(paths, again) == (None, "")
    assert comparison_of(paths[:1], {"pooled": fits["pooled"]}) == (None, "")


def test_fits_keep_their_names_and_their_study(folder, fits):
    found = load_fits([str(p) for p in sorted(folder.glob("*.nc"))])
    assert set(found) == {"pooled", "by game"}
    study, why = study_of(found)
    assert why == "" and study.decisions.data_hash == fits["pooled"].provenance["data_hash"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"loaded": {"study": "no-such-study"}}, "could not be read again"),
        ({"loaded": {"study": "selten-chmura"}}, "has other decisions now"),
        ({"loaded": None, "study": None}, "do not say which study"),
    ],
)
def test_a_study_that_cannot_be_found_is_said(fits, changed, said):
    fit = fits["pooled"]
    study, why = study_of({"pooled": dataclasses.replace(fit, provenance=fit.provenance | changed)})
    assert study is None and said in why


def test_fits_of_other_decisions_are_refused(folder, fits):
    tree = fits["pooled"].tree.copy(deep=True)
    tree["observed_data"]["choices"][0, 0] += 1
    save_fits({"other": dataclasses.replace(fits["pooled"], tree=tree)}, folder, command="", loaded={})
    result = CliRunner().invoke(main, ["report", str(folder / "pooled.nc"), str(folder / "other.nc")])
    assert result.exit_code == 2 and "selten-chmura-01" in result.stderr
    assert not (folder / "report.html").exists()
