"""What people did: decisions on the grid that the likelihood is defined on, and the table they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from bayescal.errors import InputError
from bayescal.table.cells import count_cells
from bayescal.table.codes import unique_rows
from bayescal.table.columns import COLUMNS, INDICES, Columns
from bayescal.table.files import read_csv
from bayescal.table.game import Game, grid_of
from bayescal.table.parquet import read_parquet
from bayescal.table.people import check_treatments, read_people
from bayescal.table.play import Play, replay_games, rows_by_game
from bayescal.table.reader import open_table
from bayescal.table.rows import canonical_rows, report_contradictions

LEVELS = ("game", "group", "participant")


@dataclass(frozen=True, eq=False)
class Chosen:
    """How often each action of one role of a game was chosen, by how many participants (None: not known).

    `situation` is where in a tree that was, and empty in other games.
    """

    game: str
    role: str
    situation: str
    labels: tuple[str, ...]
    counts: Int[np.ndarray, " actions"]
    participants: int | None


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
        opened = open_table(table, environments, columns or {}, source, covariates)
        people = read_people(opened)
        check_treatments(opened)
        rows = canonical_rows(opened, snap)
        played, games, cells, counts = count_cells(rows.frame, environments)
        decisions = cls(played, games, cells, counts, rows.snapped, source, people=people)
        over_time = [game.over_time for game in games.values()]
        if not any(over_time):
            return decisions
        if not all(over_time):
            raise InputError(f"{source} mixes games over time with one-shot games: read them as two tables.")
        play, contradictions = replay_games(played, games, tolerance, source)
        report_contradictions(opened, rows, contradictions)
        return replace(decisions, play=play)._without_masked_levels()

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

    def _without_masked_levels(self) -> Decisions:
        """Groups and participants without a row that is used are no levels: nothing would be inferred about them.

        They are the last of the table's categories, so that the codes of all others count `levels`.
        """
        play = self.play
        assert play is not None
        if not len(play.row):
            raise InputError(
                f"{self.source}: what was seen before a decision is not known for any of its {len(self.table):,} "
                "rows: add the rounds before them, or the columns that the game needs."
            )
        table, cells, left_out = self.table.copy(deep=False), self.cells, {}
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
        return replace(
            self,
            table=table,
            cells=cells.reset_index(drop=True),
            counts=self.counts[cells.index],
            play=replace(play, left_out=left_out.get("participant", ())),
            people=None if self.people is None else self.people.drop(index=list(left_out["participant"])),
        )

    def count_chance(self) -> tuple[Decisions, float]:
        """The same decisions in games whose chance moves were counted from them (a first stage of estimation), and
        the log-likelihood of what chance did."""
        by_game = rows_by_game(self.table, self.environments)
        counted = {name: game.count_chance(rows) for name, game, _, rows in by_game}
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
        """Per game and role (and situation of a tree): decisions, participants (if known), the share of each action."""
        lines, chosen = [], self.chosen()
        for x in chosen:
            line: dict[str, Any] = {"game": x.game, "role": x.role, "situation": x.situation}
            line |= {"decisions": int(x.counts.sum()), "participants": x.participants}
            lines.append(line | dict(zip(x.labels, x.counts / x.counts.sum(), strict=True)))
        table = pd.DataFrame(lines).set_index(["game", "role", "situation"])
        if "participant" not in self.cells:
            table = table.drop(columns="participants")
        return table if any(x.situation for x in chosen) else table.droplevel("situation")

    def chosen(self) -> list[Chosen]:
        """How often each action was chosen, by game and role, and by situation where tables name these."""
        games, rows, counts = list(self.environments.values()), self.cells, self.counts
        situation = np.full(len(rows), -1)
        if any(game.named_situations(r) for game in games for r in range(len(game.role_names))):
            rows = self.table if self.play is None else self.table.iloc[np.unique(self.play.row)]
            counts = np.eye(counts.shape[1], dtype=np.int64)[rows["action_index"]] * rows["n"].to_numpy()[:, None]
            situation = rows["situation"].fillna(-1).to_numpy(np.int64)
        keys = [rows["game_index"].to_numpy(), rows["role_index"].to_numpy(), situation]
        first, of_row = unique_rows(keys)
        total = np.zeros((len(first), counts.shape[1]), dtype=np.int64)
        np.add.at(total, of_row, counts)
        people = [None] * len(first)
        if "participant" in rows:
            once = unique_rows([of_row, rows["participant"].cat.codes.to_numpy()])[0]
            people = np.bincount(of_row[once], minlength=len(first)).tolist()
        out = []
        for row, decided, by in zip(first, total, people, strict=True):
            g, r, s = (int(key[row]) for key in keys)
            labels, named = grid_of(games[g], r, s).labels, games[g].named_situations(r)
            where = named[s][0] if named and s >= 0 else ""
            out.append(Chosen(self.game_names[g], games[g].role_names[r], where, labels, decided[: len(labels)], by))
        return out

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
        for name in sorted(set(self.table) - set(COLUMNS) - set(INDICES)):
            digest.update(json.dumps([name]).encode())
            digest.update(np.ascontiguousarray(self.table[name].to_numpy()[order], dtype="<f8").tobytes())
        if self.people is not None:
            people = self.people.sort_index()
            covariates = {name: people[name].tolist() for name in sorted(people)}
            digest.update(json.dumps([people.index.tolist(), covariates]).encode())
        return digest.hexdigest()
