"""Faults at chosen filesystem calls: the process is killed there, or the call fails."""

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

KILLED = 137
ALLOCATES = {"write", "fsync", "create", "mkdir", "link", "symlink"}  # what a full disk refuses


@dataclass
class Faults:
    """Counts the filesystem calls below a folder, and strikes at one of them.

    Attributes:
        root: calls elsewhere are not counted.
        at: which call, from 1; 0 for none.
        how: "kill", or the name of an error. A full disk stays full; other errors come once.
    """

    root: Path
    at: int
    how: str
    count: int = 0
    struck: str = ""

    def arm(self) -> None:
        """For the rest of this process: an audit hook cannot be taken away."""
        from bayescal import files
        from bayescal.results import commit

        self.root = self.root.resolve()
        sys.addaudithook(self._audit)
        write, fsync, exchange = os.write, os.fsync, files.exchange
        os.write = lambda fd, data: (self._call("write", _path_of(fd)), write(fd, data))[1]
        os.fsync = lambda fd: (self._call("fsync", _path_of(fd)), fsync(fd))[1]

        def exchanging(one: Path, other: Path) -> None:
            self._call("exchange", str(one))
            exchange(one, other)

        files.exchange = commit.exchange = exchanging

    def _audit(self, event: str, args: tuple) -> None:
        name = event.removeprefix("os.")
        if event == "open":
            path, _, flags = args
            if isinstance(path, int) or path is None:
                return
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            self._call("create" if writes else "read", path)
        elif name in ("rename", "link", "symlink"):
            self._call(name, args[1])
        elif name in ("remove", "rmdir", "mkdir", "chmod", "utime", "truncate"):
            fd = args[-1]
            there = _path_of(fd) if isinstance(fd, int) and fd >= 0 else ""
            self._call(name, os.path.join(there, os.fsdecode(args[0])) if there else args[0])

    def _call(self, name: str, path: object) -> None:
        where = os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""
        if where != str(self.root) and not where.startswith(f"{self.root}{os.sep}"):
            return
        if self.how not in ("kill", "count") and name in ("read", "chmod", "utime"):
            return  # only what changes the disk fails
        if self.how == "ENOSPC" and name not in ALLOCATES:
            return
        self.count += 1
        if self.at == 0 or self.count < self.at or (self.count > self.at and self.how != "ENOSPC"):
            return
        if self.how == "kill":
            os._exit(KILLED)
        self.struck = self.struck or f"{name} {where}"
        number = getattr(errno, self.how)
        raise OSError(number, os.strerror(number), where)


def _path_of(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
