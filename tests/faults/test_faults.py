"""Nothing that goes wrong loses or mixes results: every command is killed, and every write fails (see `driver.py`)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).parent / "driver.py"
RESUMED = ("calibrate", "compare", "train")  # these really go on from a checkpoint; the others begin again


def strike(*words: str) -> dict:
    done = subprocess.run([sys.executable, str(DRIVER), *words], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "words", [("--stride", "3"), ("--stride", "3", "--hows", "kill", "--cannot-exchange")], ids=["exchange", "in place"]
)
def test_a_commit(words):
    """What all commands with a results folder share, at every third filesystem call."""
    found = strike("commit", *words)
    assert found["faults"] == []
    assert found["strikes"]["kill"] >= 20 and found["old"] >= 10 and found["new"] >= 5 and found["strays"] >= 15


def test_writing_in_place_is_found():
    """The driver itself: if files are written one after another, it finds mixtures."""
    found = strike("commit", "--planted", "--hows", "kill")
    assert any("a mixture of" in fault for fault in found["faults"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("--stride", "1"), ("--stride", "2", "--cannot-exchange")], ids=["exchange", "in place"]
)
def test_a_commit_at_every_call(words):
    found = strike("commit", *words)
    assert found["faults"] == []
    assert set(found["strikes"]) == {"kill", "ENOSPC", "EACCES", "EIO"}
    assert all(n >= 20 for n in found["strikes"].values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "stride"),
    [
        ("calibrate", 23),
        ("compare", 41),
        ("train", 13),
        ("report", 11),
        ("data add", 2),
        ("data add (fetched)", 3),
        ("simulate", 1),
    ],
)
def test_commands_struck(command, stride):
    found = strike(command, "--stride", str(stride))
    assert found["faults"] == []
    assert found["old"] and found["new"] and found["strays"]
    assert (found["resumed"] >= 3) == (command in RESUMED)
