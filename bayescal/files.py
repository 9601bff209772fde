"""Writing files and folders completely or not at all. All that bayescal writes goes through here.

Temporary names are hidden, end in .tmp and carry the process that writes, so that no glob for results finds them and
what a killed process has left is removed by the next one that writes there.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import re
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from bayescal.errors import WriteError
from bayescal.owner import Owner, State, this_process

_TEMPORARY = re.compile(r"\.bayescal-(.+)-\d+\.tmp")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_numbers = itertools.count()


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename.

    Raises:
        WriteError: it cannot be written; what was there is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        temporary = temporary_in(path.parent)
        try:
            write_new(temporary, content)
            os.replace(temporary, path)
        except BaseException:
            remove(temporary)
            raise
    except OSError as error:
        raise not_written(path, error) from None
    confirm(path)


@contextmanager
def whole_folder(path: Path) -> Generator[Path]:
    """A folder to write into, which takes the place of `path` unless something is raised.

    Raises:
        WriteError: it cannot be written; what was there is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        restore_folder(path)
        sweep(path.parent)
        new = temporary_in(path.parent)
        new.mkdir()
        try:
            yield new
            sync_tree(new)
            _put_folder(new, path)
        finally:
            remove(new)
    except OSError as error:
        raise not_written(path, error) from None
    confirm(path)


def _put_folder(new: Path, path: Path) -> None:
    """One step where two folders can be exchanged. Elsewhere two, and `restore_folder` undoes a half."""
    if not path.exists():
        new.rename(path)
        return
    try:
        exchange(new, path)
    except OSError as error:
        if error.errno not in CANNOT_EXCHANGE:
            raise
        aside = _aside(path)
        path.rename(aside)
        new.rename(path)
        remove(aside)


def restore_folder(path: Path) -> None:
    """Put a folder back that a killed process had moved aside."""
    aside = _aside(path)
    if aside.is_dir():
        if path.exists():
            remove(aside)
        else:
            aside.rename(path)


def _aside(path: Path) -> Path:
    return path.parent / f".{path.name}.replaced"


def not_written(path: Path, error: OSError) -> WriteError:
    """What is wrong, in one sentence."""
    todo = "make room on that disk, or choose another folder" if error.errno in _FULL else "choose another folder"
    return WriteError(f"{path}: cannot be written ({error.strerror or error}); {todo}.")


def write_new(path: Path, content: bytes) -> None:
    """Write a file that does not exist yet, down to the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """The names in a folder, down to the disk."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems have no such thing
            raise
    finally:
        os.close(handle)


def confirm(path: Path) -> None:
    """Bring the name of what was just put in place down to the disk.

    Raises:
        WriteError: the disk refuses.
    """
    try:
        sync_folder(path.parent)
    except OSError as error:
        raise WriteError(
            f"{path}: was written, but the disk does not confirm it ({error.strerror or error}); check the disk."
        ) from None


def sync_tree(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        sync_folder(Path(path))


def temporary_in(folder: Path) -> Path:
    """A name that nobody else uses."""
    return folder / f".bayescal-{this_process().token}-{next(_numbers)}.tmp"


@contextmanager
def temporary_folder(parent: Path) -> Generator[Path]:
    """A hidden folder that is gone afterwards.

    Raises:
        WriteError: it cannot be made.
    """
    folder = temporary_in(parent)
    with unless_empty(parent):
        try:
            parent.mkdir(parents=True, exist_ok=True)
            sweep(parent)
            folder.mkdir()
        except OSError as error:
            raise not_written(parent, error) from None
        try:
            yield folder
        finally:
            remove(folder)


@contextmanager
def unless_empty(folder: Path) -> Generator[None]:
    """A folder that is made meanwhile, and those above it, are removed again if nothing has come into them."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        yield
    finally:
        for path in missing:
            with contextlib.suppress(OSError):
                path.rmdir()


def temporaries(folder: Path) -> dict[Path, Owner]:
    """The temporary files and folders in a folder, and whose they are."""
    try:
        found = [(_TEMPORARY.fullmatch(name), folder / name) for name in sorted(os.listdir(folder))]
    except OSError:
        return {}
    owners = [(path, Owner.from_token(match[1])) for match, path in found if match]
    return {path: owner for path, owner in owners if owner is not None}


def sweep(folder: Path) -> None:
    """Remove what killed processes have left in a folder."""
    for path, owner in temporaries(folder).items():
        if owner.state is State.ENDED:
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder that nobody needs; what cannot be removed stays, and is swept later."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


CANNOT_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EBUSY, errno.EXDEV, errno.EPERM)


def exchange(one: Path, other: Path) -> None:
    """Two folders (or files) take each other's names in one step.

    Raises:
        OSError: the system or the file system cannot do that (`CANNOT_EXCHANGE`), or it failed.
    """
    names = {"linux": "renameat2", "darwin": "renamex_np"}
    call = getattr(ctypes.CDLL(None, use_errno=True), names[sys.platform], None) if sys.platform in names else None
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    paths = os.fsencode(one), os.fsencode(other)
    here, swap = -100, 2  # AT_FDCWD and RENAME_EXCHANGE (on macOS, RENAME_SWAP)
    done = call(here, paths[0], here, paths[1], swap) if sys.platform == "linux" else call(*paths, swap)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))
