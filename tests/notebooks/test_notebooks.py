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

# Each notebook has a process of its own, forked from one that has imported what all of them import, but not bayescal.
PROCESSES = """
import os, runpy, sys
import arviz_stats, equinox, jax, matplotlib.pyplot, numpyro, optax, pandas, scipy.optimize, scipy.stats, xarray

for line in sys.stdin:
    path, folder = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        said = os.open("said.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1), os.dup2(said, 2)
        sys.argv, sys.path[0] = [path], os.path.dirname(path)
        runpy.run_path(path, run_name="__main__")
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def run_in():
    """Runs a notebook in a folder: (exit status, what it wrote to standard output and standard error)."""
    env = os.environ | {
        "BAYESCAL_NOTEBOOK_DRAWS": "50",
        "BAYESCAL_DATA_DIR": str(SHARED / "data"),  # of registered sets
    }  # and the flags and the cache of all tests (conftest.py)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([sys.executable, "-c", PROCESSES], env=env, **pipes) as processes:

        def run(path, folder):
            processes.stdin.write(f"{path}\t{folder}\n")
            return int(processes.stdout.readline()), (folder / "said.txt").read_text()

        yield run


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs(path, tmp_path, run_in):
    status, said = run_in(path, tmp_path)
    assert status == 0, said


@pytest.mark.slow
def test_a_notebook_that_fails_is_found_and_the_next_one_runs(tmp_path, run_in):
    for text, expected in (("import bayescal\n1 / 0\n", 1), ("import os\nos._exit(3)\n", 3), ("print(1)\n", 0)):
        (tmp_path / "planted.py").write_text(text)
        assert run_in(tmp_path / "planted.py", tmp_path)[0] == expected


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
