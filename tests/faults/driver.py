"""Kill a command at every filesystem call, or let every write fail, and look at what is left.

    python tests/faults/driver.py COMMAND [--stride N] [--hows kill,ENOSPC] [--cannot-exchange] [--planted]

Each strike is a forked process that runs the real command with stubbed numbers (`stubs.py`) in a folder that holds the
results of an earlier run, files of the user's and a checkpoint. The findings are printed as JSON.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from inject import KILLED, Faults

HOWS = ("kill", "ENOSPC", "EACCES", "EIO")
DECIDED = ("was written, but the disk does not confirm it", "a finished run is complete in")
MINE = {"notes.txt": b"years of work", "sub/more.txt": b"and more"}


@dataclass(frozen=True)
class Command:
    """What is struck.

    Attributes:
        words: given the folder, the command line that is struck; it replaces what `old` wrote.
        again: what is added to go on from a checkpoint.
        checkpoints: patterns of their names.
    """

    words: Callable[[Path], list[str]]
    old: Callable[[Path], list[str]] | None = None
    again: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = ()
    results: bool = True


def _fit(command: str) -> Command:
    words = lambda seed: lambda out: [command, "toy", "--seed", str(seed), "--out", str(out), "--json"]
    return Command(words(1), words(0), ("--resume",), (".*.checkpoint",))


def _copied(out: Path) -> list[str]:
    return ["data", "add", "toy", "--file", str(out.parent / "theirs.csv")]


def commit(seed: str, out: str) -> None:
    """What all commands share, and nothing else: hold a folder, write a checkpoint, commit."""
    from bayescal.files import write_atomically
    from bayescal.results import Kind, Run, holding

    folder = Path(out)
    with holding(folder, Kind.CALIBRATE, "toy", checkpoints=".*.checkpoint", resume="the same command goes on") as held:
        write_atomically(folder / ".toy.checkpoint", seed.encode())
        contents = [("pooled.bin", seed.encode()), ("figures/a.svg", seed.encode())]
        held.commit(Run(Kind.CALIBRATE, "", "toy", (int(seed),)), contents, retired=[folder / ".toy.checkpoint"])


def call(words: list[str]) -> int:
    """A command of bayescal, or `commit`."""
    if words[0] != "commit":
        from bayescal.cli import main

        return main(words, standalone_mode=False) or 0
    from bayescal.errors import InputError

    try:
        commit(*words[1:])
    except InputError as error:
        sys.stderr.write(f"bayescal: {error}\n")
        return 2
    return 0


COMMANDS = {
    "commit": Command(
        lambda out: ["commit", "1", str(out)],
        lambda out: ["commit", "0", str(out)],
        checkpoints=(".*.checkpoint",),
    ),
    "calibrate": _fit("calibrate"),
    "compare": _fit("compare"),
    "report": Command(
        lambda out: ["report", str(out / "pooled.nc"), "--json"],
        lambda out: ["calibrate", "toy", "--seed", "0", "--out", str(out), "--json"],
    ),
    "train": Command(
        lambda out: ["train", str(out.parent / "toy"), "--out", str(out), "--json"],
        checkpoints=("checkpoint.safetensors",),
    ),
    "data add": Command(_copied, results=False),
    "data add (fetched)": Command(lambda out: ["data", "add", "toy"], results=False),
    "simulate": Command(
        lambda out: ["simulate", "toy", "--seed", "1", "--out", str(out / "table.csv")],
        lambda out: ["simulate", "toy", "--seed", "0", "--out", str(out / "table.csv")],
        results=False,
    ),
}


@dataclass
class Findings:
    """Counts, and everything that should not be."""

    strikes: dict[str, int] = field(default_factory=dict)
    old: int = 0
    new: int = 0
    strays: int = 0
    resumed: int = 0
    tolerated: int = 0
    faults: list[str] = field(default_factory=list)


def run(words: list[str], faults: Faults | None = None) -> tuple[int, str, int]:
    """(exit status, standard error, calls counted) of a command in a forked process."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(writing, 2)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        status = 1
        try:
            if faults is not None:
                faults.arm()
            status = call(words)
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        if faults is not None:
            sys.stderr.write(f"\ncalls {faults.count} {faults.struck}\n")
        sys.stderr.flush()
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    said, _, counted = said.partition("\ncalls ")
    return status, said, int(counted.split()[0]) if counted else 0


def warm(words: list[str]) -> None:
    """Import here, once, what every forked process would import again."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        call(words)


def contents(folder: Path) -> dict[str, bytes]:
    """What a user sees: hidden files and checkpoints apart."""
    seen = (p for p in folder.rglob("*") if p.is_file())
    names = {p.relative_to(folder).as_posix(): p for p in seen}
    return {
        n: p.read_bytes() for n, p in sorted(names.items())
        if not any(part.startswith(".") for part in Path(n).parts) and not n.startswith("checkpoint.")
    }  # fmt: skip


def meaning(folder: Path) -> dict[str, object]:
    """The same, without what differs between two equal runs: times, and from where a run was resumed."""
    found: dict[str, object] = {}
    for name, content in contents(folder).items():
        if name.endswith(".nc"):
            from bayescal.posterior.fit import Fit

            fit = Fit.load(folder / name)
            facts = {k: v for k, v in fit.provenance.items() if k != "resumed_after"}
            found[name] = (fit.tree["posterior"]["x"].to_numpy().tobytes(), json.dumps(facts, sort_keys=True))
        elif name == "manifest.json":
            found[name] = [(r["kind"], r["seeds"], sorted(r["files"])) for r in json.loads(content)["runs"]]
        else:
            found[name] = content
    return found


class Driver:
    def __init__(self, name: str, root: Path, *, planted: bool = False):
        self.command, self.root = COMMANDS[name], root
        self.template, self.out = root / "template", root / "work" / "out"
        self.findings = Findings()
        (self.template / "toy").mkdir(parents=True)
        (self.template / "toy" / "experiment.py").write_text("# toy\n")
        (self.template / "theirs.csv").write_bytes(b"game,n\nT1,30\n")
        (self.template / "out").mkdir()
        os.environ["BAYESCAL_DATA_DIR"] = str(self.out)
        self.restore()
        warm((self.command.old or self.command.words)(self.out))
        self.restore()
        if self.command.old is not None:
            assert run(self.command.old(self.out))[0] == 0
        elif self.command.results:  # an earlier model
            assert run(self.command.words(self.out))[0] == 0
            self.spoil()
        for name, content in MINE.items():
            (self.out / name).parent.mkdir(exist_ok=True)
            (self.out / name).write_bytes(content)
        shutil.rmtree(self.template)
        (root / "work").rename(self.template)
        self.restore()
        self.old, self.old_meaning = contents(self.out), meaning(self.out)
        status, said, _ = run(self.command.words(self.out))
        assert status == 0, said
        self.new = meaning(self.out)
        assert self.new != self.old_meaning
        if planted:
            plant()

    def spoil(self) -> None:
        """Make the weights those of another training, so that old and new differ."""
        from bayescal.results.commit import commit
        from bayescal.results.manifest import Kind, Run

        names = ("policy.safetensors", "policy.json", "certificate.json", "card.md", "experiment.py")
        commit(self.out, Run(Kind.TRAIN, "", ""), [(n, b"old") for n in names])

    def restore(self) -> None:
        shutil.rmtree(self.root / "work", ignore_errors=True)
        shutil.copytree(self.template, self.root / "work")

    def calls(self, how: str) -> int:
        self.restore()
        status, said, count = run(self.command.words(self.out), Faults(self.root, 0, how))
        assert status == 0, said
        return count

    def strike(self, how: str, at: int) -> None:
        self.restore()
        found, here = self.findings, f"{how} at call {at}"
        found.strikes[how] = found.strikes.get(how, 0) + 1
        status, said, _ = run(self.command.words(self.out), Faults(self.root, at, how))
        self.check_said(how, status, said, here)
        self.check_left(here, status, said)
        self.check_rerun(here)

    def check_said(self, how: str, status: int, said: str, here: str) -> None:
        if how == "kill":
            if status != KILLED:
                self.findings.faults.append(f"{here}: exit status {status} ({said[-300:]})")
            return
        lines = [line for line in said.splitlines() if line.startswith("bayescal: ")]
        if status == 0:
            self.findings.tolerated += 1
        elif status != 2 or "Traceback" in said or len(lines) != 1:
            self.findings.faults.append(f"{here}: exit status {status} ({said[-300:]})")
        elif any(sentence in lines[0] for sentence in DECIDED):
            pass
        elif any(self.checkpoints()) and "is kept, and the same command" not in lines[0]:
            self.findings.faults.append(f"{here}: the checkpoint is not mentioned ({lines[0]})")

    def checkpoints(self) -> list[Path]:
        return [p for pattern in self.command.checkpoints for p in self.out.glob(pattern)]

    def check_left(self, here: str, status: int, words: str) -> None:
        """The old folder or the new one, with the user's files; strays only under names that `doctor` knows."""
        from bayescal.results import repair
        from bayescal.results.checkpoints import fault_of, find_checkpoints
        from bayescal.results.doctor import examine

        found = self.findings
        hidden = [p for place in (self.out, self.out.parent) for p in place.iterdir() if p.name.startswith(".")]
        hidden = [p for p in hidden if p not in self.checkpoints()]
        found.strays += bool(hidden)
        said = " ".join(examine(self.out, {p.name: fault_of(p) for p in find_checkpoints(self.out)}).wrong)
        found.faults += [f"{here}: doctor does not find {p.name}" for p in hidden if p.name not in said]
        found.faults += [f"{here}: a glob finds {p.name}" for p in hidden if p.suffix not in (".tmp", ".lock", "")]
        if (self.out / ".bayescal-commit").is_dir():  # decided, and not yet in place
            repair(self.out)
        if contents(self.out) == self.old:
            found.old += 1
        elif self.is_new():
            found.new += 1
            if status == 2 and not any(sentence in words for sentence in DECIDED):
                found.faults.append(f"{here}: new results, and an error")
        else:
            found.faults.append(f"{here}: a mixture of {sorted(contents(self.out))}")

    def is_new(self) -> bool:
        from bayescal.errors import InputError
        from bayescal.results.manifest import Manifest, faults

        try:
            manifest = Manifest.read(self.out) if self.command.results else None
            whole = manifest is None or not faults(self.out, manifest.files.items())
            return whole and meaning(self.out) == self.new
        except InputError:
            return False

    def check_rerun(self, here: str) -> None:
        """The same command, from the checkpoint if there is one, ends as if nothing had happened."""
        left = self.checkpoints()
        status, said, _ = run([*self.command.words(self.out), *(self.command.again if left else ())])
        self.findings.resumed += bool(left)
        if status != 0:
            self.findings.faults.append(f"{here}: the rerun fails ({said[-300:]})")
        elif not self.is_new():
            self.findings.faults.append(f"{here}: the rerun ends differently")
        hidden = [p.name for place in (self.out, self.out.parent) for p in place.iterdir() if p.name.startswith(".")]
        if hidden or self.checkpoints():
            self.findings.faults.append(f"{here}: the rerun leaves {hidden or self.checkpoints()}")


def plant() -> None:
    """The fault that this driver has to find: files are written in place, one after another."""
    from bayescal.results import hold
    from bayescal.results.manifest import MANIFEST, Entry, Manifest

    def naive(folder, run, contents, *, retired=(), kept=()):
        files = {}
        for name, content in contents:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
            files[name] = Entry.of(content)
        run.__dict__["files"] = files
        (folder / MANIFEST).write_bytes(Manifest((run,)).encode())
        for name in retired:
            (folder / name).unlink(missing_ok=True)

    hold.commit = naive


def cannot_exchange() -> None:
    """As on Windows, and on some file systems."""
    import errno

    from bayescal import files
    from bayescal.results import commit

    def refused(one: Path, other: Path) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    files.exchange = commit.exchange = refused


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--hows", default=",".join(HOWS))
    parser.add_argument("--cannot-exchange", action="store_true")
    parser.add_argument("--planted", action="store_true")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # threads that JAX starts; no child uses them
    if asked.command != "commit":
        from stubs import put_in_place

        put_in_place()
    if asked.cannot_exchange:
        cannot_exchange()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=memory) as root:
        driver = Driver(asked.command, Path(root), planted=asked.planted)
        for how in asked.hows.split(","):
            for at in range(1, driver.calls(how) + 1, asked.stride):
                driver.strike(how, at)
    print(json.dumps(asdict(driver.findings)))  # noqa: T201


if __name__ == "__main__":
    main()
