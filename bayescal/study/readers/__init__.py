"""Readers of registered sets: from the file as it is to a tidy table and the games, by name, that it records.

A reader is a function `read(path, **options)`, one a file: bayescal/data/readers/nagel_1995.py is `reader =
"nagel-1995"` in a dataset.toml. Its table has the columns of `Decisions.from_table`, and covariates beside them; its
options are those of the games. The table's index says which line of the file a row is from.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pandas as pd

from bayescal.environments.base import Environment
from bayescal.errors import InputError

Reading = tuple[pd.DataFrame, Mapping[str, Environment]]


def reader_names() -> tuple[str, ...]:
    return tuple(m.name.replace("_", "-") for m in iter_modules(__path__) if not m.name.startswith("_"))


def read_with(name: str, path: Path, options: Mapping[str, Any]) -> Reading:
    """(tidy table, games by name) of the file, by the reader of that name."""
    if name not in reader_names():
        raise InputError(f"There is no reader {name!r} of data sets: the readers are {', '.join(reader_names())}.")
    read = import_module(f"{__name__}.{name.replace('-', '_')}").read
    try:
        return read(path, **options)
    except TypeError as error:
        if not options or "argument" not in str(error):
            raise
        raise InputError(f"The games of {path.name} cannot be built with {', '.join(options)}: {error}.") from None
