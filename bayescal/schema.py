"""What a value in a file may be: small tests that are put together, and that name every offender.

A test is a function of a value and of its place; it yields a sentence for each fault.

Example:
    >>> from bayescal import schema
    >>> point = schema.record({"x": schema.number}, {"label": schema.text})
    >>> list(point({"x": True, "lable": "a"}, ""))
    ['x is True, where a number is needed', "there is no key 'lable' (did you mean 'label'?)"]
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping

from bayescal.errors import InputError
from bayescal.plain import joined

type Faults = Iterator[str]
type Test = Callable[[object, str], Faults]


def check(content: object, test: Test, where: str, advice: str) -> None:
    """An InputError that names every fault.

    Args:
        where: the file.
        advice: what to do about it.
    """
    faults = list(test(content, ""))
    if faults:
        raise InputError(f"{where}: {joined(faults)}: {advice}.")


def that(holds: Callable[[object], bool], words: str) -> Test:
    """A test of one value, and what must be there in words: "a number"."""

    def test(value: object, place: str) -> Iterator[str]:
        if not holds(value):
            yield f"{place or 'the content'} is {_shown(value)}, where {words} is needed"

    return test


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and _is_number(value) and abs(value) <= 1e308


number = that(_is_finite, "a number")
any_number = that(_is_number, "a number")  # NaN and infinity too
whole = that(lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number")
count = that(
    lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53, "a whole number from 0"
)
text = that(lambda value: isinstance(value, str), "a text")
flag = that(lambda value: isinstance(value, bool), "true or false")
sha256 = that(lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value)), "a sha256")
section = that(lambda value: isinstance(value, dict), "a section")
anything = that(lambda value: True, "anything")


def one_of(choices: Collection[object]) -> Test:
    return that(
        lambda value: any(value is c or (type(value) is type(c) and value == c) for c in choices), _words(choices)
    )


def maybe(test: Test) -> Test:
    """The value, or null."""
    return lambda value, place: iter(()) if value is None else test(value, place)


def either(words: str, *tests: Test) -> Test:
    return that(lambda value: any(not list(test(value, "")) for test in tests), words)


def list_of(test: Test, length: int | None = None) -> Test:
    def lists(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, list | tuple) or (length is not None and len(value) != length):
            wanted = "a list" if length is None else f"a list of {length}"
            yield f"{place or 'the content'} is {_shown(value)}, where {wanted} is needed"
            return
        for i, one in enumerate(value):
            yield from test(one, f"{place}[{i}]")

    return lists


def map_of(test: Test) -> Test:
    """A section with any keys."""

    def maps(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, Mapping):
            yield f"{place or 'the content'} is {_shown(value)}, where a section is needed"
            return
        for name, one in value.items():
            yield from test(one, _below(place, name))

    return maps


def record(needed: Mapping[str, Test], known: Mapping[str, Test] | None = None, *, others: bool = False) -> Test:
    """A section with these keys.

    Args:
        known: keys that may be left out.
        others: allow further keys.
    """
    fields = {**needed, **(known or {})}

    def records(value: object, place: str) -> Iterator[str]:
        if not isinstance(value, Mapping):
            names = ", ".join(needed or fields)
            yield f"{place or 'the content'} is {_shown(value)}, where a section with {names} is needed"
            return
        for name in needed:
            if name not in value:
                yield f"{_below(place, name)} is missing"
        for name, one in value.items():
            if name in fields:
                yield from fields[str(name)](one, _below(place, name))
            elif not others:
                yield f"there is no key {_below(place, name)!r}{hint(str(name), fields)}"

    return records


def hint(name: str, known: Collection[str]) -> str:
    """` (did you mean 'x'?)`, or which names there are."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f" (there are {', '.join(known)})"


def _below(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _words(choices: Collection[object]) -> str:
    return f"one of {', '.join(map(repr, choices))}"


def _shown(value: object) -> str:
    """A value in a message; a long one is cut."""
    try:
        shown = repr(value)
    except (RecursionError, ValueError):  # nested without end, or a whole number of thousands of digits
        shown = f"a {type(value).__name__}"
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
