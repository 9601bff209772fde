"""Studies: tables of human decisions with the games that they were made in.

A name is loaded when it is first used, so that listing the studies does not load JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayescal.study.fetch import add_table
    from bayescal.study.load import Study, check_study, load_study
    from bayescal.study.where import study_names

_HOME = {
    "Study": "load",
    "add_table": "fetch",
    "check_study": "load",
    "load_study": "load",
    "study_names": "where",
}

__all__ = ["Study", "add_table", "check_study", "load_study", "study_names"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
