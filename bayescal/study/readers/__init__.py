"""Readers of registered data sets: from the file as it is to a tidy table and the games that it records.

`READERS` holds them by the name that a dataset.toml gives (`reader = "nagel-1995"` under [meta]). A new one is one
file with a `Reader` and one line here; a reader of your own joins them with `READERS.register("my-lab", reader)`.
"""

from pathlib import Path

from bayescal.plain import Options
from bayescal.registry import Registry
from bayescal.study.readers.base import Reader, Reading

READERS: Registry[Reader] = Registry(
    "reader of data sets",
    {
        name: f"bayescal.study.readers.{module}:READER"
        for name, module in {
            "beauty-contest-mturk": "beauty_contest_mturk",
            "matrix-games-zhu": "matrix_games_zhu",
            "nagel-1995": "nagel_1995",
            "nagel-2002": "nagel_2002",
            "public-goods": "public_goods",
            "repeated-pd": "repeated_pd",
            "volunteers-dilemma": "volunteers_dilemma",
        }.items()
    },
)


def read_with(name: str, path: Path, options: Options) -> Reading:
    """The tidy table and the games of a file, by the reader of that name."""
    return READERS[name](path, options)


__all__ = ["READERS", "Reader", "Reading", "read_with"]
