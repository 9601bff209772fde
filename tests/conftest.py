"""Set up before JAX is imported: a compilation cache that outlives the run, and two devices for parallel chains."""

import os
from pathlib import Path

_cache = Path(os.environ.get("BAYESCAL_TEST_CACHE", Path(__file__).parents[1] / ".cache" / "jax"))
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_cache))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# Most tests compile for longer than they run: half the time without the compiler's optimisations. `.ci/run` has the
# slow tests, which sample and train, use what users use.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0")
os.environ.setdefault("MPLBACKEND", "Agg")

import jax  # noqa: E402
import pytest  # noqa: E402

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def shared_is_there():
    """The golden figures and the data are part of the tests: without them they fail, they do not skip."""
    assert (SHARED / "golden").is_dir(), "../shared/golden is missing"


@pytest.fixture(scope="module", autouse=True)
def programs_are_forgotten():
    """Every compiled program holds pieces of the process's address space, of which Linux gives 65,530: a worker that
    keeps those of a thousand tests dies of a segmentation fault."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def global_state_is_left_alone():
    """A test that changes JAX's settings for the others fails."""
    before = dict(jax.config.values)
    yield
    changed = [name for name, value in jax.config.values.items() if value != before[name]]
    for name in changed:  # only the culprit fails
        jax.config.update(name, before[name])
    assert not changed, f"this test changed {', '.join(changed)} for everybody after it"
