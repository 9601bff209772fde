"""The step in which a results folder becomes another one.

The new folder is written beside the old one, and the two exchange their names: whoever looks sees the one or the other.
What the user keeps in the folder is linked into the new one first.

Where folders cannot be exchanged (the current folder, a mounted one, one beside which nothing can be written, Windows),
the new files are completed in a folder inside, which is renamed to `JOURNAL` and from then on decides. They are put in
place one by one. If that is cut short, `finish` does the rest, at the start of the next run or when the fits are read.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from bayescal.errors import InputError
from bayescal.files import (
    CANNOT_EXCHANGE,
    confirm,
    exchange,
    not_written,
    remove,
    sweep,
    sync_folder,
    sync_tree,
    temporaries,
    temporary_in,
    unless_empty,
    write_new,
)
from bayescal.owner import State
from bayescal.results.lock import locked
from bayescal.results.manifest import MANIFEST, Entry, Manifest, Run, is_inside

JOURNAL = ".bayescal-commit"
_LIST = "journal.json"
_STAYS = (*CANNOT_EXCHANGE, errno.EACCES, errno.EMLINK)  # faults with which the folder itself stays
_MOST = 10_000  # files of the user that are linked; with more, the folder stays and files are put in place


class _CannotExchangeError(Exception):
    """The folder has to stay: files are put in place one by one."""


def commit(
    folder: Path,
    run: Run,
    contents: Iterable[tuple[str, bytes]],
    *,
    retired: Iterable[str] = (),
    kept: Iterable[str] = (),
) -> Manifest:
    """Make a folder the result of a run.

    Args:
        folder: exists, and is locked by this process.
        run: its files are filled in.
        contents: the files, by name.
        retired: names of files that are not needed any longer, such as checkpoints.
        kept: names of files that stay although an earlier run wrote them.

    Raises:
        WriteError: the folder is as it was before.
        InputError: a file of the user's is in the way.
    """
    folder = folder.resolve()
    old = Manifest.read(folder) or Manifest()
    stage, files = None, {}
    try:
        stage = _stage(folder)
        for name, content in contents:
            _check_free(folder, name)
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            write_new(stage / name, content)
            files[name] = Entry.of(content)
            del content  # fits are large: one at a time
        manifest = old.after(replace(run, files=files))
        write_new(stage / MANIFEST, manifest.encode())
        gone = {*old.files, *retired} - {*manifest.files, *kept}
        _put(stage, folder, [*files, MANIFEST], gone)
    except OSError as error:
        raise not_written(_place(error, stage, folder), error) from None
    finally:
        if stage is not None:
            remove(stage)
    confirm(folder)
    return manifest


def put_files(folder: Path, files: Mapping[str, bytes], command: str) -> None:
    """Put all files into a folder, or none: for what is no result, and gets no manifest. What is there stays.

    Args:
        command: who holds the folder meanwhile.

    Raises:
        WriteError: the folder is as it was before.
    """
    folder, stage = folder.resolve(), None
    with unless_empty(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder, command):
                finish(folder)
                for place in (folder, folder.parent):
                    sweep(place)
                stage = _stage(folder)
                for name, content in files.items():
                    write_new(stage / name, content)
                _put(stage, folder, list(files), set())
        except OSError as error:
            raise not_written(_place(error, stage, folder), error) from None
        finally:
            if stage is not None:
                remove(stage)
    confirm(folder)


def _put(stage: Path, folder: Path, put: list[str], gone: set[str]) -> None:
    if stage.parent == folder:
        _put_in_place(stage, folder, put, gone)
    else:
        _swap(stage, folder, put, gone)


def _stage(folder: Path) -> Path:
    """A new folder beside, or inside where it cannot be beside."""
    if not _is_current(folder):
        stage = temporary_in(folder.parent)
        try:
            stage.mkdir()
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
        else:
            ours, theirs = stage.stat(), folder.stat()
            if (ours.st_dev, ours.st_uid, ours.st_gid) == (theirs.st_dev, theirs.st_uid, theirs.st_gid):
                return stage
            remove(stage)
    stage = temporary_in(folder)
    stage.mkdir()
    return stage


def _is_current(folder: Path) -> bool:
    """Whether this process is in the folder: its relative paths would lead nowhere if the folder moved."""
    try:
        return Path.cwd().is_relative_to(folder)
    except FileNotFoundError:  # the current folder has been removed
        return False


def _check_free(folder: Path, name: str) -> None:
    if (folder / name).is_dir():
        raise InputError(f"{folder}: {name} is a folder, and a file is needed there; choose another folder.")


def _swap(stage: Path, folder: Path, put: list[str], gone: set[str]) -> None:
    try:
        _carry(folder, stage, gone)
        shutil.copystat(folder, stage)
        sync_tree(stage)
        exchange(stage, folder)
    except (OSError, _CannotExchangeError) as error:
        if isinstance(error, OSError) and error.errno not in _STAYS:
            raise
        inside = temporary_in(folder)
        try:
            _move(stage, inside, put)
            _put_in_place(inside, folder, put, gone)
        finally:
            remove(inside)


def _move(stage: Path, inside: Path, put: list[str]) -> None:
    try:
        stage.rename(inside)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EBUSY):
            raise
        for name in put:
            (inside / name).parent.mkdir(parents=True, exist_ok=True)
            write_new(inside / name, (stage / name).read_bytes())


def _carry(folder: Path, stage: Path, gone: set[str]) -> None:
    """Link what is neither replaced nor gone: the user's own files, and those of other runs."""
    strays = {path for path, owner in temporaries(folder).items() if owner.state is State.ENDED}
    skipped, count = {folder / name for name in gone} | strays, 0
    for path, folders, names in os.walk(folder):
        here = Path(path)
        folders[:] = [n for n in folders if here / n not in skipped]
        links = [n for n in folders if (here / n).is_symlink()]
        folders[:] = [n for n in folders if n not in links]
        there = stage / here.relative_to(folder)
        count += len(names) + len(folders)
        if count > _MOST:
            raise _CannotExchangeError
        for name in (*names, *links):
            if here / name not in skipped and not (there / name).exists():
                there.mkdir(parents=True, exist_ok=True)
                os.link(here / name, there / name, follow_symlinks=False)
        if here != folder and not os.listdir(here):
            there.mkdir(parents=True, exist_ok=True)
        if here != folder and there.is_dir():
            shutil.copystat(here, there)


def _put_in_place(stage: Path, folder: Path, put: list[str], gone: set[str]) -> None:
    """From the rename on, the new result is decided."""
    write_new(stage / _LIST, json.dumps({"put": put, "gone": sorted(gone)}).encode())
    sync_tree(stage)
    stage.rename(folder / JOURNAL)
    finish(folder)


def finish(folder: Path) -> None:
    """Put the rest of a decided result in place; nothing to do in a folder that is whole.

    Raises:
        InputError: it cannot be done now.
    """
    journal = folder / JOURNAL
    if not journal.is_dir():
        return
    try:
        sync_folder(folder)
        todo = json.loads((journal / _LIST).read_bytes())
        put, gone = [n for n in todo["put"] if is_inside(n)], [n for n in todo["gone"] if is_inside(n)]
        for name in gone:
            if _stays_inside(folder, name):
                (folder / name).unlink(missing_ok=True)
                if "/" in name:
                    with contextlib.suppress(OSError):
                        (folder / name).parent.rmdir()  # if it is empty
        for name in put:  # the manifest last
            if (journal / name).exists() and _stays_inside(folder, name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (journal / name).replace(folder / name)
        for place in sorted({(folder / name).parent for name in put}):
            sync_folder(place)
        done = temporary_in(folder)
        journal.rename(done)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "its list is damaged"
        raise InputError(
            f"{folder}: a finished run is complete in {journal}, and could not be put in place ({reason}); run any "
            "bayescal command on that folder again."
        ) from None
    remove(done)


def repair(folder: Path) -> None:
    """Finish what a killed run had decided, before its files are read."""
    if (folder / JOURNAL).is_dir():
        with locked(folder, "repair"):
            finish(folder)


def _stays_inside(folder: Path, name: str) -> bool:
    """Not through a link to somewhere else."""
    return (folder / name).parent.resolve().is_relative_to(folder.resolve())


def _place(error: OSError, stage: Path | None, folder: Path) -> Path:
    """The file that could not be written, under the name that it would have had."""
    name = error.filename
    if stage is None or not isinstance(name, str) or not Path(name).is_relative_to(stage):
        return folder
    return folder / Path(name).relative_to(stage)
