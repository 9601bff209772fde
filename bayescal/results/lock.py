"""The lock of a results folder: a file that names the run which writes there."""

import contextlib
import errno
import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from platform import node

from bayescal.errors import InputError
from bayescal.files import remove, temporary_in, write_new
from bayescal.owner import Owner, State, this_process

LOCK = ".bayescal.lock"


@dataclass(frozen=True)
class Holder:
    """Who holds a folder."""

    machine: str
    pid: int
    started: str
    host: str
    since: str
    command: str

    @property
    def state(self) -> State:
        return Owner(self.machine, self.pid, self.started).state

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}: {self.command}"


@contextmanager
def locked(folder: Path, command: str) -> Generator[None]:
    """Hold a folder. The lock of a process that has ended is taken over.

    Raises:
        InputError: another run holds it; the sentence says which.
    """
    owner = this_process()
    since = datetime.now().astimezone().isoformat(" ", timespec="seconds")
    mine = Holder(owner.machine, owner.pid, owner.started, node(), since, command)
    while not _take(folder, mine):
        other = holder(folder)
        if other is not None and other.state is not State.ENDED:
            raise InputError(f"{folder}: another run writes there ({other}); {_advice(folder, other)}.")
        _clear(folder, other)
    try:
        yield
    finally:
        if holder(folder) == mine:
            remove(folder / LOCK)


def _advice(folder: Path, other: Holder) -> str:
    if other.state is State.UNKNOWN:
        return f"if that run has ended, delete {folder / LOCK}; otherwise wait for it, or give another folder"
    return "wait for it, or give another folder"


def holder(folder: Path) -> Holder | None:
    """Who holds a folder; None if nobody does, or if the lock is damaged."""
    return _read(folder / LOCK)


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _take(folder: Path, mine: Holder) -> bool:
    """Whether this process got the lock. It appears with its content, so that nobody reads half of it."""
    temporary, content = temporary_in(folder), json.dumps(asdict(mine)).encode()
    write_new(temporary, content)
    try:
        os.link(temporary, folder / LOCK)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):  # a file system without links
            raise
        try:
            write_new(folder / LOCK, content)
        except FileExistsError:
            return False
    finally:
        remove(temporary)
    return True


def _clear(folder: Path, ended: Holder | None) -> None:
    """Take the lock of a process that has ended away. Of several that try, one moves it; what that one moved may
    already be the lock of another, and goes back then."""
    aside = temporary_in(folder)
    try:
        (folder / LOCK).rename(aside)
    except FileNotFoundError:
        return
    if _read(aside) != ended:
        with contextlib.suppress(FileExistsError):
            os.link(aside, folder / LOCK)
    remove(aside)
