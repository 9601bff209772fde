"""What a reader is: how the file of one registered data set becomes decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import pandas as pd

from bayescal.environments.base import Environment
from bayescal.errors import InputError
from bayescal.plain import Options


class Reading(NamedTuple):
    """What a reader makes of a file.

    Attributes:
        table: the columns of `Decisions.from_table`, and covariates beside them; its index ("line") says which line
            of the file each row is from.
        games: the games that the table records, by name.
    """

    table: pd.DataFrame
    games: Mapping[str, Environment]


@runtime_checkable
class Read(Protocol):
    """`options` are those of the games."""

    def __call__(self, path: Path, options: Options, /) -> Reading: ...


@dataclass(frozen=True)
class Reader:
    """How the file of one registered data set becomes decisions.

    Attributes:
        read: the function that does it.
        columns: the file's columns that it needs.
        decisions: those whose cells, where they are not empty, are one decision each.
        labels: those that may hold any text.
        example: a few lines of such a file, made up; the laws of the tests read them.

    Example:
        from bayescal.study.readers import READERS, Reader, Reading
        from bayescal.study.readers.raw import raw_table

        def read(path, options):
            raw = raw_table(path, ("subject", "choice"))
            table = raw.rename(columns={"subject": "participant", "choice": "action"})
            return Reading(table, {"game": MyGame(**options)})

        READERS.register("my-lab", Reader(read, ("subject", "choice"), ("choice",), ("subject",), example))
    """

    read: Read
    columns: tuple[str, ...]
    decisions: tuple[str, ...]
    labels: tuple[str, ...]
    example: str

    def __call__(self, path: Path, options: Options) -> Reading:
        """The table and the games of a file.

        Raises:
            InputError: the file is not what the reader needs, or its games do not have these options.
        """
        try:
            return self.read(path, options)
        except TypeError as error:
            if not options or "argument" not in str(error):
                raise
            raise InputError(f"The games of {path.name} cannot be built with {', '.join(options)}: {error}.") from None
