"""A report says first what fails; its figures hide no miss and cover no curve, and call actions by their names."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner
from drawn import drawn_fit
from matplotlib.figure import Figure
from test_action_shares import REQUESTS

from bayescal.cli import main
from bayescal.diagnostics.base import Check, Outcome
from bayescal.diagnostics.check import Checks
from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Status
from bayescal.report import check_figures
from bayescal.report.figures import cost_forest, observed_and_predicted, population_of_costs
from bayescal.report.meaning import meaning_of, share_of_better
from bayescal.report.verdict import findings, reserve

NONE = pd.DataFrame()
COLUMNS = ["observed", "mean", "low", "high", "p", "inside", "what"]


def checked(observed):
    """Checks of one distance, that should be 10 at most."""
    inside = observed <= 10
    rows = {"distance": (observed, 5.0, 0.0, 10.0, 0.5 if inside else 1e-4, inside, "a distance")}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=COLUMNS)
    outcome = Outcome.PASSED if inside else Outcome.FAILED
    return Checks((Check("posterior predictive", outcome, "", about="model"),), table, NONE, None, NONE, {}, None)


def pooled_fit():
    cost = np.random.default_rng(0).normal(0.8, 0.01, (2, 400))
    tree = {"posterior": xr.Dataset({"cost": (("chain", "draw"), cost)})}
    return {"pooled": Fit(xr.DataTree.from_dict(tree), Status(), {})}


def test_the_number_and_the_failure_are_one_sentence():
    (said,) = findings(pooled_fit(), "pooled", "points", (), {"pooled": checked(40.0)})
    assert said.startswith("“pooled” does not describe these decisions (distance is 40, where at most 10 is predicted)")
    assert "under it, if everybody has the same cost, it is 0.800 points per nat" in said
    (said,) = findings(pooled_fit(), "pooled", "points", (), {"pooled": checked(4.0)})
    assert said.startswith("If everybody") and "does not describe" not in said
    verdict = ["A beats B by 30 ± 5 nats.", "More."]
    assert reserve(verdict, "A", {"A": checked(4.0)}) == verdict == reserve(verdict, "A", {})
    first, second = reserve(verdict, "A", {"A": checked(40.0)})
    assert first.startswith("A beats B by 30 ± 5 nats; but “A” does not describe") and second == "More."


@pytest.mark.parametrize("cost", [3e-4, 0.08, 0.8, 3.45, 60.0])
def test_what_a_cost_means(cost):
    said = meaning_of(cost, "points")
    words = said.split()
    gap, share = float(words[words.index("are") + 1]), float(words[-4].rstrip("%")) / 100
    assert share == pytest.approx(1 / (1 + math.exp(-gap / cost)), abs=0.006) and 0.6 < share < 0.95
    assert share_of_better(0.8, 1.0) == pytest.approx(0.7773, abs=1e-4)
    assert "1 point apart is chosen 78%" in meaning_of(0.8, "points")


def table_of(observed):
    rows = [(f"s{i}", x, 0.0, -1.0, 1.0, 0.5, abs(x) <= 1, "") for i, x in enumerate(observed)]
    return pd.DataFrame(rows, columns=["statistic", *COLUMNS])


def test_a_miss_beyond_the_axis_is_marked_with_its_distance():
    ax = check_figures.predictive(table_of([0.2, 1.5, 6.5, -12.0])).axes[0]
    assert [t.get_text() for t in ax.texts] == ["6.5×", "12.0×"] and "half-widths" in ax.get_xlabel()
    by_marker = {line.get_marker(): line.get_xdata() for line in ax.lines if len(line.get_xdata())}
    assert list(by_marker["o"]) == [0.2] and list(by_marker["X"]) == [1.5]
    assert list(by_marker[">"]) == [3.0] and list(by_marker["<"]) == [-3.0]
    near = check_figures.predictive(table_of([0.2, 1.5])).axes[0]
    assert not near.texts and not near.get_xlabel()


def covers(figure):
    """Whether a legend lies over the axes."""
    figure.draw_without_rendering()
    boxes = [(ax.get_legend().get_window_extent(), ax.get_window_extent()) for ax in figure.axes
             if ax.get_legend() is not None]  # fmt: skip
    assert boxes
    return any(legend.y0 < axes.y1 - 1 and legend.y1 > axes.y0 + 1 for legend, axes in boxes)


def test_legends_cover_no_curve():
    at = np.linspace(0, 1, 20)
    pit = check_figures.pit({"at": at, "ecdf": at, "low": at - 0.1, "high": at + 0.1})
    fit = drawn_fit(20)
    assert pit is not None
    drawn = (pit, check_figures.predictive(table_of([0.2])), population_of_costs(fit, "points"),
             cost_forest(fit, None, "points"), observed_and_predicted(fit, None))  # fmt: skip
    assert not any(covers(figure) for figure in drawn if figure is not None)
    pit.axes[0].legend(loc="upper right")
    assert covers(pit)


def test_actions_are_called_by_their_names():
    one = drawn_fit(1)

    def labels(actions):
        return [t.get_text() for t in observed_and_predicted(one, None, actions).axes[0].get_yticklabels()]

    assert labels({("game", "player"): ("11", "12", "20")}) == ["11", "12", "20"]
    assert labels(None) == ["0", "1", "2"]  # the grid's places, where the study is not at hand
    many = observed_and_predicted(drawn_fit(100), None, {("game", "player"): ("11", "12", "20")})
    assert isinstance(many, Figure) and [t.get_text() for t in many.axes[0].get_yticklabels()] == ["11", "12", "20"]


@pytest.mark.slow
def test_calibrate_says_what_fails_and_what_might_repair_it(tmp_path):
    study = tmp_path / "requests"
    study.mkdir()
    rows = np.repeat(np.arange(11, 21), REQUESTS)
    (study / "decisions.csv").write_text("action\n" + "\n".join(map(str, rows)) + "\n")
    (study / "dataset.toml").write_text(
        '[meta]\ntitle = "11-20"\nunits = "shekels"\n[games]\n"request-11-20" = "request-11-20"\n'
    )
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["calibrate", str(study), "--method", "grid", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert "bayescal compare" in done.stdout and "What a cost means" in done.stdout
    numbers = json.loads((out / "report.json").read_text())
    assert "action shares (G²) is" in numbers["verdict"][0] and "shekels per nat" in numbers["verdict"][0]
    assert not numbers["checks"]["pooled"]["passed"]
