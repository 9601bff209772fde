"""Results folders: one commit, one lock, and a doctor who finds what is wrong."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from bayescal import files
from bayescal.cli import main
from bayescal.errors import InputError, WriteError
from bayescal.owner import Owner, State, this_process
from bayescal.results import Kind, Manifest, Run, holding, repair
from bayescal.results import commit as commits
from bayescal.results.doctor import examine
from bayescal.results.lock import LOCK, holder

DEAD = "2147483646"  # no process has this number


def write(folder, contents, kind=Kind.CALIBRATE, study="toy", retired=()):
    with holding(folder, kind, study, command=f"bayescal {kind} {study}") as held:
        held.commit(Run(kind, f"bayescal {kind} {study}", study, (0,)), contents.items(), retired=retired)


def seen(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=["exchanged", "in place", "current folder"])
def out(request, tmp_path, monkeypatch):
    """A results folder with the files of a run and two of the user's."""
    if request.param == "in place":

        def refused(one, other):
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(commits, "exchange", refused)
    folder = tmp_path / "above" / "out"
    write(folder, {"pooled.nc": b"old", "by-game.nc": b"old", "figures/a.svg": b"old"})
    (folder / "notes.txt").write_bytes(b"mine")
    (folder / "figures" / "mine.svg").write_bytes(b"mine")
    (folder / ".pooled.checkpoint").write_bytes(b"state")
    if request.param == "current folder":
        monkeypatch.chdir(folder)
    return folder


def test_a_run_replaces_the_files_of_the_one_before_and_no_others(out):
    write(out, {"pooled.nc": b"new", "report.html": b"new"}, retired=[out / ".pooled.checkpoint"])
    left = seen(out)
    assert json.loads(left.pop("manifest.json"))["format"] == 1
    assert left == {"pooled.nc": b"new", "report.html": b"new", "notes.txt": b"mine", "figures/mine.svg": b"mine"}
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_a_report_is_added_to_what_is_there(out):
    write(out, {"report.html": b"page", "pooled.nc": b"no longer calibrate's"}, Kind.REPORT)
    runs = {run.kind: sorted(run.files) for run in Manifest.read(out).runs}
    assert runs == {Kind.CALIBRATE: ["by-game.nc", "figures/a.svg"], Kind.REPORT: ["pooled.nc", "report.html"]}
    write(out, {"report.json": b"page"}, Kind.REPORT)
    assert not (out / "report.html").exists() and (out / "by-game.nc").read_bytes() == b"old"
    assert (out / ".pooled.checkpoint").exists()


@pytest.mark.parametrize("name", ["pooled.nc", "manifest.json"])
def test_a_failing_write_changes_nothing(out, monkeypatch, name):
    before, write_new = seen(out), files.write_new

    def full(path, content):
        if path.name == name:
            raise OSError(28, "No space left on device", str(path))
        write_new(path, content)

    monkeypatch.setattr(commits, "write_new", full)
    with pytest.raises(WriteError, match=rf"out/{name}: cannot be written \(No space left on device\); make room"):
        write(out, {"report.html": b"new", "pooled.nc": b"new"})
    assert seen(out) == before and [p.name for p in out.parent.iterdir()] == ["out"]


def test_the_kept_checkpoint_is_mentioned(out, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    def fails():
        with holding(out, Kind.CALIBRATE, "toy", checkpoints=".*.checkpoint", resume="--resume continues") as held:
            held.commit(Run(Kind.CALIBRATE, "", "toy"), [("pooled.nc", b"new")])

    monkeypatch.setattr(commits, "write_new", full)
    with pytest.raises(WriteError, match=r"\.pooled\.checkpoint is kept, and --resume continues\.$"):
        fails()


def test_what_is_in_the_way_is_named(out):
    (out / "report.html").mkdir()
    before = seen(out)
    with pytest.raises(InputError, match=r"report\.html is a folder, and a file is needed there"):
        write(out, {"pooled.nc": b"new", "report.html": b"new"})
    assert seen(out) == before


def test_results_of_another_command_or_study_are_not_lost(out):
    before = seen(out)
    for kind, study in ((Kind.COMPARE, "toy"), (Kind.CALIBRATE, "other"), (Kind.TRAIN, "toy")):
        with pytest.raises(InputError, match="holds the results of `bayescal calibrate toy`, which would be lost"):
            write(out, {"x.nc": b"new"}, kind, study)
    assert seen(out) == before


def test_two_runs_into_one_folder(tmp_path):
    with holding(tmp_path, Kind.CALIBRATE, "toy", command="bayescal calibrate toy"):
        words = rf"another run writes there \(process {os.getpid()} on .*: bayescal calibrate toy\); wait for it"
        with pytest.raises(InputError, match=words):
            write(tmp_path, {"x.nc": b""})
    write(tmp_path, {"x.nc": b""})
    assert not (tmp_path / LOCK).exists()


def test_a_lock_is_taken_from_the_dead_only(tmp_path):
    me = this_process()
    with holding(tmp_path, Kind.CALIBRATE, "toy"):
        facts = json.loads((tmp_path / LOCK).read_text())

    def locked_by(**changes):
        (tmp_path / LOCK).write_text(json.dumps(facts | changes))
        write(tmp_path, {"x.nc": b""})

    locked_by(pid=int(DEAD))
    locked_by(started="another start")  # the number is in use again, by this process
    (tmp_path / LOCK).write_text("")  # cut short
    write(tmp_path, {"x.nc": b""})
    with pytest.raises(InputError, match="if that run has ended, delete"):
        locked_by(machine="0" * 8)
    with pytest.raises(InputError, match="another run writes there"):
        locked_by()
    assert holder(tmp_path).pid == me.pid


def test_a_process_that_has_ended(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mine = this_process()
    running = Owner.from_token(f"{mine.machine}-{child.pid}-")
    assert running.state is State.RUNS and mine.state is State.RUNS
    child.communicate(b"\n")
    assert running.state is State.ENDED
    assert Owner.from_token(mine.token) == mine and Owner.from_token("nonsense") is None


def stray(folder, owner=None):
    mine = this_process()
    token = owner or f"{mine.machine}-{DEAD}-"
    return folder / f".bayescal-{token}-0.tmp"


def test_strays_are_swept_at_the_next_start_but_not_those_of_the_living(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    stray(out).write_text("half")
    stray(tmp_path).mkdir()
    (stray(tmp_path) / "pooled.nc").write_text("half")
    alive = [stray(out, this_process().token), stray(out, "00000000-1-")]
    for path in alive:
        path.write_text("in use")
    write(out, {"pooled.nc": b"whole"})
    assert not stray(out).exists() and not stray(tmp_path).exists() and all(p.exists() for p in alive)
    assert [p.name for p in out.glob("*.nc")] == ["pooled.nc"]


def test_a_decided_result_is_put_in_place_later(tmp_path):
    """Killed while files are put in place one by one: readers and the next run do the rest."""
    write(tmp_path, {"a.nc": b"old", "b.nc": b"old"})
    journal = tmp_path / commits.JOURNAL
    journal.mkdir()
    (journal / "journal.json").write_text(json.dumps({"put": ["a.nc", "manifest.json"], "gone": ["b.nc", "../x"]}))
    (tmp_path.parent / "x").write_text("not ours")
    (journal / "manifest.json").write_bytes((tmp_path / "manifest.json").read_bytes())
    (journal / "a.nc").write_bytes(b"new")
    repair(tmp_path)
    assert set(seen(tmp_path)) == {"a.nc", "manifest.json"} and (tmp_path / "a.nc").read_bytes() == b"new"
    assert (tmp_path.parent / "x").exists() and not journal.exists()
    (tmp_path.parent / "x").unlink()


def doctor(folder, *words):
    return CliRunner().invoke(main, ["doctor", str(folder), *words])


def test_the_doctor_finds_nothing_in_a_whole_folder(out):
    (out / ".pooled.checkpoint").unlink()
    found = doctor(out)
    assert found.exit_code == 0, found.output
    assert "is whole: 3 files as they were written" in found.stdout
    assert "by `bayescal calibrate toy`" in found.stdout and "jax 0." in found.stdout and "seed 0" in found.stdout
    assert "left alone: notes.txt" in found.stdout


@pytest.mark.parametrize(
    "fault", ["changed", "missing", "stray", "lock", "checkpoint", "journal", "earlier", "manifest"]
)
def test_the_doctor_finds(fault, tmp_path):
    out = tmp_path / "out"
    write(out, {"pooled.nc": b"whole"})
    match fault:
        case "changed":
            (out / "pooled.nc").write_bytes(b"hole")
            words = "pooled.nc is not the file that was written"
        case "missing":
            (out / "pooled.nc").unlink()
            words = "pooled.nc is missing"
        case "stray":
            stray(tmp_path).mkdir()
            words = f"{stray(tmp_path).name} was left by a run that was killed"
        case "lock":
            facts = {"machine": this_process().machine, "pid": int(DEAD), "started": "", "host": "h", "since": "s"}
            (out / LOCK).write_text(json.dumps(facts | {"command": "c"}))
            words = f"{LOCK} was left by a run that was killed (process {DEAD} on h, since s: c)"
        case "checkpoint":
            (out / ".pooled.checkpoint").write_bytes(b"torn")
            words = ".pooled.checkpoint is a stale checkpoint (it cannot be read)"
        case "journal":
            (out / commits.JOURNAL).mkdir()
            words = "is a finished run that was killed while it put its files in place"
        case "earlier":
            (out / ".pooled.nc.abcd1234.nc").write_bytes(b"half")
            words = ".pooled.nc.abcd1234.nc was left by a run of bayescal 0.1.0 that was killed"
        case "manifest":
            (out / "manifest.json").write_text("{")
            words = "it is damaged or not a manifest of bayescal"
    found = doctor(out, "--json")
    assert found.exit_code == 1
    facts = json.loads(found.stdout)
    assert any(words in sentence for sentence in facts["wrong"]), facts
    assert not facts["healthy"] and "wrong: " in doctor(out).stdout


def test_a_manifest_that_names_files_outside_is_refused(tmp_path):
    write(tmp_path, {"pooled.nc": b"whole"})
    facts = json.loads((tmp_path / "manifest.json").read_text())
    facts["runs"][0]["files"] = {"../x": {"sha256": "", "size": 0}}
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="damaged or not a manifest"):
        write(tmp_path, {"pooled.nc": b"new"})
    facts["format"] = 2
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match="format 2, and this version of bayescal reads format 1: upgrade bayescal"):
        write(tmp_path, {"pooled.nc": b"new"})


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match="cannot be written"):
        write(tmp_path / "file" / "deep" / "out", {})
    with pytest.raises(InputError, match="there is no such folder"):
        examine(tmp_path / "nothing", {})
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
