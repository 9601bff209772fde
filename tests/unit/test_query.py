"""The language of `--where`: what it selects, against masks written in NumPy, and what it refuses, with the place."""

import numpy as np
import pandas as pd
import pytest

from bayescal.errors import InputError
from bayescal.table.query import select_rows

GROUP, ROUND = np.array([1, 2, 3, 4]), np.array([1, 2, 3, 4])
X = np.array([1.5, np.nan, 2.0, -3.0])
WHO, LATE = np.array(["a", "007", "b", "c d"]), np.array(["yes", "no", "yes", ""])
TABLE = pd.DataFrame(
    {"group": ["1", "2", "3", "4"], "round": ROUND, "who": WHO, "late": LATE, "group size": ["2", "2", "3", "3"],
     "flag": ["true", "FALSE", "True", "False"], "x": ["1.5", "", "2", "-3"]},
    index=[10, 11, 12, 13],
)  # fmt: skip


@pytest.mark.parametrize(
    ("where", "mask"),
    [
        ("group in [1, 2, 3]", GROUP <= 3),
        ("group == 1 or round > 3", (GROUP == 1) | (ROUND > 3)),
        ("group == 4 or group == 1 and round == 2", GROUP == 4),  # `and` binds closer
        ("(group == 4 or group == 1) and round == 4", GROUP == 4),
        ("not (group == 1)", GROUP != 1),
        ("not group == 1 and round < 4", (GROUP != 1) & (ROUND < 4)),
        ("1 < round <= 3", (ROUND > 1) & (ROUND <= 3)),
        ("who == '007'", WHO == "007"),
        ("who in ('a', \"b\",)", np.isin(WHO, ["a", "b"])),
        ("who == 'c d' or who == \"a\"", np.isin(WHO, ["c d", "a"])),
        ("`group size` == 3", GROUP >= 3),
        ("flag == true", np.array([True, False, True, False])),
        ("x < 0", X < 0),
        ("x != 2", X != 2),
        ("x > -1e1", X > -10),
        ("late == 'yes' & round < 3", (LATE == "yes") & (ROUND < 3)),
        ("~(late == 'yes') | round == 1", (LATE != "yes") | (ROUND == 1)),
        ("group == [1, 4]", np.isin(GROUP, [1, 4])),
        ("group not in [1]", GROUP != 1),
        ("group == round", GROUP == ROUND),
        ("-3 == x", X == -3),
    ],
)
def test_rows(where, mask):
    pd.testing.assert_frame_equal(select_rows(TABLE, where, "t.csv"), TABLE[mask])


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("@pd.io.common.os.system('true') == 0", "character 1"),
        ("who.to_pickle('x')", r"character 4\): this cannot be part of a condition"),
        ("round", "at its end .* a comparison is expected"),
        ("round ==", "a column, a number or a text in quotes is expected"),
        ("round == 'a'", "column 'round' holds numbers and is compared with 'a'"),
        ("who == 7", "column 'who' holds texts and is compared with 7"),
        ("who in ['a', 7]", "column 'who' holds texts and is compared with 7"),
        ("nope == 1", r"t.csv has no column 'nope'; its columns are group, round, who"),
        ("(round == 1", "a bracket is not closed"),
        ("round == 1)", r"character 11\): this is not expected here"),
        ("round in 1", 'after "in" a list is expected'),
        ("round in [group]", "a number or a text in quotes is expected"),
        ("round + 1 == 2", r"character 7\)"),
        ("round == 10**400", r"character 12\)"),
        ("not " * 60 + "round == 1", "more than 50 deep"),
        ("(" * 100_000 + "round == 1", "more than 50 deep"),
        ("", "at its end"),
        ("not round", "a comparison is expected"),
        ("__import__('os').system('true') == 0", r"character 17\): this cannot be part"),
        ("a\x00b == 1", r"character 2\)"),
        ("round == 9", "holds for no row of t.csv"),
        ("x == 1e999", "holds for no row of t.csv"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(where, what):
    with pytest.raises(InputError, match=what):
        select_rows(TABLE, where, "t.csv")
