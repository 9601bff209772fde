"""Mutations of valid files, as Hypothesis strategies: of the structure of JSON and TOML, and of bytes."""

import json
import math
import os
from collections import Counter
from copy import deepcopy
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bayescal.errors import InputError

DEEP = [[[0]]]
for _ in range(150):
    DEEP = [DEEP]
ODD = (
    None, True, False, -1, 0, 1, 2, 3, 0.5, -0.0, 1e308, 1e-320, 2**63, 10**40, 10**400, -(10**400), math.nan, math.inf,
    -math.inf, "", " ", "a", "ab", "1", "NaN", "true", "\x00", "a\x00b", "a\u202eb", "\x1b[31m", "[/]", "$x$", "\ud800",
    "x" * 3000, "/etc/passwd", "../..", "/dev/zero", "*", "{participant}", [], {}, [[]], [{}], {"a": 1}, [1, 2],
    ["a", "b"], [1, "a"], [[1, 2], [3]], DEEP, "1e999",
)  # fmt: skip


class Pairs(list):
    """A section in which a key may stand twice."""


def mutable(content):
    """Dictionaries as lists of pairs, which can be changed in place."""
    if isinstance(content, dict):
        return Pairs([k, mutable(v)] for k, v in content.items())
    return [mutable(x) for x in content] if isinstance(content, list) else content


def places(content):
    """(container, index) of everything inside."""
    for i, entry in enumerate(content):
        yield content, i
        inner = entry[1] if isinstance(content, Pairs) else entry
        if isinstance(inner, list):
            yield from places(inner)


@st.composite
def mutated(draw, content):
    """A valid content with one to three changes: entries deleted, repeated, renamed, replaced or swapped."""
    content = mutable(content)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(content))
        if not found:
            break
        container, i = found[draw(st.integers(0, len(found) - 1))]
        change = draw(st.sampled_from(("replace", "replace", "replace", "delete", "repeat", "rename", "swap")))
        if change == "delete":
            del container[i]
        elif change == "repeat":
            container.insert(i, deepcopy(container[i]))
        elif change == "swap":
            other, j = found[draw(st.integers(0, len(found) - 1))]
            if isinstance(other, Pairs) == isinstance(container, Pairs) and not _holds(container[i], other):
                container[i] = deepcopy(other[j])
        elif change == "rename" and isinstance(container, Pairs):
            names = ("", "x", "a\x00", "\u202e", "name", f"{container[i][0]}s", str(container[i][0])[:-1])
            container[i] = [draw(st.sampled_from(names)), container[i][1]]
        else:
            odd = mutable(draw(st.sampled_from(ODD)))
            container[i] = [container[i][0], odd] if isinstance(container, Pairs) else odd
    return content


def _holds(entry, container):
    """Whether a swap would put something into itself."""
    inner = [entry]
    while inner:
        x = inner.pop()
        if x is container:
            return True
        inner += [y for y in x if isinstance(y, list)] if isinstance(x, list) else []
    return False


def to_json(content):
    if isinstance(content, Pairs):
        return "{" + ", ".join(f"{json.dumps(str(k))}: {to_json(v)}" for k, v in content) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(map(to_json, content)) + "]"
    return _whole(content) if isinstance(content, int) else json.dumps(content)


def to_toml(content):
    """Sections, whose values are written in a line each."""
    lines = []
    for name, section in content:
        if isinstance(section, Pairs):
            lines.append(f"[{json.dumps(str(name))}]")
            lines += [f"{json.dumps(str(k))} = {_toml(v)}" for k, v in section]
        else:
            lines.insert(0, f"{json.dumps(str(name))} = {_toml(section)}")
    return "\n".join(lines) + "\n"


def _toml(value):
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if value is None:
        return '"null"'
    if isinstance(value, float):
        return repr(value)
    return _whole(value) if isinstance(value, int) else json.dumps(value)


def _whole(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


@st.composite
def damaged(draw, raw):
    """Bytes with one to three changes: flipped, cut, repeated, replaced."""
    raw = bytearray(raw)
    for _ in range(draw(st.integers(1, 3))):
        if not raw:
            break
        at = draw(st.integers(0, len(raw) - 1))
        change = draw(st.sampled_from(("flip", "flip", "cut", "zero", "insert", "repeat")))
        if change == "flip":
            raw[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del raw[at:]
        elif change == "zero":
            raw[at : at + 8] = bytes(8)
        elif change == "insert":
            raw[at:at] = draw(st.binary(min_size=1, max_size=8))
        else:
            raw[at:at] = raw[at : at + 64]
    return bytes(raw)


def explore(strategy, open_it, inputs, places=None):
    """Every input opens, or is refused with one sentence; returns how many did which.

    Args:
        open_it: a function of an input.
        inputs: how many; the environment variable BAYESCAL_FUZZ replaces it, for long runs by hand.
        places: count exceptions by their place rather than fail.
    """
    seen = Counter()

    @settings(
        max_examples=int(os.environ.get("BAYESCAL_FUZZ", inputs)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(strategy)
    def one(value):
        try:
            open_it(value)
            seen["opened"] += 1
        except InputError as error:
            said = str(error)
            assert said.strip() and "\n" not in said and "Traceback" not in said, said
            seen["refused"] += 1
        except Exception as error:
            if places is None:
                raise
            seen["failed"] += 1
            places[place_of(error)] += 1

    one()
    return seen


def place_of(error):
    """The last line of ours that an exception passed."""
    at, ours = error.__traceback__, None
    while at is not None:
        name = at.tb_frame.f_code.co_filename
        if "/bayescal/" in name and "site-packages" not in name:
            ours = f"{Path(name).name}:{at.tb_lineno}"
        at = at.tb_next
    return f"{ours} {type(error).__name__}: {str(error)[:80]!r}"
