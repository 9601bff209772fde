"""Which process a temporary file or a lock belongs to, and whether that process still runs."""

import contextlib
import hashlib
import os
import platform
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class State(StrEnum):
    """Of a process."""

    RUNS = "runs"
    ENDED = "ended"
    UNKNOWN = "unknown"  # it is on another machine, or in another container


@dataclass(frozen=True)
class Owner:
    """A process, told from all others: also from a later one with the same number, and from those of other machines.

    Attributes:
        machine: a digest of the host's name and of the space that process numbers are counted in.
        pid: number of the process.
        started: when it started, in ticks since the start of the machine, which has a name of its own; "" if unknown.
    """

    machine: str
    pid: int
    started: str

    @property
    def token(self) -> str:
        return f"{self.machine}-{self.pid}-{self.started}"

    @classmethod
    def from_token(cls, token: str) -> "Owner | None":
        found = _TOKEN.fullmatch(token)
        return None if found is None else cls(found[1], int(found[2]), found[3])

    @property
    def state(self) -> State:
        if self.machine != _machine() or os.name != "posix":
            return State.UNKNOWN
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return State.ENDED
        except (PermissionError, OverflowError):  # somebody else's process
            pass
        now = _started(self.pid)
        return State.RUNS if now is None or not self.started or now == self.started else State.ENDED


_TOKEN = re.compile(r"([0-9a-f]{8})-(\d{1,10})-(\w*)")


def this_process() -> Owner:
    return Owner(_machine(), os.getpid(), _started(os.getpid()) or "")


def _machine() -> str:
    space = ""
    with contextlib.suppress(OSError):  # not Linux
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


def _started(pid: int) -> str | None:
    """When a process started; "ended" of one that has ended and is not collected yet; None if that is not known."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        return None
    return "ended" if fields[0] in "ZX" else f"{boot[:8]}_{fields[19]}"
