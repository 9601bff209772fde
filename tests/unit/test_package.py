"""What importing costs, which layers may see which, and what the public page promises."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

import bayescal

ROOT = Path(__file__).parents[2]


def cpu_seconds(*args: str) -> tuple[float, str]:
    """Processor time of a fresh interpreter: what a busy test machine does not stretch much."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, done.stdout


def test_importing_loads_nothing_numeric_and_is_quick():
    code = "import bayescal, sys; print([m for m in ('jax', 'numpy', 'pandas', 'numpyro') if m in sys.modules])"
    times = []
    for _ in range(3):
        used, out = cpu_seconds("-c", code)
        assert out.strip() == "[]"
        times.append(used)
    assert min(times) < 0.3


@pytest.mark.parametrize("first", ["bayescal.comparison", "bayescal.populations.base", "bayescal.priors.base"])
def test_numpyro_is_loaded_once_though_arviz_makes_it_lazy(first):
    code = f"import arviz_base, {first}, numpyro; print(hasattr(numpyro.distributions, 'distribution'))"
    assert cpu_seconds("-c", code)[1].strip() == "True"


@pytest.mark.parametrize(
    "command",
    [(), ("games",), ("solve",), ("simulate",), ("calibrate",), ("train",), ("certify",), ("models",), ("version",)],
)
def test_help_does_not_wait_for_jax(command):
    code = (
        "import sys; from bayescal.cli import main\n"
        f"try: main([*{command!r}, '--help'])\n"
        "except SystemExit: print('jax' in sys.modules)"
    )
    used, out = min(cpu_seconds("-c", code) for _ in range(2))
    assert out.strip().endswith("False") and "Usage" in out
    assert used < 0.3


def test_every_public_name_is_there():
    for name in bayescal.__all__:
        assert getattr(bayescal, name) is not None
    assert {"build_model", "infer", "rivals", "priors"} <= set(bayescal.__all__)
    with pytest.raises(AttributeError, match="attribute nonsense"):
        _ = bayescal.nonsense


def test_imports_point_down():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_nothing_but_the_agreed_folders_at_the_top():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    allowed = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"}
    allowed |= {"bayescal", "models", "data", "tests", "notebooks"}
    assert {t for t in top if not t.startswith(".")} <= allowed


def test_a_test_that_changes_jax_for_the_others_fails(tmp_path):
    """And only that one: the next finds things as they were."""
    tests = tmp_path / "checkout" / "tests"
    tests.mkdir(parents=True)
    (tmp_path / "shared").symlink_to(ROOT.parent / "shared")
    (tests / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tests / "test_it.py").write_text(
        "import jax\n"
        "def test_culprit(): jax.config.update('jax_enable_x64', True)\n"
        "def test_next(): assert not jax.config.jax_enable_x64\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tests)]
    done = subprocess.run(command, cwd=tests, capture_output=True, text=True, check=False)
    assert "2 passed, 1 error" in done.stdout
    assert "changed jax_enable_x64" in done.stdout


@pytest.mark.slow
def test_the_readme_runs(tmp_path):
    """Its Python example, as a user would paste it."""
    text = (ROOT / "README.md").read_text()
    code = text.split("```python\n")[1].split("```")[0].replace("draws=500", "draws=50, warmup=100")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cost[selten-chmura-12]" in done.stdout
