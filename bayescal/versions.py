"""Versions of the packages that numbers depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("bayescal", "jax", "numpyro", "equinox", "optax", "arviz", "numpy")


def versions() -> dict[str, str]:
    """By package, the installed version; of Python too."""
    return {"python": platform.python_version()} | {p: _version(p) for p in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout that is on the path but not installed
        return "unknown"
