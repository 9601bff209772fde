"""Every notebook runs from top to bottom, and its executed copy is beside it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"
NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]_*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs(path, tmp_path):
    env = os.environ | {
        "BAYESCAL_NOTEBOOK_DRAWS": "50",
        "BAYESCAL_DATA_DIR": str(SHARED / "data"),  # of registered sets
    }  # and the flags and the cache of all tests (conftest.py)
    done = subprocess.run([sys.executable, path], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_executed_copy_is_of_this_text_and_names_no_machine(path):
    cells = json.loads(path.with_suffix(".ipynb").read_text())["cells"]
    code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    text = path.read_text()
    assert code
    assert all(block in text for block in code)
    assert all(c["execution_count"] for c in cells if c["cell_type"] == "code")
    outputs = json.dumps([c.get("outputs") for c in cells])
    assert '"ename"' not in outputs
    assert not re.search(r"/(home|root|tmp|work|Users)/", outputs)


def test_there_are_notebooks():
    assert NOTEBOOKS
