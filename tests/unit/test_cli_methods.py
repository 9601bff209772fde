"""`bayescal calibrate` and `compare`: interrupted and resumed, by SVI, and what cannot be asked for together."""

import hashlib
import io
import json

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from bayescal.cli import main
from bayescal.cli.fits import posterior_table
from bayescal.cli.progress import FitProgress, Lines, say_checkpoints
from bayescal.posterior.fit import Fit
from bayescal.posterior.status import Status

TABLE = "game,role,action,n\nT1,row,Up,30\nT1,row,Down,90\nT1,column,Left,80\nT1,column,Right,40\n"
TOML = """
[meta]
title = "One game"
units = "points"
sha256 = "{sha256}"
[games]
T1 = "selten-chmura-01"
"""
SMALL = ("--draws", "60", "--warmup", "60", "--chains", "2", "--checkpoint-every", "20")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "decisions.csv").write_text(TABLE)
    (folder / "dataset.toml").write_text(TOML.format(sha256=hashlib.sha256(TABLE.encode()).hexdigest()))
    return folder


def run(study, out, *words):
    return CliRunner().invoke(main, ["calibrate", str(study), "--out", str(out), *words], catch_exceptions=False)


@pytest.mark.slow
def test_interrupted_and_resumed(study, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def stop(self, name, done, total):
        if done > 50:
            raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(FitProgress, "__call__", stop)
        stopped = run(study, out, *SMALL)
    assert stopped.exit_code == 130
    assert "the same command with --resume continues" in stopped.stderr
    assert [p.name for p in out.iterdir()] == [".pooled.checkpoint"]  # no report, no half of one

    refused = run(study, out, *SMALL, "--seed", "1", "--resume")
    assert refused.exit_code == 2 and "seed is 0 there and 1 here" in refused.stderr
    assert (out / ".pooled.checkpoint").exists()

    resumed = run(study, out, *SMALL, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert not (out / ".pooled.checkpoint").exists()
    fit = Fit.load(out / "pooled.nc")
    assert fit.provenance["resumed_after"] >= 40


@pytest.mark.slow
def test_a_comparison_interrupted_and_resumed(study, tmp_path, monkeypatch):
    def run(out, *words):
        asked = ["compare", str(study), "--out", str(tmp_path / out)]
        asked += ["--only", "choice shares", "--only", "common cost"]
        asked += ["--draws", "60", "--warmup", "60", "--chains", "2", *words]
        return CliRunner().invoke(main, asked, catch_exceptions=False)

    def stop(self, name, done, total):
        if name == "common cost" and done == total:  # the second, after 120 iterations
            raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(FitProgress, "__call__", stop)
        stopped = run("out")
    assert stopped.exit_code == 130 and "the same command with --resume continues" in stopped.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {".choice-shares.checkpoint", ".common-cost.checkpoint"}
    resumed, straight = run("out", "--resume"), run("straight")
    assert resumed.exit_code == straight.exit_code == 0, resumed.output
    assert not list((tmp_path / "out").glob(".*"))
    first, second = (Fit.load(tmp_path / "out" / f"{name}.nc") for name in ("choice-shares", "common-cost"))
    assert first.provenance["resumed_after"] == 60 + first.tree["posterior"].sizes["draw"]
    assert second.provenance["resumed_after"] == 120
    found, wanted = (json.loads((tmp_path / out / "comparison.json").read_text()) for out in ("out", "straight"))
    assert found["pointwise"] == wanted["pointwise"] and found["verdict"] == wanted["verdict"]


def test_without_a_terminal_progress_is_lines():
    """Where something ends, and every half a minute before."""
    clock, page = iter([0.0, 1.0, 31.0, 40.0, 45.0]), io.StringIO()
    lines = Lines(Console(file=page, width=40), clock=lambda: next(clock))
    for done in (10, 20, 30, 1200):
        lines.tell("common cost", done, 1200)
    assert page.getvalue() == "common cost: 20 of 1,200 after 31 s\ncommon cost: 1,200 of 1,200 after 45 s\n"


def test_what_is_said_of_checkpoints(tmp_path):
    def said(resume):
        console = Console(stderr=True, file=io.StringIO(), width=300)
        say_checkpoints(tmp_path, resume, console)
        return console.file.getvalue()

    assert said(False) == "" and "has no checkpoint to continue from" in said(True)
    (tmp_path / ".pooled.checkpoint").write_text("of an interrupted run")
    assert said(True) == "" and "which this run overwrites; --resume would continue it" in said(False)


@pytest.mark.slow
def test_svi_and_what_the_data_say(study, tmp_path):
    done = run(study, tmp_path, "--method", "svi", "--guide", "mean-field", "--steps", "800", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["fits"]["pooled"]
    assert "PSIS k-hat of the guide" in told["status"] and told["unidentified"] == []
    page = (tmp_path / "report.html").read_text()
    assert (
        "What the data say" in page and "determined by the data" in page and "--method svi --guide mean-field" in page
    )
    assert "the mean-field guide, 800 steps" in " ".join(page.split())
    table = json.loads((tmp_path / "report.json").read_text())["fits"]["pooled"]["identifiability"]["table"]
    assert table["log_cost"]["contraction"] > 0.9
    assert (tmp_path / "figures" / "beliefs.png").stat().st_size > 5000


def test_what_cannot_be_asked_for_together(study, tmp_path):
    for words, said in {
        ("--guide", "flow"): "--guide is for --method svi",
        ("--method", "svi", "--resume"): "--resume is for --method nuts",
        ("--checkpoint-every", "0"): "--checkpoint-every is 0 where at least 1 is needed",
        ("--method", "svi", "--steps", "7"): "steps is 7, below 100",
    }.items():
        done = run(study, tmp_path / "out", *words)
        assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_what_has_many_entries_is_one_row():
    import xarray as xr

    rng = np.random.default_rng(0)
    group = xr.Dataset(
        {
            "log_mean": (("chain", "draw"), rng.normal(size=(2, 50))),
            "cost": (("chain", "draw", "participant"), rng.normal(size=(2, 50, 60))),
        }
    )
    table = posterior_table("people", Fit(xr.DataTree.from_dict({"posterior": group}), Status(), {}))
    assert [str(x).replace("\\", "") for x in table.columns[0].cells] == ["log_mean", "cost[60 of them]"]
