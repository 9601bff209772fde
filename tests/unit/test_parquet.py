"""Decisions from Parquet files: what is read, what is refused, and how large a table may be."""

import resource
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toys import GAMES, REQUEST, people_table, table

from bayescal.errors import InputError
from bayescal.table.decisions import Decisions
from bayescal.table.files import read_table

ACTIONS = {"action": [11, 20, 15]}


def write(folder: Path, columns: dict, name: str = "choices.parquet") -> Path:
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


def refusal(path: Path, **kwargs) -> str:
    with pytest.raises(InputError) as error:
        Decisions.from_parquet(path, {"request": REQUEST}, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("suffix", [".parquet", ".pq", ".PARQUET"])
def test_a_table_is_the_same_in_either_kind_of_file(tmp_path, suffix):
    people_table().to_parquet(tmp_path / f"t{suffix}")
    people_table().to_csv(tmp_path / "t.csv", index=False)
    names = ("treatment", "age")
    a = Decisions.from_parquet(tmp_path / f"t{suffix}", GAMES, covariates=names)
    b = Decisions.from_table(read_table(tmp_path / f"t{suffix}"), GAMES, covariates=names)
    c = Decisions.from_table(read_table(tmp_path / "t.csv"), GAMES, covariates=names)
    assert a.data_hash == b.data_hash == c.data_hash
    pd.testing.assert_frame_equal(a.table, c.table)
    pd.testing.assert_frame_equal(a.people, c.people)


FINE = {
    "small": pa.array([11, 20, 15], pa.int8()),
    "unsigned": pa.array([11, 20, 15], pa.uint64()),
    "single": pa.array([11, 20, 15], pa.float32()),
    "text": pa.array(["11", "20 ", "15"]),
    "long text": pa.array(["11", "20 ", "15"], pa.large_string()),
    "text seen": pa.array(["11", "20 ", "15"], pa.string_view()),
    "dictionary": pa.array(["11", "20", "15"]).dictionary_encode(),
    "numbered dictionary": pa.array([11, 20, 15]).dictionary_encode(),
}


@pytest.mark.parametrize("kind", FINE)
def test_numbers_and_texts_of_every_width_are_read(tmp_path, kind):
    d = Decisions.from_parquet(write(tmp_path, {"action": FINE[kind]}), {"request": REQUEST})
    assert d.counts[0, [0, 4, 9]].tolist() == [1, 1, 1]


def test_booleans_are_zero_and_one(tmp_path):
    path = write(tmp_path, {"action": [True, False, True], "role": ["row"] * 3})
    assert Decisions.from_parquet(path, {"pennies": GAMES["pennies"]}).counts.tolist() == [[1, 2]]


def test_long_numbers_of_people_are_whole_although_some_rows_have_none(tmp_path):
    long = 2**60 + 1  # a float would make it 2**60
    path = write(tmp_path, ACTIONS | {"participant": [long, None, long]})
    assert "row 1" in refusal(path)
    people = Decisions.from_parquet(write(tmp_path, ACTIONS | {"participant": [long] * 3}), {"request": REQUEST})
    assert people.levels("participant") == (str(long),)


EMPTY = {
    "whole": pa.array([11, None, 15]),
    "float": pa.array([11.0, None, 15.0]),
    "text": pa.array(["11", None, "15"]),
    "dictionary": pa.array(["11", None, "15"]).dictionary_encode(),
    "boolean": pa.array([True, None, False]),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_a_cell_without_a_value_is_named_by_its_row(tmp_path, kind):
    said = refusal(write(tmp_path, {"action": EMPTY[kind]}))
    assert "choices.parquet, column 'action'" in said
    assert "no value: row 1;" in said


OTHER = {
    "list": ([[1], [2], [3]], "list<"),
    "struct": ([{"a": 1}] * 3, "struct<"),
    "bytes": ([b"11"] * 3, "binary"),
    "time": ([datetime(2024, 1, 1)] * 3, "timestamp"),
    "decimal": (pa.array([1, 2, 3], pa.decimal128(5, 2)), "decimal"),
}


@pytest.mark.parametrize("kind", OTHER)
def test_columns_of_other_types_are_named_with_their_type(tmp_path, kind):
    cells, found = OTHER[kind]
    path = write(tmp_path, ACTIONS | {"participant": cells, "time": cells})
    said = refusal(path)
    assert f"choices.parquet, column 'participant': its cells are of type {found}" in said
    assert "'time'" not in said  # nobody needs it
    assert "column 'time'" in refusal(path, columns={"group": "time"})
    free = write(tmp_path, ACTIONS | {"time": cells})
    assert Decisions.from_parquet(free, {"request": REQUEST}).total == 3


@pytest.mark.parametrize("cell", [[1], {"a": 1}, b"1", pd.Timestamp("2024-01-01"), 1j])
def test_the_same_is_said_of_a_data_frame(cell):
    frame = pd.DataFrame({"action": pd.Series([cell] * 3)})
    with pytest.raises(InputError, match="column 'action': its cells are of type"):
        Decisions.from_table(frame, {"request": REQUEST})


def test_arrow_columns_of_a_data_frame_are_as_good():
    frame = table().convert_dtypes(dtype_backend="pyarrow")
    assert Decisions.from_table(frame, GAMES).data_hash == Decisions.from_table(table(), GAMES).data_hash


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    path = tmp_path / "choices.parquet"
    path.write_text("action\n11\n")
    assert "choices.parquet is not a Parquet file" in refusal(path)
    assert "No such file" in refusal(tmp_path / "none.parquet")
    whole = write(tmp_path, ACTIONS).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is not a Parquet file" in refusal(path)


def test_without_pyarrow_a_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    path = write(tmp_path, ACTIONS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'bayescal[parquet]'" in refusal(path)


def test_a_million_rows_take_bounded_time_and_memory(tmp_path):
    rows = 1_000_000
    rng = np.random.default_rng(0)
    market = pd.DataFrame({"participant": np.arange(rows) // 100, "action": rng.integers(0, 31, rows) / 10})
    market.to_parquet(tmp_path / "large.parquet")
    code = f"""
import resource, sys
from dataclasses import dataclass
sys.path.insert(0, {str(Path(__file__).parent)!r})
from bayescal.table.decisions import Decisions
from toys import MARKET
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
d = Decisions.from_parquet({str(tmp_path / "large.parquet")!r}, {{"market": MARKET}})
assert d.counts.sum(axis=1).tolist() == [100] * 10_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begun
    assert seconds < 20  # of a core, imports too: 3 when measured
    assert int(done.stdout) < 400 * 1024  # kB: a fortieth of it is the file
