"""The report: whole, self-contained, escaped, and every number of it finite or null."""

import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
from pages import Page, unbalanced

from bayescal import files
from bayescal.comparison import compare
from bayescal.diagnostics import check
from bayescal.errors import InputError
from bayescal.posterior.calibrate import calibrate
from bayescal.posterior.status import Status
from bayescal.report import write_report
from bayescal.study import load_study

TWO_GAMES = {"where": "game in ['selten-chmura-01', 'selten-chmura-02']"}
TOO_SHORT = {"draws": 30, "warmup": 40, "chains": 2}


@pytest.fixture(scope="module")
def study():
    return replace(load_study("selten-chmura", **TWO_GAMES), title='Games <script>alert("x")</script> & more')


@pytest.fixture(scope="module")
def fits(study):
    """Forty iterations of warmup and thirty draws are too few, and one fit says so."""
    found = calibrate(study, **TOO_SHORT)
    return found | {"by game": replace(found["by game"], status=Status(numbers={"r_hat": 1.0}))}


@pytest.fixture(scope="module")
def comparison(study, fits):
    return compare(fits, decisions=study.decisions, unit="game", left_out={"level-k": "there is no time"})


@pytest.fixture(scope="module")
def checks(study, fits):
    return {"by game": check(fits["by game"], study=study)}


@pytest.fixture(scope="module")
def page(study, fits, comparison, checks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return write_report(study, fits, folder, command="bayescal compare x", comparison=comparison, checks=checks)


def words(path):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", path.read_text()))


def test_it_stands_alone(page):
    found = Page(page.read_text())
    assert found.open == []
    assert found.network == []
    assert found.dangling == []
    assert len(found.ids) == len(set(found.ids)), "two figures share an id"
    assert page.stat().st_size < 5_000_000
    assert {p.name for p in page.parent.iterdir()} == {
        "report.html", "report.json", "figures", "manifest.json"
    }  # fmt: skip
    figures = {p.name for p in (page.parent / "figures").iterdir()}
    assert {p.rpartition(".")[2] for p in figures} == {"svg", "png"}
    assert figures == set(json.loads((page.parent / "report.json").read_text())["figures"])


def test_only_its_own_script_runs(page):
    found = Page(page.read_text())
    (script,) = found.scripts
    assert unbalanced(script) is None
    assert found.handlers == []
    (policy,) = (a["content"] for t, a in found.tags if t == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy


def test_it_can_be_read_aloud(page):
    found = Page(page.read_text())
    assert found.unspoken == []
    assert found.unscoped == []
    levels = [int(t[1]) for t, _ in found.tags if re.fullmatch(r"h[1-6]", t)]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in pairwise(levels)), levels


def test_what_would_be_loaded_or_lead_nowhere_is_caught():
    bad = Page(
        '<h1 id="a">x<img src="https://x.org/a.png"><a href="#b">to b</a><p style="fill: url(#c)" onclick="f()">'
        "<style>@import 'x.css'; p { background: url(x.png) }</style><th>head"
    )
    assert bad.network == ["https://x.org/a.png", "@import 'x.css'", "url(x.png)"]
    assert bad.dangling == ["#b", "#c"]
    assert bad.handlers == ["onclick"] and len(bad.unspoken) == 1 and len(bad.unscoped) == 1 and "h1" in bad.open
    assert unbalanced("f(1, [2)]") == ")" and unbalanced('f("}") // {\n') is None and unbalanced("{") == ["{"]


def test_titles_are_escaped(page):
    assert "<script>alert" not in page.read_text() and "&lt;script&gt;" in page.read_text()


def test_the_verdict_comes_first_and_the_excluded_fit_is_marked(page, comparison):
    text = words(page)
    first = comparison.verdict.partition(" (")[0]
    assert text.index(first[1:]) < text.index("What information costs")
    assert re.search(r"pooled\s*excluded", text)
    assert "level-k: there is no time" in text
    rows = re.findall(r'<tr class="([a-z]+)[^"]*"><th scope="row">([a-z ]+)', page.read_text())
    assert {name.strip(): kind for kind, name in rows} == {"by game": "best", "pooled": "excluded"}


def test_it_says_what_matters(page, checks):
    text = words(page)
    for said in (
        "If everybody has the same cost",
        "not identified",
        "How to reproduce",
        "Selten, R. and Chmura, T.",
        "19,200",
        checks["by game"].status,
    ):
        assert said in text


def test_without_a_comparison_a_bad_fit_is_told_of(study, fits, tmp_path):
    text = words(write_report(study, fits, tmp_path))
    assert "not to be trusted" in text and "Which model predicts best" not in text
    assert "have not been compared out of sample" in text


def test_numbers(page, comparison, checks):
    numbers = json.loads((page.parent / "report.json").read_text(), parse_constant=pytest.fail)
    assert numbers["study"]["decisions"] == 19200
    assert set(numbers["fits"]) == {"pooled", "by game"}
    assert numbers["fits"]["pooled"]["provenance"]["seed"] == 0
    assert len(numbers["fits"]["by game"]["people"]) == 2
    table = numbers["comparison"]["table"]["pooled"]
    assert table["elpd"] == pytest.approx(comparison.table.loc["pooled", "elpd"])
    assert numbers["checks"]["by game"]["status"] == checks["by game"].status


def test_without_the_study_it_says_what_the_fits_know(fits, tmp_path):
    path = write_report(None, fits, tmp_path, remarks=("The study was not found.",))
    assert "The study was not found." in words(path)
    assert json.loads((tmp_path / "report.json").read_text())["study"]["decisions"] == 19200


def test_a_report_replaces_another_whole_or_not_at_all(page, study, fits, tmp_path, monkeypatch):
    out = tmp_path / "out"
    shutil.copytree(page.parent, out)
    (out / "figures" / "mine.svg").write_text("a figure of somebody else")
    contents = lambda: {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    before, tried, write = contents(), [], files.write_new

    def fails(path, data):
        if "report.json" in path.name:
            raise OSError(28, "No space left on device", str(path))
        tried.extend([data] * (path.name == "report.html"))
        return write(path, data)

    one = {"pooled": fits["pooled"]}
    with monkeypatch.context() as patch:
        patch.setattr("bayescal.results.commit.write_new", fails)
        with pytest.raises(InputError, match=r"report.json: cannot be written \(No space left on device\); make room"):
            write_report(study, one, out)
    assert contents() == before
    written = write_report(study, one, out).read_bytes()
    assert written == tried[0], "the same fit gives the same page"
    left = {p.name for p in (out / "figures").iterdir()}
    assert "advantages.svg" in {p.name for p in before}
    assert "mine.svg" in left and "choices.svg" in left and "advantages.svg" not in left


def test_an_unwritable_folder_leaves_nothing(study, fits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(study, fits, tmp_path / "file" / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_misspelt_hyperprior_is_refused(study):
    with pytest.raises(InputError, match="log_costs"):
        calibrate(replace(study, hyperpriors={"log_costs": [0.0, 1.0]}))
