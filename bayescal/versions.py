"""What numbers were computed with."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("bayescal", "jax", "numpyro", "equinox", "optax", "arviz", "numpy")


def versions() -> dict[str, str]:
    return {"python": platform.python_version()} | {p: _version(p) for p in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a checkout on the path without being installed
        return "unknown"
