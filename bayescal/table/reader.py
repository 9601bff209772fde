"""Opening a table: which of its columns are used, under which names, and whether their cells can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayescal.errors import InputError
from bayescal.reading import odd_character
from bayescal.table.columns import COLUMNS, TREATMENT, Column, Columns, encode, wrong_type
from bayescal.table.faults import Faults, closest
from bayescal.table.game import Game

OPTIONAL = "(optional"  # in the meaning of a recorded column that may be left out


@dataclass(frozen=True, eq=False)
class OpenTable:
    """A table with its columns encoded, the games that it records, and the faults found so far.

    Attributes:
        columns: by canonical name, those that the table has and that are used.
        recorded: by name, the columns that games over time record, and their meaning.
        covariates: names of the columns that describe participants.
        size: number of rows.
    """

    columns: Mapping[str, Column]
    environments: Mapping[str, Game]
    recorded: Mapping[str, str]
    covariates: tuple[str, ...]
    size: int
    faults: Faults

    @property
    def games(self) -> list[Game]:
        return list(self.environments.values())


def open_table(
    table: pd.DataFrame,
    environments: Mapping[str, Game],
    columns: Columns,
    source: str,
    covariates: Sequence[str] = (),
) -> OpenTable:
    """The table's columns, encoded.

    Args:
        columns: by canonical name, what the table calls the column.
        source: the file, as messages name it.
        covariates: columns that describe participants; one name may be given alone.

    Raises:
        InputError: columns are missing, named twice or of a type that cannot be read, or there are no rows.
    """
    if not environments:
        raise InputError("Decisions need at least one game: `environments` is empty.")
    games = list(environments.values())
    recorded = {name: meaning for game in games for name, meaning in game.columns.items()}
    wanted = tuple(dict.fromkeys([covariates] if isinstance(covariates, str) else covariates))
    faults = Faults(source, table.index)
    names = _names(table, columns, games, recorded, wanted, faults)
    if not len(table):
        faults.add(f"{source} holds no decisions: give it at least one row below the header.")
    faults.raise_if_any()
    position = {str(name): i for i, name in enumerate(table.columns)}
    cells = {key: (table.iloc[:, position[name]], name) for key, name in names.items()}
    for sentence in dict.fromkeys(s for series, name in cells.values() for s in wrong_type(series, name, source)):
        faults.add(sentence)
    faults.raise_if_any()
    encoded = {key: encode(series, name) for key, (series, name) in cells.items()}
    for column in encoded.values():
        odd = np.array([*map(bool, map(odd_character, column.texts)), False])
        describe = lambda i, column=column: odd_character(column.text(i)).replace(" holds", ", which has")
        faults.note(repr(column.name), odd[column.codes], "an invisible character", describe, "write it without.")
    faults.raise_if_any()
    return OpenTable(encoded, dict(environments), recorded, wanted, len(table), faults)


def _names(
    table: pd.DataFrame,
    columns: Columns,
    games: Sequence[Game],
    recorded: Mapping[str, str],
    covariates: Sequence[str],
    faults: Faults,
) -> dict[str, str]:
    """Canonical name -> the table's name, for the columns that the table has and that are used."""
    present = [str(name) for name in table.columns]
    for odd in filter(None, map(odd_character, present)):
        faults.add(f"{faults.source}: the name of a column, {odd}: write it without.")
    known = tuple(dict.fromkeys((*COLUMNS, *recorded, TREATMENT, *covariates)))
    needed = _needed(games, recorded, covariates)
    for key in columns:
        if key not in known:
            faults.add(
                f"The mapping of columns names {key!r}, which is not one of {', '.join(known)}"
                f"{closest(key, known)}, nor a covariate that is asked for."
            )
    names, missing = {}, []
    for key in known:
        asked = columns.get(key, key)
        several = [asked] if isinstance(asked, str) else list(asked)
        name = next((n for n in several if n in present), several[0])
        if key == TREATMENT and key not in columns and key not in needed and name in names.values():
            continue  # the table calls its games treatments
        if name in present:
            names[key] = name
            if present.count(name) > 1:
                faults.add(f"{faults.source} has {present.count(name)} columns named {name!r}: rename one.")
        elif key in columns or key in needed:
            missing.append(f"{name!r}" + (f" (for {key})" if name != key else "") + closest(name, present))
    if missing:
        has = ", ".join(present) or "none"
        if len(present) == 1 and any(mark in present[0] for mark in ";\t|"):
            has += " (one column: separate the cells by commas)"
        faults.add(
            f"{faults.source} has no column {', '.join(missing)}; it has {has}: add what is missing, or "
            'map the name, e.g. action = "choice" under [columns] in dataset.toml or columns={"action": "choice"}.'
        )
    return names


def _needed(games: Sequence[Game], recorded: Mapping[str, str], covariates: Sequence[str]) -> set[str]:
    """The columns without which these games cannot be read."""
    needed = {"action", *covariates} | {key for key, meaning in recorded.items() if OPTIONAL not in meaning}
    if any(game.over_time for game in games):
        needed.add("round")
    if len(games) > 1:
        needed.add("game")
    if any(len(game.role_names) > 1 for game in games):
        needed.add("role")
    return needed
