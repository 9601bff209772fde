"""Watching what Python does: processes, sockets, unpickling, and files that are changed or read."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path

# Beginnings of the names of audit events that no reader of data causes.
NEVER = (
    "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "pty.", "socket.",
    "urllib.", "http.client.", "ftplib.", "smtplib.", "ssl.", "pickle.", "marshal.load", "webbrowser.", "os.kill",
)  # fmt: skip
CHANGES = (
    "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate",
    "shutil.",
)  # fmt: skip
LINK_ITSELF = ("os.remove", "os.rename", "os.rmdir")  # what they do to a link leaves what it leads to alone
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class _Watch:
    """One hook for the process, since hooks cannot be removed; it is idle outside a `with watched(...)`."""

    def __init__(self):
        self.allowed, self.secrets, self.seen, self.on, self.hooked = (), (), [], False, False

    def hook(self, event, args):
        if not self.on:
            return
        self.on = False  # what is done here is not looked at
        try:
            if found := self.fault(event, args):
                self.seen.append(found)
        finally:
            self.on = True

    def fault(self, event, args):
        if event.startswith(NEVER) and not (event.startswith("marshal") or event == "socket.gethostname"):
            return f"{event} {args!r:.100}"
        if event == "open" and isinstance(args[0], str | bytes):
            path = os.path.realpath(os.fsdecode(args[0])) if "\x00" not in os.fsdecode(args[0]) else ""
            if path in self.secrets:
                return f"reads {path}"
            if (isinstance(args[2], int) and args[2] & WRITING) and not self.may_change(path):
                return f"writes {path}"
        if event.startswith(CHANGES) and isinstance(args[0], str | bytes | os.PathLike):
            path = os.path.join(_folder(event, args), os.fsdecode(args[0]))
            head, tail = os.path.split(path)
            path = os.path.join(os.path.realpath(head), tail) if event in LINK_ITSELF else os.path.realpath(path)
            return "" if self.may_change(path) else f"{event} {path}"
        if event == "import" and args[1] and any(str(args[1]).startswith(s) for s in self.secrets):
            return f"imports {args[1]}"
        return ""

    def may_change(self, path):
        return "__pycache__" in path or path == os.devnull or any(_within(Path(path), Path(a)) for a in self.allowed)


def _folder(event, args):
    """What a path is relative to: the current folder, or an open one whose number is among the arguments."""
    place = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 2, "os.rename": 2}.get(event)
    number = -1 if place is None else args[place]
    return os.getcwd() if number is None or number < 0 else os.readlink(f"/proc/self/fd/{number}")


def _within(path, folder):
    """Below a folder, or below a temporary one beside it: results are written there and then swapped in."""
    if path.is_relative_to(folder):
        return True
    beside = path.relative_to(folder.parent).parts if path.is_relative_to(folder.parent) else ()
    return bool(beside) and beside[0].startswith(".bayescal-") and ".tmp" in beside[0]


_WATCH = _Watch()


@contextmanager
def watched(*allowed, secrets=()):
    """Yields a list, which then holds a line for everything that a reader of data must not do.

    Args:
        allowed: folders below which files may be written.
        secrets: files that must not be read.
    """
    if not _WATCH.hooked:
        sys.addaudithook(_WATCH.hook)
        _WATCH.hooked = True
    caches = [p for p in (os.environ.get("JAX_COMPILATION_CACHE_DIR"), os.environ.get("MPLCONFIGDIR")) if p]
    caches += [str(Path.home() / ".cache"), str(Path.home() / ".config" / "matplotlib")]
    _WATCH.allowed = tuple(os.path.realpath(a) for a in (*allowed, *caches))
    _WATCH.secrets, _WATCH.seen = tuple(os.path.realpath(s) for s in secrets), []
    _WATCH.on = True
    try:
        yield _WATCH.seen
    finally:
        _WATCH.on = False
