"""`bayescal train`, `certify`, `models` as a user types them."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from bayescal.cli import main

EXPERIMENT = """
import numpy as np
import bayescal as bc

def recipe():
    policy = bc.AmortisedPolicy(
        bc.Cournot(2, np.linspace(0, 40, 9)),
        {"cost": (2.0, 200.0), "phi.log_mean": (2.0, 4.0), "phi.log_sd": (0.1, 0.8)},
        population=bc.populations.LogNormal(8), width=16,
    )
    return bc.Recipe(title="A small market", about="For tests.", points=20,
                     trainer=bc.SoftQExpected(policy, steps=STEPS, batch=32))
"""


def folder(path, steps=100):
    path.mkdir(parents=True, exist_ok=True)
    (path / "experiment.py").write_text(EXPERIMENT.replace("STEPS", str(steps)))
    return path


def run(*args):
    return CliRunner().invoke(main, [str(a) for a in args])


@pytest.mark.slow
def test_train_certify_and_calibrate_with_a_model_of_ones_own(tmp_path):
    market = folder(tmp_path / "market")
    done = run("train", market, "--json")
    assert done.exit_code == 0, done.output
    certificate = json.loads(done.stdout)
    assert certificate["points"] == 20 and certificate["title"] == "A small market"
    names = {"experiment.py", "policy.json", "policy.safetensors", "certificate.json", "card.md", "manifest.json"}
    assert {p.name for p in market.iterdir() if p.is_file()} == names
    card = (market / "card.md").read_text()
    assert card.startswith("# A small market") and "| phi.log_mean | 2 | 4 |" in card
    again = run("certify", market, "--trust", "--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["kl"] == certificate["kl"]  # the points follow from the recipe's seed
    table = run("certify", market, "--trust", "--points", "12")
    assert "total variation" in table.stdout and "good for" in table.stdout


@pytest.mark.slow
def test_train_elsewhere_leaves_the_source_alone_and_is_whole(tmp_path):
    market = folder(tmp_path / "market")
    done = run("train", market, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert [p.name for p in market.iterdir() if p.is_file()] == ["experiment.py"]
    assert run("certify", tmp_path / "out", "--trust", "--points", "12").exit_code == 0


def test_models_lists_the_zoo():
    done = run("models")
    assert done.exit_code == 0
    for name in ("cournot", "normal-form-2x2", "beauty-contest"):
        assert name in done.stdout
    listed = {m["name"]: m for m in json.loads(run("models", "--json").stdout)}
    assert "selten-chmura" not in listed  # an experiment, but no policy of its own
    assert all(m["trained"] and m["domain"]["cost"] for m in listed.values())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("train", "cournott"), "There is no model 'cournott': the models are beauty-contest, beer-game"),
        (("certify", "nowhere/"), "There is no model 'nowhere/'"),
        (("train", "cournot", "--every", "0"), "--every is 0"),
        (("certify", "cournot", "--points", "3"), "--points is 3"),
        (("calibrate", "selten-chmura", "--policy", "cournot"), "The policy was trained for LogNormal"),
        (("calibrate", "selten-chmura", "--policy", "cournt"), "There is no model 'cournt'"),
    ],
)
def test_bad_requests(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*args)
    assert done.exit_code == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_bad_recipes(tmp_path):
    nothing = folder(tmp_path / "a")
    (nothing / "experiment.py").write_text("x = 1\n")
    assert "defines no recipe()" in run("train", nothing).stderr
    (nothing / "experiment.py").write_text("def recipe():\n    return 3\n")
    assert "recipe() returns a int" in run("train", nothing).stderr
    assert "holds no trained policy" in run("certify", folder(tmp_path / "b"), "--trust").stderr


@pytest.mark.parametrize(
    ("learned", "said"),
    [(b"", "nothing was learned yet, and nothing is saved. Start again"), (b"x", "the training so far is saved in")],
)
def test_interrupted_while_compiling(tmp_path, monkeypatch, unchecked, learned, said):
    def compiling(*args, folder, **options):
        if learned:
            (folder / "checkpoint.safetensors").write_bytes(learned)
        raise KeyboardInterrupt

    trainer = SimpleNamespace(steps=20)
    recipe = SimpleNamespace(title="A market", seed=0, trainer=trainer, skeleton=SimpleNamespace(environment=None))
    monkeypatch.setattr("bayescal.training.recipe.read_recipe", lambda source: recipe)
    monkeypatch.setattr("bayescal.training.recipe.train", compiling)
    with unchecked():
        done = run("train", "cournot", "--out", tmp_path / "out")
    assert done.exit_code == 130 and said in done.stderr
    assert f"with: bayescal train cournot --out {tmp_path / 'out'}" in done.stderr
    assert (tmp_path / "out").exists() == bool(learned)  # nothing is left of a run that did nothing


@pytest.mark.slow
def test_interrupted_and_killed_and_resumed_writes_the_same_weights(tmp_path):
    """A process that is interrupted, then killed outright, goes on from its last checkpoint to identical weights."""
    steps = 30_000
    whole, broken = folder(tmp_path / "whole", steps), folder(tmp_path / "broken", steps)
    command = [sys.executable, "-m", "bayescal", "train", str(broken), "--every", "0.2"]
    checkpoint = broken / "checkpoint.safetensors"
    for how in (signal.SIGINT, signal.SIGKILL):
        written = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ),
            text=True,
            # A shell's background jobs ignore Ctrl-C, and so would their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (checkpoint.exists() and checkpoint.stat().st_mtime_ns != written):
            time.sleep(0.05)
        assert checkpoint.exists() and checkpoint.stat().st_mtime_ns != written
        process.send_signal(how)
        _, err = process.communicate(timeout=120)
        assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), err
        if how == signal.SIGINT:
            assert f"Continue with: bayescal train {broken}" in err
        assert not (broken / "policy.json").exists() and checkpoint.exists()
    for path in (broken, whole):
        subprocess.run([sys.executable, "-m", "bayescal", "train", str(path)], check=True, capture_output=True)
    assert (broken / "policy.safetensors").read_bytes() == (whole / "policy.safetensors").read_bytes()
