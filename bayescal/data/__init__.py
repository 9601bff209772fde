"""Studies: tables of human decisions with the games that they were made in.

A name is loaded when it is used: listing the studies builds no games, and needs no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bayescal.data.fetch import add_table
    from bayescal.data.study import Study, check_study, load_study
    from bayescal.data.where import study_names

_HOME = {
    "Study": "study",
    "add_table": "fetch",
    "check_study": "study",
    "load_study": "study",
    "study_names": "where",
}

__all__ = ["Study", "add_table", "check_study", "load_study", "study_names"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
