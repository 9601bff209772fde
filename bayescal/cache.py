"""Compiled programs are kept between runs, since compiling is most of what a small fit takes.

JAX keys an entry by the program, its own version and the compiler's flags. There is a folder for each version and kind
of processor, so that machines that share a home never run what was compiled for another. JAX writes entries in place:
those that a killed process may have left unfinished are deleted at the next start.
"""

import atexit
import hashlib
import os
import platform
import stat
import sys
from importlib.metadata import version
from pathlib import Path

from bayescal.owner import Owner, State, this_process

MOST_BYTES = 2**30
_SHORTEST = 0.05  # seconds: what compiles faster is not worth a file
_MARK = "running-"
_OWN = "JAX_COMPILATION_CACHE_DIR"
_TIME, _SIZE = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"


def use_cache(folder: str | Path | None = None, *, most_bytes: int = MOST_BYTES) -> Path | None:
    """Keep compiled programs between runs, as the command line does: `bc.use_cache()`, before anything numeric.

    Args:
        folder: where; by default `compiled` in the user's cache of bayescal.
        most_bytes: above this size the programs that were not used for longest are deleted, now and at each start.

    Returns:
        The folder; None where it could not be made or is not this user's alone, and nothing is kept. If JAX's own
        JAX_COMPILATION_CACHE_DIR is set, that stays as it is.

    Example:
        >>> import bayescal as bc
        >>> folder = bc.use_cache()
    """
    if own := os.environ.get(_OWN):
        return Path(own)
    here = (user_cache() / "compiled" if folder is None else Path(folder)) / _kind()
    try:
        here.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _private(here):
            return None
        _sweep(here, most_bytes)
        _mark(here)
    except OSError:
        return None
    os.environ[_OWN] = str(here)
    os.environ.setdefault(_TIME, str(_SHORTEST))
    os.environ.setdefault(_SIZE, "-1")
    if "jax" in sys.modules:
        config = sys.modules["jax"].config
        config.update("jax_compilation_cache_dir", str(here))
        config.update("jax_persistent_cache_min_compile_time_secs", float(os.environ[_TIME]))
        config.update("jax_persistent_cache_min_entry_size_bytes", int(os.environ[_SIZE]))
    return here


def user_cache() -> Path:
    """The folder in which this user's programs keep what they can make again."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("bayescal"))


def _kind() -> str:
    """Of version and processor."""
    features = platform.processor()
    about = Path("/proc/cpuinfo")
    if about.exists():
        lines = about.read_text(errors="replace").splitlines()
        features = next((line for line in lines if line.startswith(("flags", "Features"))), features)
    digest = hashlib.sha256(f"{platform.platform()} {platform.machine()} {features}".encode()).hexdigest()
    return f"jaxlib-{version('jaxlib')}-{digest[:12]}"


def _private(folder: Path) -> bool:
    """Whether only this user can put programs there."""
    if os.name != "posix":
        return True
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _sweep(folder: Path, most_bytes: int) -> None:
    """Delete what a process that was killed may not have finished, and what is too much."""
    entries = {path: path.stat() for path in folder.glob("*-cache")}
    for mark in folder.glob(f"{_MARK}*"):
        owner = Owner.from_token(mark.name.removeprefix(_MARK))
        if owner is None or owner.state is State.ENDED:
            for path in [p for p, found in entries.items() if found.st_mtime >= mark.stat().st_mtime]:
                path.unlink(missing_ok=True)
                del entries[path]
            mark.unlink(missing_ok=True)
    total = sum(found.st_size for found in entries.values())
    for path, found in sorted(entries.items(), key=lambda x: max(x[1].st_atime, x[1].st_mtime)):
        if total <= most_bytes:
            break
        path.unlink(missing_ok=True)
        total -= found.st_size


def _mark(folder: Path) -> None:
    """A file that stands while this process runs."""
    mark = folder / f"{_MARK}{this_process().token}"
    mark.touch()
    atexit.register(mark.unlink, missing_ok=True)
