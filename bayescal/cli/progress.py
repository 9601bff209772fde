"""What is said on standard error before and while models are fitted."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from bayescal.cli.show import say
from bayescal.plain import listed
from bayescal.results import Held, Kind, holding
from bayescal.results.checkpoints import PATTERN

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from bayescal.table.decisions import Decisions


class Lines:
    """Lines in place of bars, where there is no terminal: when something ends, and now and then before."""

    def __init__(self, console: "Console", every: float = 30.0, clock: Callable[[], float] = monotonic):
        self.console, self.every, self.clock = console, every, clock
        self.began = self.told = clock()

    def tell(self, what: str, done: int, total: int, figures: str = "") -> None:
        now = self.clock()
        if done < total and now - self.told < self.every:
            return
        self.told = now
        say(self.console, f"{what}: {done:,} of {total:,} after {now - self.began:,.0f} s{figures}")


class FitProgress:
    """A progress bar for each fit, and one that pulses while a fit is compiled or summarised; lines where there is no
    terminal."""

    def __init__(self, console: "Console"):
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.lines = None if console.is_terminal else Lines(console)
        self.between = self.bars.add_task("preparing ", total=None)
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "FitProgress":
        self.bars.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bars.update(self.between, visible=False)
        self.bars.__exit__(kind, error, at)

    def __call__(self, name: str, done: int, total: int) -> None:
        if self.lines is not None:
            self.lines.tell(name, done, total)
            return
        if name not in self.tasks:
            self.tasks[name] = self.bars.add_task(f"{name:<10}", total=total)
        self.bars.update(self.tasks[name], completed=done, total=total)
        self.bars.update(self.between, visible=done == total)


def say_masked(decisions: "Decisions", console: "Console") -> None:
    """How many rows are not used because what was seen before them is not known."""
    if decisions.play is not None and decisions.play.masked:
        rows = f"{decisions.play.masked:,} of {len(decisions.table):,} rows"
        say(console, f"{rows} are not used as decisions: what was seen before them is not known.")
        if left_out := decisions.play.left_out:
            say(console, f"No row is used of {listed(left_out, 5)}.")


def say_snapped(decisions: "Decisions", console: "Console") -> None:
    """How many decisions were moved to the grid."""
    if decisions.snapped:
        moved = f"{decisions.snapped:,} of {decisions.total:,} decisions"
        say(console, f"{moved} were between two values of the grid and are moved to the nearer one.")


def say_checkpoints(folder: Path, resume: bool, console: "Console") -> None:
    """Whether the run continues from the checkpoints of an interrupted one."""
    found = [str(p) for p in sorted(folder.glob(PATTERN))]
    if resume and not found:
        say(console, f"{folder} has no checkpoint to continue from: the run starts from the beginning.")
    elif found and not resume:
        say(
            console,
            f"An interrupted run left {', '.join(found)}, which this run overwrites; --resume would continue it.",
        )


def say_interrupted(folder: Path, console: "Console") -> None:
    """How to continue after Ctrl-C."""
    left = any(folder.glob(PATTERN))
    how = "the same command with --resume continues from the last checkpoint" if left else "no checkpoint was saved yet"
    say(console, f"Interrupted: {how}.")


def fitting(folder: Path, kind: Kind, study: str, command: str) -> AbstractContextManager[Held]:
    """Hold the folder of a command that fits models and keeps checkpoints there."""
    resume = "the same command with --resume continues from there"
    return holding(folder, kind, study, command=command, checkpoints=PATTERN, resume=resume)
