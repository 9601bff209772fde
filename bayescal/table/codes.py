"""Integer codes: rows that are equal, where a label first appears, rows split by a key."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Int

Codes = Int[np.ndarray, " rows"]


def unique_rows(keys: Sequence[Codes]) -> tuple[Int[np.ndarray, " groups"], Codes]:
    """The first row of each distinct combination, in sorted order, and the combination of each row."""
    if not len(keys[0]):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    key = np.zeros(len(keys[0]), dtype=np.int64)
    for values in keys:
        values = values.astype(np.int64)
        low, high = int(values.min()), int(values.max())
        if high - low >= 2**31:  # far apart: number the distinct values, so that the combined key cannot overflow
            values = np.unique(values, return_inverse=True)[1]
            low, high = 0, int(values.max())
        if int(key.max()) * (high - low + 1) >= 2**62:
            key = np.unique(key, return_inverse=True)[1]
        key = key * (high - low + 1) + (values - low)
    _, first, of_row = np.unique(key, return_index=True, return_inverse=True)
    return first, of_row


def first_rows(codes: Codes, labels: int) -> Int[np.ndarray, " labels"]:
    """The first row that holds each label."""
    first = np.zeros(labels, dtype=np.int64)
    known = codes[::-1] >= 0
    first[codes[::-1][known]] = np.arange(len(codes))[::-1][known]  # the last assignment is the first row
    return first


def rows_by_key(rows: Codes, key: Codes) -> list[Int[np.ndarray, " _"]]:
    """The rows of each distinct key."""
    order = np.argsort(key, kind="stable")
    ends = [0, *(np.flatnonzero(np.diff(key[order])) + 1), len(rows)]
    return [rows[order[a:b]] for a, b in pairwise(ends) if b > a]


def natural_order(texts: Sequence[str]) -> list[int]:
    """The order that sorts whole numbers by size, then everything else by spelling."""
    return sorted(range(len(texts)), key=lambda code: _natural(texts[code]))


def _natural(text: str) -> tuple[bool, int, str, str]:
    """Numbers of any length by their digits, since Python refuses to read those of thousands of digits."""
    whole = text.isascii() and text.isdigit()
    digits = text.lstrip("0") if whole else ""
    return (not whole, len(digits), digits, text)


def ranks(order: Sequence[int] | Int[np.ndarray, " texts"]) -> Int[np.ndarray, " codes"]:
    """The place of each code in an order; -1 (a missing cell) stays -1."""
    rank = np.full(len(order) + 1, -1, dtype=np.int64)
    rank[np.asarray(order, dtype=np.int64)] = np.arange(len(order))
    return rank
