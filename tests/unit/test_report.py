"""The report: whole, self-contained, escaped, and every number of it finite or null."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bayescal.data import load_study
from bayescal.errors import InputError
from bayescal.inference import calibrate
from bayescal.report import write_report


@pytest.fixture(scope="module")
def study():
    return replace(load_study("selten-chmura"), title='Games <script>alert("x")</script> & more')


@pytest.fixture(scope="module")
def fits(study):
    return calibrate(study, draws=40, warmup=60, chains=2)


@pytest.fixture(scope="module")
def page(study, fits, tmp_path_factory):
    return write_report(study, fits, tmp_path_factory.mktemp("report"), command="bayescal calibrate selten-chmura")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "img", "br", "path", "use"):
            self.open.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v]
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def test_it_stands_alone(page):
    text = page.read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert all(link.startswith("#") for link in tags.links)
    assert not re.search(r"<script|@import|url\((?!#)", text)
    assert len(tags.ids) == len(set(tags.ids)), "two figures share an id"
    assert page.stat().st_size < 5_000_000
    assert {p.name for p in page.parent.iterdir()} == {"report.html", "report.json", "figures"}
    assert {p.suffix for p in (page.parent / "figures").iterdir()} == {".svg", ".png"}


def test_titles_are_escaped(page):
    assert "<script>" not in page.read_text() and "&lt;script&gt;" in page.read_text()


def test_it_says_what_matters(page):
    text = page.read_text()
    for words in (
        "If one cost holds for everybody",
        "not identified",
        "Reproduce",
        "Selten, R. and Chmura, T.",
    ):
        assert words in re.sub(r"\s+", " ", text)
    # Sixty iterations of warmup and forty draws are too few, and the report warns.
    assert "not to be trusted" in text


def test_numbers(page):
    numbers = json.loads((page.parent / "report.json").read_text(), parse_constant=pytest.fail)
    assert numbers["study"]["decisions"] == 86400
    assert set(numbers["fits"]) == {"pooled", "by game"}
    assert numbers["fits"]["pooled"]["provenance"]["seed"] == 0


def test_an_unwritable_folder_leaves_nothing(study, fits, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(study, fits, tmp_path / "file" / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_misspelt_hyperprior_is_refused(study):
    with pytest.raises(InputError, match="log_costs"):
        calibrate(replace(study, hyperpriors={"log_costs": [0.0, 1.0]}))
