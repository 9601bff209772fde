"""Files that somebody else may have written: ordinary files up to a size, gzip that is no bomb, and strict JSON.

Every fault is an `InputError` that names the file. `BAYESCAL_MOST_BYTES` replaces all limits on sizes.
"""

import gzip
import io
import json
import math
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bayescal.errors import InputError
from bayescal.plain import joined

MOST_BYTES = "BAYESCAL_MOST_BYTES"
TABLE_BYTES = 2**30  # of a table, uncompressed, and of other files of numbers
TEXT_BYTES = 2**26  # of JSON and TOML
GZIP = b"\x1f\x8b"  # how a compressed file begins
_RATIO = 250  # times that gzip makes ordinary tables smaller, at most
_SMALL = 2**25  # bytes; below it any ratio is harmless
_DEEPEST = 100  # lists in lists
_DIGITS = 400  # of a whole number; a float has at most 309

# Control characters but tab and line breaks; marks that change the direction of writing, with which a name can look
# like another; halves of characters, which cannot be written in UTF-8.
_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def limit(default: int) -> int:
    """The largest size in bytes: `default`, or what the user's environment says."""
    given = os.environ.get(MOST_BYTES, "")
    if not given:
        return default
    try:
        most = int(float(given))
    except (ValueError, OverflowError):
        most = 0
    if most <= 0:
        raise InputError(f"The environment variable {MOST_BYTES} is {given!r}: give a number of bytes, such as 4e9.")
    return most


def refuse_larger(size: int, default: int, where: str) -> None:
    """An InputError if something has more bytes than the limit."""
    most = limit(default)
    if size > most:
        raise InputError(
            f"{where} has {size:,} bytes, which is more than the limit of {most:,}: if you trust it, set the "
            f"environment variable {MOST_BYTES} to a larger number."
        )


def refuse_special(path: Path) -> None:
    """An InputError if a path is no ordinary file: a folder, a device, a pipe, or no path at all. Links are followed.

    Raises:
        OSError: there is no such file, or it may not be seen.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:  # a NUL character
        raise InputError(f"{str(path)!r} is no path: write the name of a file.") from None
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise InputError(f"{path} cannot be read: it is {what}, where an ordinary file is needed.")


def read_bytes(path: Path, default: int = TABLE_BYTES) -> bytes:
    """The content of an ordinary file.

    Args:
        default: the largest size, unless the user says another.

    Raises:
        InputError: it is no ordinary file, or too large.
        OSError: it cannot be read; callers know what to advise.
    """
    refuse_special(path)
    most = limit(default)
    # Opened so that it would not wait for a writer if the file were replaced by a pipe in between.
    with os.fdopen(
        os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb"
    ) as file:
        content = file.read(most + 1)
        size = max(len(content), os.fstat(file.fileno()).st_size)
    refuse_larger(size, default, str(path))
    return content


def decompress(content: bytes, where: str, default: int = TABLE_BYTES) -> bytes:
    """The content of a gzip file; other content as it is.

    Raises:
        InputError: it is damaged or cut short, or becomes too large: a few bytes can become many (a "gzip bomb").
    """
    if content[:2] != GZIP:
        return content
    most, parts, size = limit(default), [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            while part := file.read(2**22):
                parts.append(part)
                size += len(part)
                if size > most or (size > max(_SMALL, _RATIO * len(content)) and MOST_BYTES not in os.environ):
                    raise InputError(
                        f"{where} has {len(content):,} bytes and becomes more than {size - len(part):,} when it is "
                        f"decompressed: if you trust it, set the environment variable {MOST_BYTES} to a larger number."
                    )
    except (OSError, EOFError, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{where} is a damaged gzip file ({reason.rstrip('.')}): get it again.") from None
    return b"".join(parts)


def read_json(path: Path, shape: str) -> Any:
    """The content of a JSON file.

    Args:
        shape: what the file should hold, for messages: "a game file is {…}".

    Raises:
        InputError: the file cannot be read, is too large, or is not the JSON that `parse_json` takes.
    """
    try:
        content = read_bytes(path, TEXT_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; {shape}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {shape}.") from None
    return parse_json(content, str(path), shape)


def parse_json(content: bytes | str, where: str, shape: str, *, finite: bool = True) -> Any:
    """JSON with one meaning: keys once, numbers finite, no deep nesting, no invisible characters.

    Args:
        finite: refuse NaN and Infinity, which Python writes but JSON does not have.

    Raises:
        InputError: every fault, with line and column where they are known.
    """
    faults: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            names = [name for name, _ in items]
            faults.extend(f"the key {name!r} is there twice" for name in found if names.count(name) > 1)
        return found

    def whole(text: str) -> int:
        number = int(text) if len(text) <= _DIGITS else None
        if number is None or abs(number) > 1e308:
            faults.append(f"the number {text[:12]}… is too large")
        return number or 0

    def real(text: str) -> float:
        number = float(text)
        if finite and not math.isfinite(number):
            faults.append(f"{text[:12]} is not a finite number")
        return number

    try:
        text = content if isinstance(content, str) else content.decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=pairs, parse_int=whole, parse_float=real, parse_constant=real)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}, {place}: this is not JSON ({error.msg}); {shape}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: this is not JSON (byte {error.start + 1} is not UTF-8 text); {shape}.") from None
    except RecursionError:
        raise InputError(f"{where}: lists are nested more than {_DEEPEST} deep; {shape}.") from None
    faults += odd_content(found)
    if faults:
        raise InputError(f"{where}: {joined(faults)}; {shape}.")
    return found


def odd_content(content: object) -> Iterator[str]:
    """What no file of ours holds: invisible characters in texts, and lists in more than a hundred others."""
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            yield f"lists are nested more than {_DEEPEST} deep"
            return
        if isinstance(value, str):
            if odd := odd_character(value):
                yield odd
        elif isinstance(value, list):
            waiting += [(x, depth + 1) for x in value]
        elif isinstance(value, dict):
            waiting += [(x, depth + 1) for pair in value.items() for x in pair]


def odd_character(text: str) -> str:
    """`'a\\x00b' holds an invisible character, U+0000` if it does, else ""."""
    found = _ODD.search(text)
    if found is None:
        return ""
    # Only what is printed without doing anything: a message with the character itself would be as misleading.
    shown = (text if len(text) <= 40 else f"{text[:40]}…").encode("ascii", "backslashreplace").decode()
    return f"{shown!r} holds an invisible character, U+{ord(found[0]):04X}".replace("\\\\", "\\")
