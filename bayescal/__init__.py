"""bayescal: what information costs people, inferred from their decisions in economic games.

Everything public is listed in `__init__.pyi`. Importing the package loads nothing numeric: a name is loaded when it is
first used.
"""

from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("bayescal")
    return _load(name)
