"""`bayescal calibrate` with its real sampler, killed at filesystem calls and resumed from its checkpoint.

`compare` and `train` with real numbers are interrupted and resumed in `test_cli_methods.py` and `test_cli_train.py`.
With stubbed numbers every command is killed in `test_faults.py`.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bayescal.posterior.fit import Fit
from bayescal.results import Manifest
from bayescal.results.manifest import faults

HERE = Path(__file__).parent
PROGRAM = """
import sys
sys.path.insert(0, {here!r})
from inject import Faults
from pathlib import Path
armed = Faults(Path({out!r}), {at}, {how!r})
armed.arm()
from bayescal.cli import main
try:
    main({words!r})
finally:
    print("calls", armed.count, file=sys.stderr)
"""
TABLE = "game,role,action,n\nT1,row,Up,30\nT1,row,Down,90\nT1,column,Left,80\nT1,column,Right,40\n"


def study_in(folder: Path) -> Path:
    folder.mkdir()
    (folder / "decisions.csv").write_text(TABLE)
    sha256 = hashlib.sha256(TABLE.encode()).hexdigest()
    (folder / "dataset.toml").write_text(
        f'[meta]\ntitle = "One game"\nunits = "points"\nsha256 = "{sha256}"\n[games]\nT1 = "selten-chmura-01"\n'
    )
    return folder


def calibrate(study: Path, out: Path, *words: str, at: int = 0, how: str = "count") -> tuple[int, str]:
    command = ["calibrate", str(study), "--out", str(out), "--draws", "60", "--warmup", "60", "--chains", "2"]
    command += ["--checkpoint-every", "20", "--json", *words]
    program = PROGRAM.format(here=str(HERE), out=str(out), at=at, how=how, words=command)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), timeout=600
    )
    return done.returncode, done.stderr


def draws(out: Path) -> bytes:
    return Fit.load(out / "pooled.nc").tree["posterior"]["log_cost"].to_numpy().tobytes()


@pytest.mark.slow
def test_calibrate_is_killed_and_resumed_to_the_same_draws(tmp_path):
    study, whole = study_in(tmp_path / "study"), tmp_path / "whole"
    status, said = calibrate(study, whole)
    assert status == 0, said
    calls = int(said.rpartition("calls ")[2])
    out = tmp_path / "killed"
    status, said = calibrate(study, out, at=calls // 3, how="kill")
    assert status == 137, said
    assert not (out / "report.html").exists() and not (out / "pooled.nc").exists()
    assert (out / ".pooled.checkpoint").exists()
    status, said = calibrate(study, out, "--resume")
    assert status == 0, said
    assert Fit.load(out / "pooled.nc").provenance["resumed_after"] >= 20
    assert draws(out) == draws(whole)
    assert faults(out, Manifest.read(out).files.items()) == []
    assert not [p.name for p in (*out.iterdir(), *tmp_path.iterdir()) if p.name.startswith(".")]
