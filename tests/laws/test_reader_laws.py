"""The laws of readers of registered data sets, on every registered reader: on its example, and on the real file.

A reader that is registered is tested by this table. What is expected comes from the file itself, read here with the
csv module and nothing of bayescal.
"""

import csv
import dataclasses
import gzip
import io
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from bayescal.errors import InputError
from bayescal.resources import resource_path
from bayescal.study import study_names
from bayescal.study.dataset import FILE, read_dataset
from bayescal.study.readers import READERS, Reader, Reading
from bayescal.table.columns import COLUMNS
from bayescal.table.decisions import Decisions

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
LARGE = 5_000  # rows; larger files are read once


@dataclass(frozen=True)
class File:
    """A file as text: what stands above the table, its header, and its rows with their lines."""

    name: str
    preface: tuple[str, ...]
    mark: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, name: str, text: str, columns: tuple[str, ...]) -> "File":
        lines = text.splitlines()
        for at, line in enumerate(lines):
            for mark in ",\t":
                if set(columns) <= {cell.strip() for cell in line.split(mark)}:
                    rows = [tuple(row) for row in csv.reader(lines[at + 1 :], delimiter=mark)]
                    return cls(name, tuple(lines[:at]), mark, tuple(c.strip() for c in line.split(mark)), tuple(rows))
        raise AssertionError(f"{name} has no header with {columns}")

    def line(self, row: int) -> int:
        return len(self.preface) + 2 + row

    def at(self, column: str) -> int:
        return self.header.index(column)

    def changed(self, row: int, column: str, cell: str) -> "File":
        rows = [list(r) for r in self.rows]
        rows[row][self.at(column)] = cell
        return dataclasses.replace(self, rows=tuple(map(tuple, rows)))

    def write(self, folder: Path) -> Path:
        out = io.StringIO()
        for line in self.preface:
            out.write(line + "\n")
        writer = csv.writer(out, delimiter=self.mark, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows)
        path = folder / self.name
        path.write_text(out.getvalue())
        return path


def example(reader: Reader) -> File:
    return File.parse("example.csv", reader.example, reader.columns)


def real_files() -> dict[str, Path]:
    """By reader, the file of the registered set that uses it."""
    sets = [read_dataset(resource_path("data", name) / FILE) for name in study_names()]
    return {s.reader: SHARED / s.external for s in sets if s.reader}


def real(name: str) -> File:
    path = real_files()[name]
    path = path if path.is_file() else path.with_name(path.name + ".gz")
    content = path.read_bytes()  # a missing file is an error: it is not skipped
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8-sig")
    return File.parse(path.name.removesuffix(".gz"), text, READERS[name].columns)


def read(reader: Reader, file: File, folder: Path) -> tuple[Reading, Decisions]:
    path = file.write(folder)
    reading = reader(path, {})
    return reading, Decisions.from_table(reading.table, reading.games, source=path.name, snap=True)


def by_person(decisions: Decisions) -> Counter:
    """What people did, whatever they are called: how many did each list of things."""
    table = decisions.table
    names = [c for c in table if c != "participant" and not c.endswith("_index")]
    done: dict[str, list[tuple[str, ...]]] = {}
    for who, *row in zip(table["participant"], *(table[c].astype(str) for c in names), strict=True):
        done.setdefault(who, []).append(tuple(row))
    return Counter(tuple(sorted(rows)) for rows in done.values())


# The laws.
def counts_add_up(reader: Reader, file: File, folder: Path) -> None:
    """Every cell of the file that is a decision is one, and points to its line."""
    cells = [row[file.at(c)].strip() for row in file.rows if any(row) for c in reader.decisions]
    reading, decisions = read(reader, file, folder)
    assert decisions.total == len([cell for cell in cells if cell])
    filled = [
        i for i, row in enumerate(file.rows) if any(row[file.at(c)].strip() for c in reader.decisions if any(row))
    ]
    assert set(reading.table.index.get_level_values(0)) == {file.line(i) for i in filled}


def columns_are_canonical(reader: Reader, file: File, folder: Path) -> None:
    """The table has the columns of Decisions, each once, and every game that it names is there."""
    table, games = reader(file.write(folder), {})
    assert len(set(table.columns)) == len(table.columns)
    assert {"participant", "action"} <= set(table.columns)
    recorded = {name for game in games.values() for name in game.columns if "(optional" not in game.columns[name]}
    assert recorded <= set(table.columns)
    assert table.index.names[0] == "line"
    assert set(map(str, table["game"])) <= set(games) if len(games) > 1 else len(games) == 1
    assert "n" not in table.columns or (table["n"] == 1).all()
    assert "n" in COLUMNS  # a row that is not one decision would say so there


def order_does_not_matter(reader: Reader, file: File, folder: Path) -> None:
    """The rows in another order are the same decisions of the same people."""
    rows = list(file.rows)
    random.Random(1).shuffle(rows)
    (folder / "shuffled").mkdir(exist_ok=True)
    shuffled = read(reader, dataclasses.replace(file, rows=tuple(rows)), folder / "shuffled")[1]
    assert by_person(read(reader, file, folder)[1]) == by_person(shuffled)


def a_missing_column_is_named(reader: Reader, file: File, folder: Path) -> None:
    for column in reader.columns:
        at = file.at(column)
        cut = lambda row, at=at: row[:at] + row[at + 1 :]
        broken = dataclasses.replace(file, header=cut(file.header), rows=tuple(map(cut, file.rows)))
        said = refusal(reader, broken, folder)
        assert file.name in said and repr(column) in said, (column, said)


def faults_name_their_place(reader: Reader, file: File, folder: Path) -> None:
    """A cell that cannot be read is refused with file, line and column; so is an empty cell."""
    row = min(len(file.rows) // 2, 100)
    for column in reader.columns:
        for cell in ("?!", " ") if column not in reader.labels else (" ",):
            said = refusal(reader, file.changed(row, column, cell), folder)
            assert file.name in said and "column" in said and f"line {file.line(row)}" in said, (column, cell, said)


def a_cut_row_is_named(reader: Reader, file: File, folder: Path) -> None:
    rows = list(file.rows)
    rows[-1] = rows[-1][:-1]
    said = refusal(reader, dataclasses.replace(file, rows=tuple(rows)), folder)
    assert file.name in said and f"line {file.line(len(rows) - 1)}" in said


def refusal(reader: Reader, file: File, folder: Path) -> str:
    try:
        read(reader, file, folder)
    except InputError as error:
        return str(error)
    raise AssertionError(f"{file.name} was read without a fault")


LAWS = (
    counts_add_up,
    columns_are_canonical,
    order_does_not_matter,
    a_missing_column_is_named,
    faults_name_their_place,
    a_cut_row_is_named,
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", READERS)
def test_law_on_the_example(name, law, tmp_path):
    law(READERS[name], example(READERS[name]), tmp_path)


@pytest.fixture(scope="module")
def files() -> dict[str, File]:
    return {name: real(name) for name in real_files()}


@pytest.mark.parametrize("name", sorted(real_files()))
def test_laws_on_the_real_file(name, files, tmp_path):
    file = files[name]
    counts_add_up(READERS[name], file, tmp_path)
    if len(file.rows) <= LARGE:
        order_does_not_matter(READERS[name], file, tmp_path)


def test_every_registered_set_has_a_reader_and_every_reader_a_set():
    assert set(real_files()) == set(READERS)


# Each law catches a reader that breaks it.
GOOD = READERS["beauty-contest-mturk"]


def broken(change) -> Reader:
    """A reader whose table is changed after it was read."""

    def altered(path, options):
        table, games = GOOD.read(path, options)
        return Reading(change(table), games)

    return dataclasses.replace(GOOD, read=altered)


def forgiving(path, options) -> Reading:
    """A reader that leaves out what it cannot read."""
    lines = path.read_text().splitlines()
    full = [line for line in lines if all(cell.strip() not in ("", "?!") for cell in line.split(","))]
    path.write_text("\n".join(line for line in full if line.count(",") == lines[0].count(",")) + "\n")
    return GOOD.read(path, options)


def silent(path, options) -> Reading:
    raise InputError("This file cannot be read.")


BROKEN = {
    "drops a row": (counts_add_up, broken(lambda table: table.iloc[:-1])),
    "repeats a row in another round": (
        counts_add_up,
        broken(lambda table: table.iloc[[*range(len(table)), 0]].assign(round=range(len(table) + 1))),
    ),
    "forgets the lines": (columns_are_canonical, broken(lambda table: table.reset_index(drop=True))),
    "counts lines from 0": (counts_add_up, broken(lambda table: table.set_axis(table.index - 2))),
    "names another game": (columns_are_canonical, broken(lambda table: table.assign(game="chess"))),
    "has no people": (columns_are_canonical, broken(lambda table: table.drop(columns="participant"))),
    "numbers rounds by row": (
        order_does_not_matter,
        broken(lambda table: table.assign(round=range(len(table)))),
    ),
    "refuses without a reason": (a_missing_column_is_named, dataclasses.replace(GOOD, read=silent)),
    "leaves out what it cannot read": (faults_name_their_place, dataclasses.replace(GOOD, read=forgiving)),
    "leaves out a cut row": (a_cut_row_is_named, dataclasses.replace(GOOD, read=forgiving)),
    "does not say where": (faults_name_their_place, broken(lambda table: table.reset_index(drop=True))),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_reader_is_caught(kind, tmp_path):
    law, reader = BROKEN[kind]
    with pytest.raises(AssertionError):
        law(reader, example(GOOD), tmp_path)
