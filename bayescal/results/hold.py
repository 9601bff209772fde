"""Holding a results folder from the start of a run to its end."""

import contextlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bayescal.errors import InputError, WriteError
from bayescal.files import not_written, sweep, unless_empty
from bayescal.plain import listed
from bayescal.results.commit import commit, finish
from bayescal.results.lock import locked
from bayescal.results.manifest import WHOLE, Kind, Manifest, Run


@dataclass(frozen=True)
class Held:
    """A folder that no other run writes to."""

    folder: Path

    def commit(
        self,
        run: Run,
        contents: Iterable[tuple[str, bytes]],
        *,
        retired: Iterable[Path] = (),
        kept: Iterable[str] = (),
    ) -> None:
        """Make the folder the result of a run, in one step.

        Args:
            run: without its files.
            contents: names and contents of the files.
            retired: checkpoints in the folder that end with it.
            kept: names of files that stay although an earlier run wrote them.
        """
        names = [p.name for p in retired if p.parent == self.folder]
        commit(self.folder, run, contents, retired=names, kept=kept)


@contextmanager
def holding(
    folder: Path, kind: Kind, study: str, *, command: str = "", checkpoints: str = "", resume: str = ""
) -> Generator[Held]:
    """Hold a results folder: repaired if a run was killed while it put its files there, and swept.

    Args:
        kind, study: of the run. One that makes the whole folder is refused where another command, or the same on
            another study, has made it.
        command: shown to a second run that wants the folder.
        checkpoints: pattern of the names of checkpoints.
        resume: how to go on from them, for the sentence if something cannot be written.

    Raises:
        InputError: another run holds the folder, or it has other results.
        WriteError: it cannot be written to, or a write has failed since; what was there is unchanged.
    """
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(unless_empty(folder))
            try:
                folder.mkdir(parents=True, exist_ok=True)
                sweep(folder)
                stack.enter_context(locked(folder, command or f"bayescal {kind}"))
            except OSError as error:
                raise not_written(folder, error) from None
            finish(folder)
            sweep(folder.resolve().parent)
            _refuse_others(folder, kind, study)
            yield Held(folder)
    except WriteError as error:
        kept = [str(p) for p in sorted(folder.glob(checkpoints))] if checkpoints else []
        if not kept:
            raise
        raise WriteError(f"{str(error).rstrip('.')}; {listed(kept)} is kept, and {resume}.") from None


def _refuse_others(folder: Path, kind: Kind, study: str) -> None:
    manifest = Manifest.read(folder)
    before = None if manifest is None else manifest.whole
    if before is None or kind not in WHOLE or (before.kind, before.study) == (kind, study):
        return
    raise InputError(
        f"{folder} holds the results of `{before.command}`, which would be lost: give another folder, or delete it."
    )
