"""Nothing that goes wrong loses or mixes results: every command is killed, and every write fails (see `driver.py`)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = Path(__file__).parent / "driver.py"
FITS = ("calibrate", "compare")


def strike(*words: str) -> dict:
    done = subprocess.run([sys.executable, str(DRIVER), *words], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_a_command_at_every_call():
    """A single file, at every filesystem call and with every fault; the others in the slow tests."""
    found = strike("simulate")
    assert found["faults"] == []
    assert set(found["strikes"]) == {"kill", "ENOSPC", "EACCES", "EIO"} and all(
        n >= 5 for n in found["strikes"].values()
    )
    assert found["old"] and found["new"] and found["strays"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "stride"),
    [("calibrate", 23), ("compare", 41), ("train", 13), ("report", 11), ("data add", 2), ("data add (fetched)", 2)],
)
def test_commands_struck(command, stride):
    found = strike(command, "--stride", str(stride))
    assert found["faults"] == []
    assert found["old"] and found["new"] and found["strays"]
    if command in (*FITS, "train"):  # which really go on from a checkpoint
        assert found["resumed"] >= 3


@pytest.mark.slow
def test_where_folders_cannot_be_exchanged():
    found = strike("calibrate", "--stride", "23", "--cannot-exchange")
    assert found["faults"] == [] and found["old"] and found["new"]


@pytest.mark.slow
def test_writing_in_place_is_found():
    """The driver itself: with a commit that writes files one after another, it finds mixtures."""
    found = strike("calibrate", "--planted", "--hows", "kill", "--stride", "5")
    assert any("a mixture of" in fault for fault in found["faults"])
