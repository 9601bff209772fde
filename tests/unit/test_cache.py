"""Compiled programs that are kept between runs: used again, never those of a killed process, never too many."""

import os
import signal
import subprocess
import sys
import time

import pytest

import bayescal as bc

PROGRAM = """
import sys
import bayescal as bc
folder = bc.use_cache(sys.argv[1], most_bytes=int(sys.argv[2]))
import jax, jax.numpy as jnp
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name) if name.endswith("cache_hits") else None)
f = jax.jit(lambda x: jnp.linalg.slogdet(jnp.outer(x, jnp.sin(x)) + jnp.eye(20))[1])
print(float(f(jnp.arange(20.0))), len(hits), folder, flush=True)
if sys.argv[3] == "wait":
    import time
    time.sleep(600)
"""


def start(folder, most=10**9, then="end", **changed):
    plain = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    plain |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}  # also what compiles fast
    command = [sys.executable, "-c", PROGRAM, str(folder), str(most), then]
    return subprocess.Popen(command, env=plain | changed, stdout=subprocess.PIPE, text=True)


def run(folder, **options):
    """(result, programs that were not compiled anew, the folder)."""
    process = start(folder, **options)
    value, hits, where = process.communicate()[0].split(maxsplit=2)
    assert process.returncode == 0
    return float(value), int(hits), where.strip()


def entries(folder):
    return sorted(folder.glob("*/*-cache"))


def test_programs_are_kept_and_those_of_a_killed_process_are_not(tmp_path):
    value, hits, where = run(tmp_path)
    assert hits == 0 and entries(tmp_path) and str(entries(tmp_path)[0].parent) == where
    assert run(tmp_path)[:2] == (value, len(entries(tmp_path)))
    assert not list(tmp_path.glob("*/running-*"))

    kept = entries(tmp_path)
    for path in kept:  # as they are after a process was killed while it wrote
        os.utime(path, (time.time() - 100, time.time() - 100))
    kept[0].unlink()
    with start(tmp_path, then="wait") as process:
        assert process.stdout is not None
        assert float(process.stdout.readline().split()[0]) == value
        process.send_signal(signal.SIGKILL)
    kept[0].write_bytes(kept[0].read_bytes()[:50])
    value_again, hits, _ = run(tmp_path)
    assert (value_again, hits) == (value, len(kept) - 1)  # the cut one was thrown away, the older ones were not
    assert run(tmp_path)[:2] == (value, len(kept))  # and is whole again


def test_the_folder_does_not_grow_for_ever_and_is_this_users_alone(tmp_path):
    value = run(tmp_path)[0]
    assert run(tmp_path, most=0)[:2] == (value, 0)
    here = entries(tmp_path)[0].parent
    if os.name == "posix":
        here.chmod(0o777)
        assert run(tmp_path) == (value, 0, "None")
        here.chmod(0o700)
    assert str(bc.use_cache(tmp_path)) == os.environ["JAX_COMPILATION_CACHE_DIR"]  # one's own stays as it is


@pytest.mark.parametrize("option", [[], ["--no-cache"]])
def test_commands_keep_programs_unless_they_are_asked_not_to(option, monkeypatch):
    from click.testing import CliRunner

    from bayescal.cli import main

    asked = []
    monkeypatch.setattr("bayescal.cli.use_cache", lambda: asked.append(True))
    result = CliRunner().invoke(main, ["solve", "no-such-game", "--cost", "1", *option])
    assert result.exit_code == 2 and bool(asked) == (not option)
