"""The canonical rows of a table: every cell as an index into the games' roles and actions, with every fault noted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from bayescal.table.actions import grid_words, is_between, match_actions, suggestion
from bayescal.table.codes import first_rows, natural_order, ranks, rows_by_key, unique_rows
from bayescal.table.columns import Column, as_number
from bayescal.table.faults import closest, quoted
from bayescal.table.game import Contradiction, Grid, grid_of, spellings
from bayescal.table.reader import OpenTable

Index = Int[np.ndarray, " rows"]
SITUATION = "situation"
LARGEST = 2.0**53  # beyond it a float no longer holds every whole number


@dataclass(frozen=True, eq=False)
class Rows:
    """Canonical rows.

    Attributes:
        frame: one row for each row of the table with a count above 0.
        row: the row of the table that each is from.
        snapped: decisions that were moved to the nearest value of the grid.
    """

    frame: pd.DataFrame
    row: Int[np.ndarray, " some"]
    snapped: int


def canonical_rows(table: OpenTable, snap: bool) -> Rows:
    """The rows of a table; InputError with every fault found.

    Args:
        snap: move values between two points of an ordered grid to the nearer one.
    """
    faults, columns = table.faults, table.columns
    game = _game(table)
    role = _role(table, game)
    situation = _situation(table, game, role)
    places = _places(table, game, role, situation)
    action, moved = _action(table, places, snap)
    n = _count(table)
    rounds = _round(table)
    identities = {key: _identity(table, key) for key in ("participant", "group") if key in columns}
    if not faults and n.any():
        _check_everybody_decided(table, n)
    numbers = {key: _recorded(table, key) for key in table.recorded if key in columns and key != SITUATION}
    if SITUATION in columns:
        numbers[SITUATION] = np.where(situation < 0, np.nan, situation)
    if rounds is not None and "participant" in identities:
        _check_duplicates(table, game, identities["participant"], rounds, n)
    if not faults and not n.any():
        faults.add(f"{faults.source} holds no decisions: every count in column '{columns['n'].name}' is 0.")
    faults.raise_if_any()

    names = pd.Categorical.from_codes(game, categories=list(table.environments))
    roles, actions = _spelled(table, places, action)
    frame = pd.DataFrame({**identities, "game": names, "role": roles, "action": actions, "n": n})
    if rounds is not None:
        frame["round"] = rounds.astype(np.int64)
    frame = frame.assign(game_index=game, role_index=role, action_index=action, **numbers)
    row = np.flatnonzero(n > 0)
    return Rows(frame if n.all() else frame.iloc[row].reset_index(drop=True), row, int(n[moved].sum()))


def report_contradictions(table: OpenTable, rows: Rows, contradictions: Sequence[Contradiction]) -> None:
    """Raise an InputError that names the rows whose recorded numbers the game contradicts, and by how much."""
    for key in dict.fromkeys(c.column for c in contradictions):
        by_row = {int(rows.row[c.row]): c for c in contradictions if c.column == key}
        bad = np.zeros(table.size, bool)
        bad[list(by_row)] = True
        describe = lambda i, by_row=by_row: (
            f"{by_row[i].found:.6g} where the game makes it {by_row[i].expected:.6g} "
            f"(off by {abs(by_row[i].found - by_row[i].expected):.3g})"
        )
        largest = max(abs(c.found - c.expected) for c in by_row.values())
        name = table.columns[key].name if key in table.columns else key
        table.faults.note(
            repr(name),
            bad,
            "a number that the game contradicts",
            describe,
            "correct the rows, or accept larger differences with a larger tolerance (--tolerance, or "
            f"tolerance = … under [model] in dataset.toml; the largest difference is {largest:.3g}).",
        )
    table.faults.raise_if_any()


# One function a column: its canonical codes (-1 where there is a fault), faults noted.
def _game(table: OpenTable) -> Index:
    if "game" not in table.columns:
        return np.zeros(table.size, dtype=np.int64)
    names, column = list(table.environments), table.columns["game"]
    table.faults.missing("game", column, column.empty)
    code = {name: i for i, name in enumerate(names)}
    index = np.array([*(code.get(text, -1) for text in column.texts), -1], dtype=np.int64)[column.codes]
    table.faults.note(
        repr(column.name),
        (index < 0) & ~column.empty,
        "a game that is not known",
        lambda i: f"{column.text(i)!r}{closest(column.text(i), names)}",
        f"the games are {quoted(names)}: write one of these, or add it to the environments ([games] in dataset.toml).",
    )
    return index


def _role(table: OpenTable, game: Index) -> Index:
    if "role" not in table.columns:
        return np.zeros(table.size, dtype=np.int64)
    games, column = table.games, table.columns["role"]
    several = np.array([len(g.role_names) > 1 for g in games])
    # In a game with one role an empty cell is not a missing value.
    table.faults.missing("role", column, column.empty & several[game] & (game >= 0))
    codes = np.full((len(games) + 1, len(column.texts) + 1), -1, dtype=np.int64)
    for g, rules in enumerate(games):
        code = {name: i for i, name in enumerate(rules.role_names)}
        codes[g, :-1] = [code.get(text, -1) for text in column.texts]
        codes[g, -1] = -1 if several[g] else 0
    index = codes[game, column.codes]

    def advise(rows: Sequence[int]) -> str:
        names = list(table.environments)
        roles = [f"{names[g]!r} has {quoted(games[g].role_names)}" for g in dict.fromkeys(int(game[i]) for i in rows)]
        return f"game {', '.join(roles)}: write one of its roles."

    table.faults.note(
        repr(column.name),
        (index < 0) & ~column.empty & (game >= 0),
        "a role that its game does not have",
        lambda i: f"{column.text(i)!r}{closest(column.text(i), games[game[i]].role_names)}",
        advise,
    )
    return index


def _situation(table: OpenTable, game: Index, role: Index) -> Index:
    """-1 where the table says none. A situation is called by its name, or by its number where no name is a number."""
    index = np.full(table.size, -1, dtype=np.int64)
    if SITUATION not in table.columns:
        return index
    games, column = table.games, table.columns[SITUATION]
    names = lambda g, r: [name for name, _ in games[g].named_situations(int(r))]
    known = np.flatnonzero((game >= 0) & (role >= 0) & ~column.empty)
    wrong = np.zeros(table.size, bool)
    for rows in rows_by_key(known, game[known] * _widest(table) + role[known]):
        called = names(game[rows[0]], role[rows[0]])
        code = {name: i for i, name in enumerate(called)}
        if all(np.isnan(as_number(name)) for name in called):
            code |= {str(i): i for i in range(len(called))}
        index[rows] = np.array([code.get(text, -1) for text in column.texts])[column.codes[rows]]
        wrong[rows] = index[rows] < 0

    def advise(rows: Sequence[int]) -> str:
        pairs = dict.fromkeys((int(game[i]), int(role[i])) for i in rows)
        known = [f"{games[g].role_names[r]} has {quoted(names(g, r))}" for g, r in pairs]
        return f"{'; '.join(known)}: write one of these, or leave the cell empty if the player did not move."

    table.faults.note(
        repr(column.name),
        wrong,
        "a situation that its role does not have",
        lambda i: f"{column.text(i)!r}{closest(column.text(i), names(game[i], role[i]))}",
        advise,
    )
    return index


@dataclass(frozen=True, eq=False)
class _Place:
    """The rows of one game and role, and of one situation where the table names it."""

    name: str
    role: str
    situation: str
    grid: Grid
    rows: Index

    @property
    def words(self) -> str:
        where = f", {self.situation!r}" if self.situation else ""
        return f"{self.name!r}, {self.role!r}{where}: {grid_words(self.grid)}"


def _places(table: OpenTable, game: Index, role: Index, situation: Index) -> list[_Place]:
    """Of all rows of which game and role are known."""
    known = np.flatnonzero((game >= 0) & (role >= 0))
    key = (game[known] * _widest(table) + role[known]) * (2 + situation.max(initial=0)) + situation[known] + 1
    names, places = list(table.environments), []
    for rows in rows_by_key(known, key):
        g, r, s = int(game[rows[0]]), int(role[rows[0]]), int(situation[rows[0]])
        rules = table.games[g]
        where = rules.named_situations(r)[s][0] if s >= 0 else ""
        places.append(_Place(names[g], rules.role_names[r], where, grid_of(rules, r, s), rows))
    return places


def _widest(table: OpenTable) -> int:
    return 1 + max(len(g.role_names) for g in table.games)


def _action(table: OpenTable, places: Sequence[_Place], snap: bool) -> tuple[Index, Bool[np.ndarray, " rows"]]:
    """(index of the action, whether the value was moved to the grid)."""
    column = table.columns["action"]
    table.faults.missing("action", column, column.empty)
    index = np.full(table.size, -1, dtype=np.int64)
    moved, off = np.zeros((2, table.size), dtype=bool)
    for place in places:
        rows = place.rows[~column.empty[place.rows]]
        distinct, of_row = np.unique(column.codes[rows], return_inverse=True)
        match, snapped = match_actions(column, distinct, place.grid, snap)
        index[rows], moved[rows] = match[of_row], snapped[of_row]
        off[rows] = index[rows] < 0
    place_of = lambda i: next(p for p in places if np.isin(i, p.rows))

    def describe(i: int) -> str:
        number = column.numbers[column.codes[i]]
        return f"{column.text(i)!r}{suggestion(column.text(i), number, place_of(i).grid)}"

    def advise(rows: Sequence[int]) -> str:
        number = column.number()
        found = [p for p in places if np.isin(rows, p.rows).any()]
        between = any(is_between(float(number[i]), place_of(i).grid) for i in rows)
        fix = "write one of its labels or values"
        if between and not snap:
            fix += ", or ask for the nearest grid value (snap=True, --snap, or snap = true under [model] in "
            fix += "dataset.toml)"
        elif snap:
            fix += " (only values between two grid points can be snapped)"
        return f"the grid by game and role is {'; '.join(p.words for p in found)}: {fix}."

    table.faults.note(repr(column.name), off, "an action that is not on the grid", describe, advise)
    return index, moved


def _count(table: OpenTable) -> Index:
    if "n" not in table.columns:
        return np.ones(table.size, dtype=np.int64)
    what = "a count that is not a whole number of decisions"
    number, whole = _whole(table, "n", lambda x: x >= 0, what, "write 0, 1, 2, ... (how often the action was chosen).")
    return np.where(whole, number, 0).astype(np.int64)


def _round(table: OpenTable) -> Index | None:
    if "round" not in table.columns:
        return None
    what = "a round that is not a whole number from 0"
    number, whole = _whole(table, "round", lambda x: x >= 0, what, "number the rounds 1, 2, 3, ...")
    # Rounds that cannot be read get different numbers, so that they are not reported as duplicates too.
    return np.where(whole, number, -LARGEST - np.arange(table.size)).astype(np.int64)


def _whole(
    table: OpenTable,
    key: str,
    allowed: Callable[[Float[np.ndarray, " rows"]], Bool[np.ndarray, " rows"]],
    what: str,
    fix: str,
) -> tuple[Float[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
    """(the numbers of a column of whole numbers, whether each is one)."""
    column = table.columns[key]
    table.faults.missing(key, column, column.empty)
    number = column.number()
    whole = (number == np.floor(number)) & (number < LARGEST) & allowed(number)
    table.faults.note(repr(column.name), ~whole & ~column.empty, what, lambda i: repr(column.text(i)), fix)
    return number, whole


def _recorded(table: OpenTable, key: str) -> Float[np.ndarray, " rows"]:
    """Numbers that a game over time records; NaN where a cell is empty."""
    column = table.columns[key]
    number = column.number()
    bad = np.isnan(number) & ~column.empty
    table.faults.note(
        repr(column.name), bad, "no number", lambda i: repr(column.text(i)), "write a number or leave the cell empty."
    )
    return number


def _identity(table: OpenTable, key: str) -> pd.Categorical:
    column = table.columns[key]
    table.faults.missing(key, column, column.empty)
    order = natural_order(column.texts)
    return pd.Categorical.from_codes(ranks(order)[column.codes], categories=[column.texts[c] for c in order])


def _check_everybody_decided(table: OpenTable, n: Index) -> None:
    if "participant" not in table.columns or n.all():
        return
    who: Column = table.columns["participant"]
    decided = np.bincount(who.codes, n, minlength=len(who.texts)) > 0
    bad = np.zeros(table.size, bool)
    bad[first_rows(who.codes, len(who.texts))[~decided]] = True
    table.faults.note(
        repr(who.name),
        bad,
        "a participant without a decision (every count is 0)",
        lambda i: repr(who.text(i)),
        "remove the rows of people who did not decide, or correct their counts.",
    )


def _check_duplicates(table: OpenTable, game: Index, participant: pd.Categorical, rounds: Index, n: Index) -> None:
    """A person decides once a round: note rows that repeat (game, participant, round), rows with count 0 aside."""
    codes = participant.codes.astype(np.int64)
    rows = np.flatnonzero((codes >= 0) & (game >= 0) & (n > 0))
    first, of_row = unique_rows([game[rows], codes[rows], rounds[rows]])
    earlier = np.arange(table.size)
    earlier[rows] = rows[first][of_row]
    who, when, names = table.columns["participant"], table.columns["round"], list(table.environments)
    table.faults.note(
        f"{who.name!r} with {when.name!r}",
        earlier != np.arange(table.size),
        "a participant's round that an earlier row of the game already holds",
        lambda i: (
            f"{who.text(i)!r}, {when.text(i)!r} (game {names[game[i]]!r}, as on {table.faults.place(int(earlier[i]))})"
        ),
        "remove the repeated rows, or make participants distinct if their numbers start anew by group.",
    )


def _spelled(table: OpenTable, places: Sequence[_Place], action: Index) -> tuple[pd.Categorical, pd.Categorical]:
    """Names of roles and labels of actions, row by row."""
    roles, actions = spellings(table.games)
    role_code = {name: i for i, name in enumerate(roles)}
    action_code = {label: i for i, label in enumerate(actions)}
    role_codes, action_codes = np.zeros((2, table.size), dtype=np.int64)
    for place in places:
        role_codes[place.rows] = role_code[place.role]
        codes = np.array([action_code[label] for label in place.grid.labels])
        action_codes[place.rows] = codes[action[place.rows]]
    return (
        pd.Categorical.from_codes(role_codes, categories=roles),
        pd.Categorical.from_codes(action_codes, categories=actions),
    )
