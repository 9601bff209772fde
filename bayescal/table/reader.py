"""Reading a table of decisions: every fault is found, and named by file, line and column, in one error."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from bayescal.errors import InputError

COLUMNS = ("participant", "group", "game", "role", "round", "action", "n")
TREATMENT = "treatment"  # a column that is looked at where it is there: a group has one
CHUNK = 100_000  # rows of a file that are split into cells at a time
SHOWN = 5  # offending rows that are named before "and ... more"

Columns = Mapping[str, str | Sequence[str]]  # what a table calls a column: a name, or names of which it has one


@runtime_checkable
class Game(Protocol):
    """What a table needs to know of an environment; written out so that reading data loads no JAX."""

    @property
    def role_names(self) -> tuple[str, ...]: ...
    @property
    def action_values(self) -> tuple[tuple[float, ...], ...]: ...
    @property
    def action_labels(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def ordered(self) -> bool: ...


def read_table(path: str | Path) -> pd.DataFrame:
    """A table from a file: Parquet by its name's end (.parquet, .pq), else comma-separated (perhaps .gz)."""
    if Path(path).suffix.lower() in (".parquet", ".pq"):
        from bayescal.table.parquet import read_parquet

        return read_parquet(path)
    return read_csv(path)


def read_csv(path: str | Path) -> pd.DataFrame:
    """A comma-separated file (perhaps .gz) as text, every cell as written; the index ("line") is the line in the file.

    The csv module rather than pandas: it knows the line of each row through quoted line breaks, and neither
    turns participant "007" into 7 nor the action "NA" into nothing.
    """
    path = Path(path)
    lines: list[np.ndarray] = []
    ragged: list[tuple[int, int]] = []  # line, cells
    try:
        reader = csv.reader(io.StringIO(decoded(path), newline=""))
        header = [name.strip() for name in next(reader, [])]
        columns: list[list[np.ndarray]] = [[] for _ in header]
        known: list[dict[str, str]] = [{} for _ in header]  # a text is kept once, however many cells hold it
        numbered = _numbered(reader)
        while chunk := list(islice(numbered, CHUNK)):
            ragged += [(line, len(row)) for line, row in chunk if len(row) != len(header)]
            if not ragged:
                lines.append(np.array([line for line, _ in chunk], dtype=np.int64))
                for parts, texts, cells in zip(
                    columns, known, zip(*(row for _, row in chunk), strict=True), strict=True
                ):
                    parts.append(np.array([texts.setdefault(cell, cell) for cell in cells], dtype=object))
    except csv.Error as error:
        raise InputError(f"{path.name} is not a comma-separated table: {error}.") from None
    if not header:
        raise InputError(f"{path.name} is empty: its first line must name the columns ({', '.join(COLUMNS)}).")
    if ragged:
        some = _listed(range(len(ragged)), lambda i: f"line {ragged[i][0]} has {ragged[i][1]}")
        raise InputError(
            f"{path.name}: the header names {len(header)} columns, but {some}: give every row {len(header)} "
            "cells (put a text that holds a comma in double quotes)."
        )
    join = lambda parts, dtype: np.concatenate(parts) if parts else np.zeros(0, dtype)
    index = pd.Index(join(lines, np.int64), name="line", dtype=np.int64)
    cells = {i: join(parts, object) for i, parts in enumerate(columns)}
    table = pd.DataFrame(cells, index=index, dtype=object)
    table.columns = header
    return table


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows of a csv.reader with the line that each begins on; a blank line is nothing, not a missing value."""
    end = reader.line_num
    for row in reader:
        if any(row):
            yield end + 1, row
        end = reader.line_num


def decoded(path: Path) -> str:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Cannot read the decisions in {path}: {reason}.") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        found = f"{error.object[error.start]:#04x}"
        raise InputError(
            f"{path.name}, line {line}: the byte {found} is not UTF-8 text: save the table as "
            "comma-separated values in UTF-8."
        ) from None


def select_rows(table: pd.DataFrame, where: str, source: str) -> pd.DataFrame:
    """The rows for which a pandas query holds; columns that hold numbers only are numbers in it."""
    numbers = {}
    for name in table.columns:
        column = pd.to_numeric(table[name], errors="coerce")
        empty = table[name].astype(str).str.strip() == ""
        numbers[name] = column if (column.notna() | empty).all() else table[name]
    try:
        kept = pd.DataFrame(numbers, index=table.index).query(where, engine="python").index
    except Exception as error:  # noqa: BLE001 - whatever Python makes of the text
        raise InputError(
            f"--where {where!r} cannot be asked of {source} ({error}): its columns are {', '.join(table.columns)}; "
            'write for example "group in [1, 2, 3]" or "treatment == 1 and round <= 20".'
        ) from None
    if not len(kept):
        raise InputError(f"--where {where!r} holds for no row of {source}.")
    return table.loc[kept]


@dataclass(frozen=True)
class Column:
    """One column as codes into the distinct values it holds; -1 where the cell is empty."""

    name: str
    codes: Int[np.ndarray, " rows"]
    distinct: np.ndarray  # numbers if the column is one of numbers, else texts
    order: Int[np.ndarray, " texts"] | None = None  # of the distinct values, where the table has an order

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(map(_text, self.distinct.tolist()))

    @cached_property
    def numbers(self) -> Float[np.ndarray, " texts"]:
        """The values as numbers; NaN where one is not a finite number."""
        if self.numeric:
            return np.where(np.isfinite(self.distinct), self.distinct, np.nan).astype(float)
        if {text.lower() for text in self.texts} <= {"true", "false"}:
            return np.array([text.lower() == "true" for text in self.texts], dtype=float)
        return np.array([_number(text) for text in self.texts], dtype=float)

    @property
    def numeric(self) -> bool:
        return self.distinct.dtype.kind in "iuf"

    def number(self) -> Float[np.ndarray, " rows"]:
        return np.append(self.numbers, np.nan)[self.codes]

    def text(self, row: int) -> str:
        return self.texts[self.codes[row]]


class TableReader:
    """Reads a table column by column, and collects every fault before it raises one error."""

    def __init__(
        self,
        table: pd.DataFrame,
        environments: Mapping[str, Game],
        columns: Columns,
        source: str,
        snap: bool,
        covariates: Sequence[str] = (),
    ) -> None:
        if not environments:
            raise InputError("Decisions need at least one game: `environments` is empty.")
        self.environments = dict(environments)
        self.games = list(environments.values())
        self.source = source
        self.recorded = {k: v for game in self.games for k, v in getattr(game, "columns", {}).items()}
        self.covariates = tuple(dict.fromkeys([covariates] if isinstance(covariates, str) else covariates))
        self.snap = snap
        self.snapped = 0
        self.faults: list[str] = []
        self.unit = "line" if table.index.names[0] == "line" else "row"
        self.labels = table.index
        self.size = len(table)
        names = self._names(table, columns)
        if not self.size:
            self.faults.append(f"{source} holds no decisions: give it at least one row below the header.")
        self._raise()
        position = {str(name): i for i, name in enumerate(table.columns)}
        cells = {key: (table.iloc[:, position[name]], name) for key, name in names.items()}
        self.faults += list(
            dict.fromkeys(f for column, name in cells.values() for f in _wrong_type(column, name, source))
        )
        self._raise()
        self.columns = {key: _encode(column, name) for key, (column, name) in cells.items()}

    def rows(self) -> pd.DataFrame:
        """The canonical rows; raises InputError with every fault found."""
        game, game_index = self._game()
        role_index = self._role(game_index)
        action_index = self._action(game_index, role_index)
        n = self._count()
        rounds = self._round()
        identities = {key: self._identity(key) for key in ("participant", "group") if key in self.columns}
        if not self.faults and n.any():
            self._undecided(n)
        numbers = {key: self._recorded(key) for key in self.recorded if key in self.columns}
        if rounds is not None and "participant" in identities:
            self._duplicates(game_index, identities["participant"], rounds, n)
        if not self.faults and not n.any():
            self.faults.append(f"{self.source} holds no decisions: every count in column '{self._of('n')}' is 0.")
        self._raise()

        role, action = self._spelled(game_index, role_index, action_index)
        rows = pd.DataFrame({**identities, "game": game, "role": role, "action": action, "n": n})
        if rounds is not None:
            rows["round"] = rounds.astype(np.int64)
        rows = rows.assign(game_index=game_index, role_index=role_index, action_index=action_index, **numbers)
        self.kept = np.flatnonzero(n > 0)
        return rows if n.all() else rows[n > 0].reset_index(drop=True)

    # The columns there are.
    def _names(self, table: pd.DataFrame, columns: Columns) -> dict[str, str]:
        """Canonical name -> the table's name, for the columns that the table has and needs."""
        there = [str(name) for name in table.columns]
        has = ", ".join(there) or "none"
        if len(there) == 1 and any(mark in there[0] for mark in ";\t|"):
            has += " (one column: separate the cells by commas)"
        known = tuple(dict.fromkeys((*COLUMNS, *self.recorded, TREATMENT, *self.covariates)))
        for key in columns:
            if key not in known:
                self.faults.append(
                    f"The mapping of columns names {key!r}, which is not one of {', '.join(known)}"
                    f"{_closest(key, known)}, nor a covariate that is asked for."
                )
        needed = {"action", *self.covariates} | {
            key for key, meaning in self.recorded.items() if "(optional" not in meaning
        }
        if any(getattr(game, "over_time", False) for game in self.games):
            needed.add("round")
        if len(self.games) > 1:
            needed.add("game")
        if any(len(game.role_names) > 1 for game in self.games):
            needed.add("role")
        names, missing = {}, []
        for key in known:
            names_of = columns.get(key, key)
            several = [names_of] if isinstance(names_of, str) else list(names_of)
            name = next((n for n in several if n in there), several[0])
            if key == TREATMENT and key not in columns and key not in needed and name in names.values():
                continue  # the table's games are called treatments
            if name in there:
                names[key] = name
                if there.count(name) > 1:
                    self.faults.append(f"{self.source} has {there.count(name)} columns named {name!r}: rename one.")
            elif key in columns or key in needed:
                missing.append(f"{name!r}" + (f" (for {key})" if name != key else "") + _closest(name, there))
        if missing:
            self.faults.append(
                f"{self.source} has no column {', '.join(missing)}; it has {has}: add what is missing, or "
                'map the name, e.g. action = "choice" under [columns] in dataset.toml or '
                'columns={"action": "choice"}.'
            )
        return names

    # One method per column: the canonical codes, faults noted.
    def _game(self) -> tuple[pd.Categorical, Int[np.ndarray, " rows"]]:
        names = list(self.environments)
        if "game" not in self.columns:
            index = np.zeros(self.size, dtype=np.int64)
        else:
            column = self.columns["game"]
            self._missing("game", column.codes < 0)
            code = {name: i for i, name in enumerate(names)}
            index = np.array([*(code.get(text, -1) for text in column.texts), -1], dtype=np.int64)[column.codes]
            unknown = (index < 0) & (column.codes >= 0)
            self.fault(
                repr(column.name),
                unknown,
                "a game that is not known",
                lambda i: f"{column.text(i)!r}{_closest(column.text(i), names)}",
                f"the games are {_quoted(names)}: write one of these, or add it to the environments "
                "([games] in dataset.toml).",
            )
        return pd.Categorical.from_codes(index, categories=names), index

    def _role(self, game_index: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        several = np.array([len(game.role_names) > 1 for game in self.games])
        if "role" not in self.columns:
            return np.zeros(self.size, dtype=np.int64)
        column = self.columns["role"]
        # A game with one role needs none written down, so an empty cell there is not missing.
        empty = column.codes < 0
        self._missing("role", empty & several[game_index] & (game_index >= 0))
        codes = np.full((len(self.games) + 1, len(column.texts) + 1), -1, dtype=np.int64)
        for g, game in enumerate(self.games):
            code = {name: i for i, name in enumerate(game.role_names)}
            codes[g, :-1] = [code.get(text, -1) for text in column.texts]
            codes[g, -1] = -1 if several[g] else 0
        index = codes[game_index, column.codes]
        self.fault(
            repr(column.name),
            (index < 0) & ~empty & (game_index >= 0),
            "a role that its game does not have",
            lambda i: f"{column.text(i)!r}{_closest(column.text(i), self.games[game_index[i]].role_names)}",
            self._names_of_roles,
            games=game_index,
        )
        return index

    def _names_of_roles(self, rows: Sequence[int], game_index: Int[np.ndarray, " rows"]) -> str:
        names = list(self.environments)
        games = dict.fromkeys(int(game_index[i]) for i in rows)
        told = [f"{names[g]!r} has {_quoted(self.games[g].role_names)}" for g in games]
        return f"game {', '.join(told)}: write one of its roles."

    def _action(
        self, game_index: Int[np.ndarray, " rows"], role_index: Int[np.ndarray, " rows"]
    ) -> Int[np.ndarray, " rows"]:
        column = self.columns["action"]
        empty = column.codes < 0
        self._missing("action", empty)
        index = np.full(self.size, -1, dtype=np.int64)
        moved = np.zeros(self.size, dtype=bool)
        known = np.flatnonzero((game_index >= 0) & (role_index >= 0) & ~empty)
        roles = 1 + max(len(game.role_names) for game in self.games)
        for rows in _split(known, game_index[known] * roles + role_index[known]):
            game, r = self.games[game_index[rows[0]]], int(role_index[rows[0]])
            distinct, of_row = np.unique(column.codes[rows], return_inverse=True)
            match, snapped = _match(column, distinct, game, r, self.snap)
            index[rows], moved[rows] = match[of_row], snapped[of_row]
        off = np.zeros(self.size, dtype=bool)
        off[known] = index[known] < 0

        def found(i: int) -> str:
            game, r = self.games[game_index[i]], int(role_index[i])
            number = column.numbers[column.codes[i]]
            return f"{column.text(i)!r}{_nearby(column.text(i), number, game, r)}"

        def grids(rows: Sequence[int], _: Any) -> str:
            pairs = dict.fromkeys((int(game_index[i]), int(role_index[i])) for i in rows)
            names = list(self.environments)
            told = [f"{names[g]!r}, {self.games[g].role_names[r]!r}: {_grid(self.games[g], r)}" for g, r in pairs]
            number = column.number()
            between = any(_between(number[i], self.games[game_index[i]], int(role_index[i])) for i in rows)
            fix = "write one of its labels or values"
            if between and not self.snap:
                fix += ", or ask for the nearest grid value (snap=True, --snap, or snap = true under [model] in "
                fix += "dataset.toml)"
            elif self.snap:
                fix += " (only values between two grid points can be snapped)"
            return f"the grid by game and role is {'; '.join(told)}: {fix}."

        self.fault(repr(column.name), off, "an action that is not on the grid", found, grids)
        self._moved = moved
        return index

    def _count(self) -> Int[np.ndarray, " rows"]:
        n = np.ones(self.size, dtype=np.int64)
        if "n" in self.columns:
            column = self.columns["n"]
            empty = column.codes < 0
            self._missing("n", empty)
            number = column.number()
            whole = (number >= 0) & (number == np.floor(number)) & (number < 2.0**53)
            self.fault(
                repr(column.name),
                ~whole & ~empty,
                "a count that is not a whole number of decisions",
                lambda i: repr(column.text(i)),
                "write 0, 1, 2, ... (how often the action was chosen).",
            )
            n = np.where(whole, number, 0).astype(np.int64)
        self.snapped = int(n[self._moved].sum())
        return n

    def _round(self) -> Int[np.ndarray, " rows"] | None:
        if "round" not in self.columns:
            return None
        column = self.columns["round"]
        empty = column.codes < 0
        self._missing("round", empty)
        number = column.number()
        whole = (number == np.floor(number)) & (np.abs(number) < 2.0**53)
        self.fault(
            repr(column.name),
            ~whole & ~empty,
            "a round that is not a whole number",
            lambda i: repr(column.text(i)),
            "number the rounds 1, 2, 3, ...",
        )
        # Rounds that cannot be read get numbers of their own, so that they are not called duplicates as well.
        return np.where(whole, number, -(2.0**53) - np.arange(self.size)).astype(np.int64)

    def _recorded(self, key: str) -> Float[np.ndarray, " rows"]:
        """A column of numbers of a game over time; empty cells are not known."""
        column = self.columns[key]
        number = column.number()
        bad = np.isnan(number) & (column.codes >= 0)
        self.fault(repr(column.name), bad, "no number", lambda i: repr(column.text(i)), "write a number or nothing.")
        return number

    def contradicted(self, faults: Sequence[Any]) -> None:
        """Report what `Environment.replay` found: the rows of `rows()` that the game contradicts, and by how much."""
        for key in dict.fromkeys(f.column for f in faults):
            mine = {int(self.kept[f.row]): f for f in faults if f.column == key}
            bad = np.zeros(self.size, bool)
            bad[list(mine)] = True
            told = lambda i, mine=mine: (
                f"{mine[i].found:.6g} where the game makes it {mine[i].expected:.6g} "
                f"(off by {abs(mine[i].found - mine[i].expected):.3g})"
            )
            worst = max(abs(f.found - f.expected) for f in mine.values())
            self.fault(
                repr(self.columns[key].name if key in self.columns else key), bad, "a number that the game contradicts",
                told,
                "correct the rows, or accept numbers that are off by less with a larger tolerance (--tolerance, or "
                f"tolerance = … under [model] in dataset.toml; the largest is {worst:.3g}).",
            )  # fmt: skip
        self._raise()

    def _identity(self, key: str) -> pd.Categorical:
        column = self.columns[key]
        self._missing(key, column.codes < 0)
        order = natural_order(column.texts)
        rank = np.empty(len(order) + 1, dtype=np.int64)
        rank[order], rank[-1] = np.arange(len(order)), -1
        return pd.Categorical.from_codes(rank[column.codes], categories=[column.texts[c] for c in order])

    def _undecided(self, n: Int[np.ndarray, " rows"]) -> None:
        """Everybody has decided at least once."""
        if "participant" not in self.columns or n.all():
            return
        who = self.columns["participant"]
        decided = np.bincount(who.codes, n, minlength=len(who.texts)) > 0
        bad = np.zeros(self.size, bool)
        bad[first_rows(who.codes, len(who.texts))[~decided]] = True
        self.fault(
            repr(who.name), bad, "a participant without a decision (every count is 0)",
            lambda i: repr(who.text(i)),
            "remove the rows of people who did not decide, or correct their counts.",
        )  # fmt: skip

    def _duplicates(
        self,
        game_index: Int[np.ndarray, " rows"],
        participant: pd.Categorical,
        rounds: Int[np.ndarray, " rows"],
        n: Int[np.ndarray, " rows"],
    ) -> None:
        """A person decides once a round: rows that repeat (game, participant, round), empty counts aside."""
        codes = participant.codes.astype(np.int64)
        rows = np.flatnonzero((codes >= 0) & (game_index >= 0) & (n > 0))
        first, of_row = unique_rows([game_index[rows], codes[rows], rounds[rows]])
        again = np.zeros(self.size, dtype=bool)
        again[rows] = rows[first][of_row] != rows
        earlier = np.full(self.size, -1)
        earlier[rows] = rows[first][of_row]
        who = self.columns["participant"]
        when = self.columns["round"]
        names = list(self.environments)
        self.fault(
            f"{who.name!r} with {when.name!r}",
            again,
            "a participant's round that an earlier row of the game already holds",
            lambda i: (
                f"{who.text(i)!r}, {when.text(i)!r} (game {names[game_index[i]]!r}, as on {self.place(earlier[i])})"
            ),
            "remove the repeated rows, or make participants distinct if their numbers start anew by group.",
        )

    def _spelled(
        self,
        game_index: Int[np.ndarray, " rows"],
        role_index: Int[np.ndarray, " rows"],
        action_index: Int[np.ndarray, " rows"],
    ) -> tuple[pd.Categorical, pd.Categorical]:
        """Names of roles and labels of actions, row by row."""
        roles, actions = spellings(self.games)
        role_code = {name: i for i, name in enumerate(roles)}
        action_code = {label: i for i, label in enumerate(actions)}
        shape = [max(len(game.role_names) for game in self.games), max(map(_longest, self.games))]
        role = np.zeros((len(self.games), shape[0]), dtype=np.int64)
        action = np.zeros((len(self.games), *shape), dtype=np.int64)
        for g, game in enumerate(self.games):
            for r, (name, labels) in enumerate(zip(game.role_names, game.action_labels, strict=True)):
                role[g, r] = role_code[name]
                action[g, r, : len(labels)] = [action_code[label] for label in labels]
        return (
            pd.Categorical.from_codes(role[game_index, role_index], categories=roles),
            pd.Categorical.from_codes(action[game_index, role_index, action_index], categories=actions),
        )

    # Faults.
    def place(self, row: int) -> str:
        """Where a row stands in its source; one of a wide table is a cell of a line."""
        label = self.labels[row]
        return f"{self.unit} {label[0]}, column {label[1]!r}" if isinstance(label, tuple) else f"{self.unit} {label}"

    def _of(self, key: str) -> str:
        return self.columns[key].name

    def _missing(self, key: str, bad: Bool[np.ndarray, " rows"]) -> None:
        fix = "fill it in, or remove the row"
        if key in ("participant", "group", "round", "n"):
            fix += " (or the whole column, if it is not known)"
        self.fault(repr(self._of(key)), bad, "no value", None, f"{fix}.")

    def fault(
        self,
        column: str,
        bad: Bool[np.ndarray, " rows"],
        what: str,
        found: Callable[[int], str] | None,
        fix: str | Callable[[Sequence[int], Any], str],
        games: Any = None,
    ) -> None:
        """Note one kind of fault: where, how often, what was found in the first few rows, and what to do."""
        rows = [int(i) for i in np.flatnonzero(bad)]
        if not rows:
            return
        where = _listed(rows, lambda i: self.place(i) + (f" holds {found(i)}" if found else ""))
        end = fix if isinstance(fix, str) else fix(rows[:SHOWN], games)
        times = f"{len(rows):,} rows hold" if len(rows) > 1 else "one row holds"
        self.faults.append(f"{self.source}, column {column}: {times} {what}: {where}; {end}")

    def _raise(self) -> None:
        if self.faults:
            raise InputError(" ".join(self.faults))


def _wrong_type(series: pd.Series, name: str, source: str) -> list[str]:
    """A fault for a column whose cells are no numbers, texts or booleans."""
    kind = series.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _wrong_type(pd.Series(kind.categories), name, source)
    if isinstance(kind, pd.ArrowDtype):
        fine, found = kind.type in (int, float, str, bool), str(kind.pyarrow_dtype)
    elif pd.api.types.is_object_dtype(kind):
        cells = series.iloc[:100].tolist()  # the others are like these, in what a file gives
        odd = next((c for c in cells if isinstance(c, list | tuple | dict | set | bytes | np.ndarray)), None)
        fine, found = odd is None, type(odd).__name__
    else:
        fine, found = kind.kind not in "mMc", str(kind)
    if fine:
        return []
    return [
        f"{source}, column {name!r}: its cells are of type {found}: write one number, text or true/false in each, or "
        "name another column."
    ]


def _encode(series: pd.Series, name: str) -> Column:
    """Codes and distinct values of a column; None, NaN and blank cells are missing."""
    codes, distinct = pd.factorize(series)
    if isinstance(distinct.dtype, np.dtype) and distinct.dtype.kind in "iuf":
        return Column(name, codes.astype(np.int64), np.asarray(distinct))  # spelled out only when asked for
    seen: dict[str, int] = {}
    remap = np.full(len(distinct) + 1, -1, dtype=np.int64)
    for i, value in enumerate(distinct.tolist()):
        text = _text(value)
        if text:
            remap[i] = seen.setdefault(text, len(seen))
    order = None
    if isinstance(series.dtype, pd.CategoricalDtype):
        texts = dict.fromkeys(_text(value) for value in series.cat.categories)
        order = np.array([seen[text] for text in texts if text in seen], dtype=np.int64)
    return Column(name, remap[codes], np.array(list(seen), dtype=object), order)


def _text(value: Any) -> str:
    """A cell as text: a whole number without its decimal point, so that 1, 1.0 and "1" are one label."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) and "_" not in text else math.nan


def natural_order(texts: Sequence[str]) -> list[int]:
    """Whole numbers by size, then everything else by spelling."""
    return sorted(range(len(texts)), key=lambda code: _natural(texts, code))


def _natural(texts: Sequence[str], code: int) -> tuple[bool, int, str]:
    """Sorting key: whole numbers by size, then everything else by spelling."""
    text = texts[code]
    whole = text.isascii() and text.isdigit()
    return (not whole, int(text) if whole else 0, text)


def spellings(games: Sequence[Game]) -> tuple[list[str], list[str]]:
    """All names of roles and all labels of actions of some games, each once, in their order."""
    roles = (name for game in games for name in game.role_names)
    actions = (label for game in games for labels in game.action_labels for label in labels)
    return list(dict.fromkeys(roles)), list(dict.fromkeys(actions))


def unique_rows(
    keys: Sequence[Int[np.ndarray, " rows"]],
) -> tuple[Int[np.ndarray, " groups"], Int[np.ndarray, " rows"]]:
    """The first row of each distinct combination, in sorted order, and the combination of each row."""
    if not len(keys[0]):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    key = np.zeros(len(keys[0]), dtype=np.int64)
    for values in keys:
        values = values.astype(np.int64)
        low, high = int(values.min()), int(values.max())
        if high - low >= 2**31:  # far apart: number what there is, so that the combined key cannot overflow
            values = np.unique(values, return_inverse=True)[1]
            low, high = 0, int(values.max())
        if len(key) and int(key.max()) * (high - low + 1) >= 2**62:
            key = np.unique(key, return_inverse=True)[1]
        key = key * (high - low + 1) + (values - low)
    _, first, of_row = np.unique(key, return_index=True, return_inverse=True)
    return first, of_row


def first_rows(codes: Int[np.ndarray, " rows"], labels: int) -> Int[np.ndarray, " labels"]:
    """Where each label first stands."""
    first = np.zeros(labels, dtype=np.int64)
    known = codes[::-1] >= 0
    first[codes[::-1][known]] = np.arange(len(codes))[::-1][known]  # what is written last is the first row
    return first


def _split(rows: Int[np.ndarray, " rows"], key: Int[np.ndarray, " rows"]) -> list[Int[np.ndarray, " some"]]:
    """The rows by distinct key."""
    order = np.argsort(key, kind="stable")
    ends = [0, *(np.flatnonzero(np.diff(key[order])) + 1), len(rows)]
    return [rows[order[a:b]] for a, b in pairwise(ends) if b > a]


def _longest(game: Game) -> int:
    return max(len(grid) for grid in game.action_values)


def _spacing(grid: Float[np.ndarray, " actions"]) -> float:
    return float(np.min(np.diff(grid))) if len(grid) > 1 else 1.0


def _rounding(grid: Float[np.ndarray, " actions"]) -> float:
    """How far a value may lie from its grid point: 0.1 + 0.2 is 0.3, and so is 0.3 in float32."""
    return min(1e-6 * _spacing(grid) + 1e-7 * float(np.max(np.abs(grid))), 0.1 * _spacing(grid))


def _by_value(game: Game, role: int) -> bool:
    """Whether actions may be called by grid value: not if the labels are other numbers (1, 2 for 0, 1)."""
    numbers = [_number(label) for label in game.action_labels[role]]
    values = game.action_values[role]
    half = _spacing(np.sort(np.asarray(values, dtype=float))) / 2
    return all(math.isnan(x) or abs(x - v) < half for x, v in zip(numbers, values, strict=True))


def _match(
    column: Column, codes: Int[np.ndarray, " texts"], game: Game, role: int, snap: bool
) -> tuple[Int[np.ndarray, " texts"], Bool[np.ndarray, " texts"]]:
    """Index of the action that each value of a column names (-1: none), and whether it had to be snapped."""
    by_value = _by_value(game, role)
    index = np.full(len(codes), -1, dtype=np.int64)
    snapped = np.zeros(len(codes), dtype=bool)
    if not (by_value and column.numeric):
        labels = {label.strip(): i for i, label in enumerate(game.action_labels[role])}
        index[:] = [labels.get(column.texts[code], -1) for code in codes]
    if not by_value:
        return index, snapped
    numbers = column.numbers[codes]
    values = np.asarray(game.action_values[role], dtype=float)
    order = np.argsort(values)
    grid = values[order]
    near = _nearest(grid, numbers)
    exact = np.abs(numbers - grid[near]) <= _rounding(grid)
    index = np.where((index < 0) & exact, order[near], index)
    if snap and game.ordered:
        snapped = (index < 0) & (numbers > grid[0]) & (numbers < grid[-1])
        index = np.where(snapped, order[near], index)
    return index, snapped


def _nearest(
    grid: Float[np.ndarray, " actions"], numbers: Float[np.ndarray, " numbers"]
) -> Int[np.ndarray, " numbers"]:
    """Index of the nearest value of a sorted grid; the lower of two at equal distance."""
    above = np.clip(np.searchsorted(grid, numbers), 1, max(len(grid) - 1, 1))
    below = above - 1
    above = np.minimum(above, len(grid) - 1)
    return np.where(grid[above] - numbers < numbers - grid[below], above, below)


def _between(number: float, game: Game, role: int) -> bool:
    values = game.action_values[role]
    return bool(game.ordered and _by_value(game, role) and min(values) < number < max(values))


def _nearby(text: str, number: float, game: Game, role: int) -> str:
    """The one or two actions that were probably meant."""
    labels, values = game.action_labels[role], game.action_values[role]
    if not np.isfinite(number) or not game.ordered:
        return _closest(text, labels)
    order = np.argsort(np.abs(np.asarray(values) - number), kind="stable")[:2]
    return f" (closest: {', '.join(labels[i] for i in sorted(order))})"


def _grid(game: Game, role: int) -> str:
    """The actions of a role: all of a few, the ends of many."""
    labels = game.action_labels[role]
    if len(labels) <= 10:
        return ", ".join(repr(label) for label in labels)
    return f"{labels[0]}, {labels[1]}, ..., {labels[-1]} ({len(labels)} actions)"


def _closest(text: str, choices: Sequence[str]) -> str:
    close = difflib.get_close_matches(text.lower(), [c.lower() for c in choices], n=1)
    named = next((c for c in choices if close and c.lower() == close[0]), None)
    return f" (did you mean {named!r}?)" if named else ""


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in list(names)[:20])
    return shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _listed(rows: Sequence[int], tell: Callable[[int], str]) -> str:
    told = ", ".join(tell(i) for i in rows[:SHOWN])
    return told + (f" and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else "")
