"""`bayescal solve` of a small table of payoffs in NumPy: the answer of the ordinary solver, or none."""

import json
import resource
import subprocess
import sys

import jax
import numpy as np
import pytest
from click.testing import CliRunner

import bayescal as bc
from bayescal.cli import main
from bayescal.cli.solve_small import SmallGame, small_game, solve_small

FAULTS = {
    "a truth value": {"payoffs": [[[1, True], [0, 1]], [[1, 0], [0, 1]]]},
    "ragged": {"payoffs": [[[1, 2], [0]], [[1, 0], [0, 1]]]},
    "one name for two": {"payoffs": [[[1, 0], [0, 1]], [[1, 0], [0, 1]]], "roles": ["a", "a"]},
    "too few actions": {"payoffs": [[[1, 0], [0, 1]], [[1, 0], [0, 1]]], "actions": [["a"], ["b", "c"]]},
    "an unknown key": {"payoffs": [[[1, 0], [0, 1]], [[1, 0], [0, 1]]], "colour": "red"},
    "an invisible character": {"payoffs": [[[1, 0], [0, 1]], [[1, 0], [0, 1]]], "name": "a\x00"},
}


def small(payoffs):
    players = len(payoffs)
    return SmallGame("game", payoffs, ("role",) * players, (("action",),) * players)


@pytest.mark.parametrize("shape", [(2, 2), pytest.param((2, 2, 2), marks=pytest.mark.slow)])
def test_the_answer_is_the_other_solvers(shape):
    rng, left, told = np.random.default_rng(2), 0, 0
    with jax.enable_x64(True):
        for _ in range(24):
            payoffs, cost = rng.normal(size=(len(shape), *shape)), float(rng.choice([0.03, 0.2, 1.0]))
            found = solve_small(small(payoffs), [cost])
            left += found is None
            if found is None:
                continue
            want = bc.equilibrium(bc.NormalForm(payoffs), cost)
            np.testing.assert_allclose(found.strategies, want.strategies, atol=1e-9)
            np.testing.assert_allclose(found.exploitability, want.exploitability, atol=1e-9)
            assert found.stable == bool(want.stable)
            other = solve_small(small(payoffs), [1.01 * cost])  # the planted error: another cost
            told += other is None or np.abs(other.strategies - found.strategies).max() > 1e-9
    assert left <= 2 and told >= 12


def test_costs_that_differ():
    payoffs = np.random.default_rng(4).normal(size=(2, 2, 2))
    with jax.enable_x64(True):
        want = bc.equilibrium(bc.NormalForm(payoffs), np.array([0.2, 1.5]))
    np.testing.assert_allclose(solve_small(small(payoffs), [0.2, 1.5]).strategies, want.strategies, atol=1e-9)
    assert np.abs(solve_small(small(payoffs), [1.5, 0.2]).strategies - np.asarray(want.strategies)).max() > 0.01


def test_forks_are_left_to_the_other_solver():
    coordination = np.stack([np.eye(3)] * 2)
    assert solve_small(small(coordination), [0.1]) is None
    assert solve_small(small(coordination), [1.0]) is not None  # before the fork


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_left_to_the_reader_that_words_them(name, tmp_path):
    path = tmp_path / "game.json"
    path.write_text(json.dumps(FAULTS[name]))
    assert small_game(str(path)) is None
    path.write_text(json.dumps({"payoffs": [[[1, 0], [0, 1]], [[1, 0], [0, 1]]]}))
    assert small_game(str(path)) is not None


@pytest.mark.parametrize("name", ["kuhn-poker", "cournot-2", "nowhere", "nowhere.json"])
def test_other_games_are_not_taken(name):
    assert small_game(name) is None


def test_what_is_printed_is_the_same(monkeypatch):
    run = lambda *words: CliRunner().invoke(main, ["solve", "chicken", "--cost", "1.5", *words])
    fast, table = json.loads(run("--json").stdout), run().stdout
    monkeypatch.setattr("bayescal.cli.solve._solved_small", lambda *asked: False)
    slow = json.loads(run("--json").stdout)
    assert table == run().stdout
    assert set(fast) == set(slow) and fast["residual"] < 1e-9
    assert {k: fast[k] for k in ("status", "stable", "forked", "strategies_by_type")} == {
        k: slow[k] for k in ("status", "stable", "forked", "strategies_by_type")
    }
    np.testing.assert_allclose(fast["strategies"], slow["strategies"], atol=1e-9)
    np.testing.assert_allclose(fast["exploitability"], slow["exploitability"], atol=1e-9)


def test_it_does_not_wait_for_jax():
    code = (
        "import sys; from bayescal.cli import main\n"
        "try: main(['solve', 'stag-hunt', '--cost', '1'])\n"
        "except SystemExit: print('jax' in sys.modules)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert out.strip().endswith("False") and "stag" in out
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
