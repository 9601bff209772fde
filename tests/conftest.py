"""Set up before JAX and bayescal are imported: a compilation cache that outlives the run, two devices for parallel
chains, and a check of types and shapes at every call of a function of bayescal."""

import contextlib
import os
import random
from pathlib import Path

_cache = Path(os.environ.get("BAYESCAL_TEST_CACHE", Path(__file__).parents[1] / ".cache" / "jax"))
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_cache))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# One set of flags for all passes, so that they share compiled programs.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0")
# Nobody reads where in the code a compiled operation came from; without it lowering is a tenth faster.
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
os.environ.setdefault("MPLBACKEND", "Agg")

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

# In this file and not among pytest's options, which pytest-xdist does not pass on to its workers. As for a static type
# checker, an int is a float (PEP 484).
jaxtyping.install_import_hook("bayescal", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

# A file is run by one worker. The longest go first, so that no worker is left alone with one at the end.
LONGEST = (
    "test_notebooks", "test_model_recovery", "test_equilibrium_laws", "test_recovery", "test_trainer_laws",
    "test_repeated", "test_people", "test_compress", "test_sharpened", "test_kl_ppo", "test_rivals", "test_inference",
    "test_marginal", "test_report", "test_gambit", "test_likelihood_laws", "test_simulation",
    "test_decisions_over_time", "test_rival_laws", "test_certificate_in_play", "test_games_by_hand", "test_training",
)  # fmt: skip

SHARED = Path(__file__).parents[2] / "shared"
MOST_MAPS = 25_000


def pytest_collection_modifyitems(items):
    rank = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session", autouse=True)
def shared_is_there():
    """The golden figures and the data are part of the tests: without them they fail, they do not skip."""
    assert (SHARED / "golden").is_dir(), "../shared/golden is missing"


@pytest.fixture
def unchecked():
    """A context without the check of types, for tests of our own errors on arguments of a wrong type."""

    @contextlib.contextmanager
    def context():
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            yield
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return context


@pytest.fixture(autouse=True)
def type_checks_are_repeatable():
    """beartype checks one random entry of a tuple or a list: the same in every run of a test."""
    random.seed(0)


@pytest.fixture(scope="module", autouse=True)
def programs_fit_into_memory():
    """Forget compiled programs before the process runs out of memory maps: Linux allows 65,530, each program holds
    some, and a worker that keeps those of a thousand tests dies of a segmentation fault."""
    yield
    if _memory_maps() > MOST_MAPS:
        jax.clear_caches()


def _memory_maps() -> int:
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return MOST_MAPS + 1
    with maps.open() as lines:
        return sum(1 for _ in lines)


@pytest.fixture(autouse=True)
def global_state_is_left_alone():
    """A test that changes JAX's settings for the others fails."""
    before = dict(jax.config.values)
    yield
    changed = [name for name, value in jax.config.values.items() if value != before[name]]
    for name in changed:  # only the culprit fails
        jax.config.update(name, before[name])
    assert not changed, f"this test changed {', '.join(changed)} for everybody after it"
