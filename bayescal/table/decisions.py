"""What people did: decisions on the grid that the likelihood is defined on, and the table they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from bayescal.errors import InputError
from bayescal.table.parquet import read_parquet
from bayescal.table.people import check_treatments, read_people
from bayescal.table.reader import COLUMNS, Columns, Game, TableReader, read_csv, spellings, unique_rows

LEVELS = ("game", "group", "participant")


@dataclass(frozen=True, eq=False)
class Play:
    """The decisions of games over time, one by one, with what each person saw before.

    Attributes:
        row: the row of `Decisions.table` of each decision that is used.
        observations: by game: what was seen, by name as in `Environment.observe`; arrays over that game's decisions.
        masked: rows of the table that are not used, because what was seen before them is not known.
        left_out: participants of whom no row is used; they are in `table`, but not in `levels`, `cells` and `people`.
    """

    row: Int[np.ndarray, " decisions"]
    observations: Mapping[str, Mapping[str, np.ndarray]]
    masked: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Decisions:
    """Validated human decisions.

    A **cell** is all that one person (or, without participants, everybody) did in one role of one game. In one-shot
    games (or repeated ones with nothing carried from round to round) the counts over the grid are sufficient; in
    games over time `play` has every decision with what was seen before it. A participant's or a group's label means
    the same person or group wherever it appears, in other games too.

    Attributes:
        table: one row per row of the source that holds a decision: those of participant, group and round that
            the source has, game, role, action (its label), n, and game_index, role_index, action_index.
        environments: the games that were played, by name; `game_index` counts in this order.
        cells: one row per cell: game, group, participant (if known), role and the index of each.
        counts: (cells, longest grid) decisions by action; 0 beyond the end of a shorter grid.
        snapped: decisions that were moved to the nearest grid value.
        source: where the table came from, for messages.
        play: the sequence of decisions, in games over time.
        people: covariates, a row for each of `levels("participant")` by label: numbers as float, others categorical;
            None where none were asked for, or nobody is told apart.

    Example:
        >>> import bayescal as bc
        >>> import pandas as pd
        >>> table = pd.DataFrame({"participant": ["ann", "bob"], "role": ["row", "column"], "action": ["Up", "Left"]})
        >>> decisions = bc.Decisions.from_table(table, {"game 1": bc.get_game("selten-chmura-01")})
        >>> decisions.levels("participant"), int(decisions.counts.sum())
        (('ann', 'bob'), 2)
    """

    table: pd.DataFrame
    environments: Mapping[str, Any]  # of Environment, which this module does not import
    cells: pd.DataFrame
    counts: Int[np.ndarray, "cells actions"]
    snapped: int = 0
    source: str = "table"
    play: Play | None = None
    people: pd.DataFrame | None = None

    @classmethod
    def from_table(
        cls,
        table: pd.DataFrame,
        environments: Mapping[str, Game],
        *,
        columns: Columns | None = None,
        source: str = "table",
        snap: bool = False,
        tolerance: float = 0.01,
        covariates: Sequence[str] = (),
    ) -> Decisions:
        """Check a tidy table, one row per decision (or per count of decisions), and index it.

        Args:
            table: columns participant, group, game, role, round, action, n. Only `action` is always needed;
                `game` too when there are several, `role` too when a game has several.
            environments: the games by the names that the table's game column uses.
                Games over time need `round`, and the columns that `Environment.columns` names.
            columns: what the table calls a column, e.g. {"participant": "subject_id"}.
            source: the name used in messages. With an index named "line", rows are called by line number.
            snap: move values between two points of an ordered grid to the nearer one (the lower on a tie).
            tolerance: in games over time, by how much a recorded number may differ from what the game makes it.
            covariates: columns that say something of the participant, for `people`: ("treatment", "age").

        Raises:
            InputError: one sentence for each kind of fault in the table, all of them at once.
        """
        reader = TableReader(table, environments, columns or {}, source, snap, covariates)
        people = read_people(reader)
        check_treatments(reader)
        rows = reader.rows()
        decisions = replace(cls._from_rows(rows, dict(environments), reader.snapped, source), people=people)
        over_time = [getattr(game, "over_time", False) for game in decisions.environments.values()]
        if not any(over_time):
            return decisions
        if not all(over_time):
            raise InputError(f"{source} mixes games over time with one-shot games: read them as two tables.")
        play, faults = _replayed(decisions, tolerance)
        reader.contradicted(faults)
        return _without_masked_levels(replace(decisions, play=play))

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        environments: Mapping[str, Game],
        *,
        columns: Columns | None = None,
        snap: bool = False,
        tolerance: float = 0.01,
        covariates: Sequence[str] = (),
    ) -> Decisions:
        """`from_table` of a comma-separated file (perhaps .gz); messages name its lines."""
        table, name = read_csv(path), Path(path).name
        return cls.from_table(
            table, environments, columns=columns, source=name, snap=snap, tolerance=tolerance, covariates=covariates
        )

    @classmethod
    def from_parquet(
        cls,
        path: str | Path,
        environments: Mapping[str, Game],
        *,
        columns: Columns | None = None,
        snap: bool = False,
        tolerance: float = 0.01,
        covariates: Sequence[str] = (),
    ) -> Decisions:
        """`from_table` of a Parquet file, with `pip install 'bayescal[parquet]'`; messages count its rows from 0."""
        table, name = read_parquet(path), Path(path).name
        return cls.from_table(
            table, environments, columns=columns, source=name, snap=snap, tolerance=tolerance, covariates=covariates
        )

    @classmethod
    def _from_rows(cls, rows: pd.DataFrame, environments: dict[str, Game], snapped: int, source: str) -> Decisions:
        played = np.unique(rows["game_index"])
        rows["game_index"] = np.searchsorted(played, rows["game_index"])
        names = [list(environments)[g] for g in played]
        rows["game"] = rows["game"].cat.set_categories(names)
        games = {name: environments[name] for name in names}
        roles, actions = spellings(list(games.values()))
        rows["role"] = rows["role"].cat.set_categories(roles)
        rows["action"] = rows["action"].cat.set_categories(actions)

        for level in ("group", "participant"):
            if level in rows:  # a label with only empty counts is nobody
                rows[level] = rows[level].cat.remove_unused_categories()
        keys = ["game", *(level for level in ("group", "participant") if level in rows)]
        codes = [rows[key].cat.codes.to_numpy() for key in keys] + [rows["role_index"].to_numpy()]
        cell, of_row = unique_rows(codes)
        cells = pd.DataFrame({key: rows[key].iloc[cell].array for key in [*keys, "role"]})
        for key in keys:
            cells[f"{key}_index"] = cells[key].cat.codes.to_numpy(dtype=np.int64)
        cells["role_index"] = rows["role_index"].to_numpy()[cell]

        width = max(len(grid) for game in games.values() for grid in game.action_values)
        counts = np.zeros(len(cell) * width, dtype=np.int64)
        np.add.at(counts, of_row * width + rows["action_index"].to_numpy(), rows["n"].to_numpy())
        indices = ["game_index", "role_index", "action_index"]
        order = [c for c in COLUMNS if c in rows] + indices
        order += [c for c in rows if c not in order and not str(c).endswith("_index")]  # what games over time record
        return cls(
            table=rows[order],
            environments=games,
            cells=cells,
            counts=counts.reshape(len(cell), width),
            snapped=snapped,
            source=source,
        )

    def count_chance(self) -> tuple[Decisions, float]:
        """The same decisions in games whose chance moves were counted from them (a first stage of estimation), and
        the log-likelihood of what chance did."""
        counted = {name: game.count_chance(rows) for name, game, _, rows in _by_game(self)}
        games = {name: game for name, (game, _) in counted.items()}
        return replace(self, environments=games), sum(log_lik for _, log_lik in counted.values())

    @property
    def game_names(self) -> tuple[str, ...]:
        return tuple(self.environments)

    @property
    def total(self) -> int:
        """How many decisions there are."""
        return int(self.counts.sum())

    @property
    def mask(self) -> Bool[np.ndarray, "cells actions"]:
        """Which entries of `counts` are actions of the cell's role, not padding."""
        games = list(self.environments.values())
        pairs = zip(self.cells["game_index"], self.cells["role_index"], strict=True)
        sizes = np.array([len(games[g].action_values[r]) for g, r in pairs])
        return np.arange(self.counts.shape[1])[None, :] < sizes[:, None]

    def levels(self, level: str) -> tuple[str, ...]:
        """The labels of a level ("game", "group" or "participant"), in the order that `by` counts them."""
        if level not in LEVELS:
            raise InputError(f"Decisions are grouped by {', '.join(LEVELS)}, not by {level!r}.")
        if level not in self.cells:
            raise InputError(
                f"{self.source} has no column '{level}', so nothing can vary by {level}: add the column, or "
                f'name it in the mapping of columns ({level} = "...").'
            )
        return tuple(self.cells[level].cat.categories)

    def by(self, level: str) -> Int[np.ndarray, " cells"]:
        """The index, into `levels(level)`, of each cell."""
        self.levels(level)
        return self.cells[f"{level}_index"].to_numpy()

    def describe(self) -> pd.DataFrame:
        """Per game and role: decisions, participants (if known) and the share of each action."""
        lines = []
        game_index, role_index = self.cells["game_index"].to_numpy(), self.cells["role_index"].to_numpy()
        for g, r in sorted(set(zip(game_index.tolist(), role_index.tolist(), strict=True))):
            here = (game_index == g) & (role_index == r)
            name = self.game_names[g]
            game = self.environments[name]
            counts = self.counts[here].sum(axis=0)
            line: dict[str, Any] = {"game": name, "role": game.role_names[r], "decisions": int(counts.sum())}
            if "participant" in self.cells:
                line["participants"] = self.cells["participant"][here].nunique()
            shares = counts / counts.sum()
            lines.append(line | dict(zip(game.action_labels[r], shares, strict=False)))
        return pd.DataFrame(lines).set_index(["game", "role"])

    @cached_property
    def data_hash(self) -> str:
        """sha256 of the canonical table, whatever the order of its rows and of the games."""
        digest = hashlib.sha256()
        keys = []
        for name in (c for c in COLUMNS if c in self.table):
            column = self.table[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                column = column.cat.remove_unused_categories()
                labels = sorted(column.cat.categories)
                rank = pd.Index(labels).get_indexer(column.cat.categories)
                keys.append(rank[column.cat.codes.to_numpy()])
            else:
                labels = []
                keys.append(column.to_numpy())
            digest.update(json.dumps([name, labels]).encode())
        order = np.lexsort(keys)
        for key in keys:
            digest.update(np.ascontiguousarray(key[order], dtype="<i8").tobytes())
        for name in sorted(set(self.table) - set(COLUMNS) - {"game_index", "role_index", "action_index"}):
            digest.update(json.dumps([name]).encode())
            digest.update(np.ascontiguousarray(self.table[name].to_numpy()[order], dtype="<f8").tobytes())
        if self.people is not None:
            people = self.people.sort_index()
            told = {name: people[name].tolist() for name in sorted(people)}
            digest.update(json.dumps([people.index.tolist(), told]).encode())
        return digest.hexdigest()


def _by_game(decisions: Decisions) -> Iterator[tuple[str, Any, np.ndarray, pd.DataFrame]]:
    """(name, game, rows of the table, those rows as `Environment.replay` takes them) of each game over time."""
    table = decisions.table.copy(deep=False)
    if "group" not in table:
        table["group"] = "1"
    if "participant" not in table:  # then everybody of a group has a role of their own
        table["participant"] = table["role"].astype(str)
    for g, (name, game) in enumerate(decisions.environments.items()):
        here = np.flatnonzero(table["game_index"].to_numpy() == g)
        mine = table.iloc[here].reset_index(drop=True)
        grids = np.asarray([[*v, *[np.nan] * (decisions.counts.shape[1] - len(v))] for v in game.action_values])
        mine["value"] = grids[mine["role_index"].to_numpy(), mine["action_index"].to_numpy()]
        for column in game.columns:
            if column not in mine:
                mine[column] = np.nan
        yield name, game, here, mine


def _without_masked_levels(decisions: Decisions) -> Decisions:
    """Groups and participants of whom no row is used are no levels: nothing would be inferred of them.

    They are last among the table's categories, so that the codes of all others count `levels`.
    """
    play = decisions.play
    assert play is not None
    if not len(play.row):
        raise InputError(
            f"{decisions.source}: what was seen before a decision is not known for any of its {len(decisions.table):,} "
            "rows: add the rounds before them, or the columns that the game needs."
        )
    table, cells, left_out = decisions.table.copy(deep=False), decisions.cells, {}
    for level in ("group", "participant"):
        if level not in table:
            continue
        labels = table[level].cat.categories
        used = np.isin(np.arange(len(labels)), table[level].cat.codes.to_numpy()[play.row])
        left_out[level] = tuple(labels[~used])
        if left_out[level]:
            table[level] = table[level].cat.reorder_categories([*labels[used], *labels[~used]])
            cells = cells[cells[level].isin(labels[used])]
            cells = cells.assign(**{level: cells[level].cat.set_categories(labels[used])})
            cells[f"{level}_index"] = cells[level].cat.codes.to_numpy(dtype=np.int64)
    counts, people = decisions.counts[cells.index], decisions.people
    return replace(
        decisions,
        table=table,
        cells=cells.reset_index(drop=True),
        counts=counts,
        play=replace(play, left_out=left_out.get("participant", ())),
        people=None if people is None else people.drop(index=list(left_out["participant"])),
    )


def _replayed(decisions: Decisions, tolerance: float) -> tuple[Play, list[Any]]:
    """Every game's decisions in turn, with what was seen before each; faults by row of the table."""
    if (decisions.table["n"] != 1).any():
        raise InputError(f"{decisions.source}: in games over time every row is one decision (n = 1).")
    rows, observations, faults, masked = [], {}, [], 0
    for name, game, here, mine in _by_game(decisions):
        found = game.replay(mine, tolerance=tolerance)
        known = np.asarray(found.known, bool)
        rows.append(here[known])
        masked += int((~known).sum())
        observations[name] = {k: np.asarray(v)[known] for k, v in found.observations.items()}
        faults += [f._replace(row=int(here[f.row])) for f in found.faults]
    return Play(np.concatenate(rows), observations, masked), faults
