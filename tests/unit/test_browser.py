"""The page in a real browser: no console error, no request, tables that sort, nothing wider than a phone.

Where there is no Chromium these tests are skipped, and say so; what can be told without one is asked of the same page
here, and of another one in test_report.
"""

import functools
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from drawn import drawn_fit
from pages import Page, unbalanced

from bayescal.comparison import compare
from bayescal.diagnostics import check
from bayescal.posterior.status import Problem, Status
from bayescal.report import write_report
from bayescal.report.figures import cost_forest, population_of_costs
from bayescal.report.numbers import FitFacts
from bayescal.report.people import everyone
from bayescal.report.tables import people as people_table

PEOPLE = 3000
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chrome-headless-shell")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason=f"no Chromium is on the path ({', '.join(NAMES)}): the page was only taken apart, not opened",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three rivals, of which one is excluded."""
    fits = {
        "different costs": drawn_fit(PEOPLE, spread=1.5),
        "common cost": drawn_fit(PEOPLE, seed=2),
        "level-k": drawn_fit(PEOPLE, spread=2.0, status=Status((Problem.R_HAT,), {"r_hat": 1.4}), seed=3),
    }
    checks = {name: check(fit) for name, fit in fits.items()}
    remark = "“Quoted”, <b>bold</b> & “</script>” are texts."
    return write_report(
        None,
        fits,
        tmp_path_factory.mktemp("page"),
        command="bayescal compare x",
        comparison=compare(fits),
        checks=checks,
        remarks=(remark,),
    )


def test_thousands_of_people_are_few_rows_and_all_in_the_numbers(page):
    text = page.read_text()
    assert page.stat().st_size < 5_000_000
    numbers = json.loads((page.parent / "report.json").read_text(), parse_constant=pytest.fail)
    people = numbers["fits"][numbers["main"]]["people"]
    assert len(people) == PEOPLE and all(p["decisions"] == 10 for p in people.values())
    shown = re.findall(r'<th scope="row">(P\d+)</th>', text)
    order = sorted(people, key=lambda p: people[p]["cost"])
    assert shown == [*order[:30], *order[-30:]]
    assert "3,000 people" in text


def test_levels_of_people_are_told_with_their_probability():
    fit = drawn_fit(4)
    level = xr.DataArray(np.zeros((2, 50, 4), int), dims=("chain", "draw", "participant"))
    level[0, :25, 1], level[:, :, 2] = 2, 1
    people = fit.tree["people"].to_dataset().drop_vars(["cost", "log_cost"]).assign(level=level)
    tree = xr.DataTree.from_dict({n: x.to_dataset() for n, x in fit.tree.children.items()} | {"people": people})
    fit = replace(fit, tree=tree)
    table = everyone(fit)
    assert table["level"].tolist() == [0, 0, 1, 0]
    assert table["level probability"].tolist() == [1.0, 0.75, 1.0, 1.0]
    shown = people_table(FitFacts.of(fit), "level-k")
    assert shown.columns == ["person", "decisions", "level", "level probability"]
    assert [c.text for c in shown.rows[-1].cells] == ["10", "1", "1.00"]
    assert cost_forest(fit, None, "euros") is None and population_of_costs(fit, "euros") is None


def test_the_page_without_a_browser(page):
    found = Page(page.read_text())
    assert (found.network, found.dangling, found.open, found.handlers) == ([], [], [], [])
    assert len(found.ids) == len(set(found.ids)) and found.unspoken == [] and found.unscoped == []
    (script,) = found.scripts
    assert unbalanced(script) is None
    assert "<b>bold</b>" not in page.read_text()


@functools.cache
def opened(path, width=1000):
    """(what the console said, what the page asked the network for, the page as it then is)."""
    folder = path.parent / f".browser-{path.stem}-{width}"
    log = folder / "net.json"
    folder.mkdir()
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [f"--user-data-dir={folder}", f"--window-size={width},2000", "--virtual-time-budget=3000"]
    options += [
        "--enable-logging=stderr",
        f"--log-net-log={log}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--dump-dom",
    ]
    done = subprocess.run([CHROMIUM, *options, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    said = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    recorded = json.loads(log.read_text())
    kind = recorded["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    events = [e["params"] for e in recorded["events"] if e["type"] == kind and "url" in e.get("params", {})]
    asked = [p["url"] for p in events if p.get("initiator") != "not an origin"]  # that would be the browser itself
    return said, [u for u in asked if not u.startswith(("data:", "file:"))], done.stdout


def changed(page, script, tmp_path):
    """A copy of the page that runs a script of ours as well, with what it finds in <output>."""
    text = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", page.read_text())
    copy = tmp_path / "copy.html"
    ours = f"<output></output><script>document.querySelector('output').textContent = {script}</script></body>"
    copy.write_text(text.replace("</body>", ours))
    return copy


def found_in(dom):
    return re.search(r"<output>(.*?)</output>", dom, re.S)[1]


@in_a_browser
def test_it_opens_in_silence(page):
    said, asked, dom = opened(page)
    assert said == [] and asked == []
    assert "</math>" in dom and "</svg>" in dom


@in_a_browser
def test_a_page_that_errs_or_loads_is_caught(tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><img src='http://nowhere.invalid/x.png'><script>undefinedFunction()</script>")
    said, asked, _ = opened(bad)
    assert asked == ["http://nowhere.invalid/x.png"]
    assert any("undefinedFunction" in line for line in said)


@in_a_browser
def test_an_injected_script_does_not_run(page, tmp_path):
    copy = tmp_path / "injected.html"
    copy.write_text(page.read_text().replace("</main>", "<script>document.title = 'taken'</script></main>"))
    said, _, dom = opened(copy)
    assert "<title>taken</title>" not in dom
    assert any("Content Security Policy" in line for line in said)


@in_a_browser
def test_a_click_on_a_header_sorts(page, tmp_path):
    script = """(() => {
      const table = document.querySelector("table.sortable"), told = [];
      const at = [...table.tHead.rows[0].cells].findIndex((th) => th.textContent.trim() === "cost");
      const button = () => table.tHead.rows[0].cells[at].querySelector("button");
      for (let i = 0; i < 2; i++) {
        button().click();
        told.push([...table.tBodies[0].rows].map((r) => Number(r.cells[at].dataset.v)));
        told.push(table.tHead.rows[0].cells[at].getAttribute("aria-sort"));
      }
      return JSON.stringify(told);
    })()"""
    _, _, dom = opened(changed(page, script, tmp_path))
    up, first, down, second = json.loads(found_in(dom))
    assert len(up) == 60 and up == sorted(up) and down == up[::-1] and up[0] < up[-1]
    assert (first, second) == ("ascending", "descending")


@in_a_browser
@pytest.mark.parametrize("width", [500, 1000])
def test_nothing_is_wider_than_the_screen(page, tmp_path, width):
    script = "JSON.stringify([document.documentElement.scrollWidth, innerWidth])"
    _, _, dom = opened(changed(page, script, tmp_path), width)
    wide, screen = json.loads(found_in(dom))
    assert wide <= screen <= width
