"""All equilibria of small games: against Gambit's enumeration, and against scans of one unknown."""

import json

import jax
import numpy as np
import pygambit
import pytest
from click.testing import CliRunner
from scipy.optimize import brentq

import bayescal as bc
from bayescal.cli import main
from bayescal.solvers.every_root import every_root


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def gambits(payoffs):
    """The Nash equilibria that Gambit enumerates, each as one list of probabilities."""
    game = pygambit.StrategicGame.from_arrays(*payoffs)
    found = pygambit.nash.enummixed_solve(game, rational=False).equilibria
    return [[float(x) for mixture in profile for _, x in mixture] for profile in found]


def ours(payoffs):
    m, n = np.shape(payoffs)[1:]
    return [[*e.strategies[0, :m], *e.strategies[1, :n]] for e in bc.nash_equilibria(bc.NormalForm(payoffs))]


def unlike(some, others):
    """The largest distance of a list of points from another, in either direction."""
    distance = np.abs(np.array(some)[:, None] - np.array(others)[None]).max(axis=2)
    return max(distance.min(axis=0).max(), distance.min(axis=1).max())


def test_nash_equilibria_are_gambits():
    rng = np.random.default_rng(7)
    counts = set()
    for _ in range(25):
        payoffs = rng.normal(size=(2, *rng.integers(2, 6, size=2)))
        want, found = gambits(payoffs), ours(payoffs)
        assert len(want) == len(found) and unlike(want, found) < 1e-8
        counts.add(len(want))
        # The planted error: the column player's payoffs the other way round.
        assert unlike(ours(payoffs * np.array([1, -1])[:, None, None]), want) > 1e-3
    assert {1, 3, 5} <= counts


def test_a_degenerate_game_is_marked():
    """Against her first column both rows pay the same: a continuum of equilibria."""
    found = bc.nash_equilibria(bc.NormalForm([[[1, 0], [1, 1]], [[1, 0], [0, 0]]]))
    assert any(e.degenerate for e in found)
    assert not any(e.degenerate for e in bc.nash_equilibria(bc.get_game("stag-hunt")))


def scanned(u, cost):
    """Row's probabilities of the first action at which the reply to the reply is the same: signs on a fine grid."""
    logistic = lambda x: 1 / (1 + np.exp(-x))
    column = lambda p: logistic((p * (u[1, 0, 0] - u[1, 0, 1]) + (1 - p) * (u[1, 1, 0] - u[1, 1, 1])) / cost)
    row = lambda q: logistic((q * (u[0, 0, 0] - u[0, 1, 0]) + (1 - q) * (u[0, 0, 1] - u[0, 1, 1])) / cost)
    off = lambda p: row(column(p)) - p
    grid = 1 / (1 + np.exp(-np.linspace(-40, 40, 40_001)))
    signs = np.sign(off(grid))
    return np.sort([brentq(off, grid[i], grid[i + 1], xtol=1e-15) for i in np.flatnonzero(signs[1:] != signs[:-1])])


def test_equilibria_of_two_by_two_games_are_those_of_a_scan():
    rng = np.random.default_rng(5)
    counts, missed = [], 0
    for k in range(8):
        u = rng.normal(size=(2, 2, 2)) + (k % 2) * 1.5 * np.eye(2)
        found = bc.equilibria(bc.NormalForm(u), 0.15)
        got, want = np.sort([e.strategies[0, 0] for e in found]), scanned(u, 0.15)
        assert len(got) == len(want) and found.balanced
        np.testing.assert_allclose(got, want, atol=1e-7)
        assert [e.principal for e in found] == [True] + [False] * (len(found) - 1)
        counts.append(len(found))
        planted = scanned(u, 0.16)  # an error: another cost
        missed += len(planted) == len(want) and np.abs(planted - want).max() < 1e-7
    assert {1, 3} == set(counts) and missed < 3


def test_three_ways_to_coordinate():
    """At a small cost an equilibrium for each set of actions that both mix over: 7, of which those that mix are
    unstable in as many directions as there are further actions in the mixture."""
    u = np.diag([1.0, 1.5, 2.0])
    found = bc.equilibria(bc.NormalForm([u, u]), np.array([0.05, 0.05]))
    assert sorted(e.unstable for e in found) == [0, 0, 0, 1, 1, 1, 2] and found.index == 1 and found[0].principal
    for e in found:
        p, q = e.strategies
        for mine, values in ((p, u @ q), (q, u @ p)):
            reply = np.exp(values / 0.05 - np.max(values / 0.05))
            np.testing.assert_allclose(mine, reply / reply.sum(), atol=1e-9)
            assert np.max(values) - mine @ values == pytest.approx(e.exploitability[0 if mine is p else 1], abs=1e-12)
    supports = {tuple(np.flatnonzero(e.strategies[0] > 0.1)) for e in found}
    assert len(supports) == 7


def test_equilibria_of_a_symmetric_game_of_three():
    """The volunteer's dilemma, of which one unknown is left: the share that volunteers."""
    game = bc.get_game("volunteers-dilemma")
    found = bc.equilibria(game, 0.1)
    np.testing.assert_allclose(found[0].strategies, bc.equilibrium(game, 0.1).strategies, atol=1e-9)
    assert found.balanced and len(found) == 1


def test_roots_that_are_known_repel():
    """(x - 1)(x - 2)(x - 4), from one start."""

    def cubic(v):
        slope = (v - 2) * (v - 4) + (v - 1) * (v - 4) + (v - 1) * (v - 2)
        return (v - 1) * (v - 2) * (v - 4), slope[..., None]

    start = np.array([[0.0]])
    roots = every_root(cubic, start)
    np.testing.assert_allclose(np.sort(np.ravel(roots)), [1, 2, 4], atol=1e-12)
    assert len(every_root(cubic, start, [np.array([1.0]), np.array([2.0])])) == 3


def test_games_that_are_too_large_are_refused():
    with pytest.raises(bc.InputError, match="3 players"):
        bc.nash_equilibria(bc.get_game("volunteers-dilemma"))
    with pytest.raises(bc.InputError, match="pairs of supports"):
        bc.nash_equilibria(bc.NormalForm(np.random.default_rng(0).normal(size=(2, 14, 14))))
    with pytest.raises(bc.InputError, match="unknown probabilities"):
        bc.equilibria(bc.get_game("cournot-2"), 1.0)


def test_the_command_lists_all():
    run = lambda *words: CliRunner().invoke(main, ["solve", *words])
    done = run("stag-hunt", "--cost", "0.2", "--all", "--json")
    out = json.loads(done.stdout)
    assert done.exit_code == 0 and out["balanced"]
    assert [e["stable"] for e in out["equilibria"]] == [True, True, False]
    assert [e["payoffs"] for e in out["nash"]] == [[4, 4], [3, 3], pytest.approx([3, 3])]
    said = run("stag-hunt", "--cost", "0.2", "--all").stdout
    assert "3 equilibria found." in said and "1 (principal)" in said
    refused = run("kuhn-poker", "--cost", "0.2", "--all")
    assert refused.exit_code != 0 and "played once" in refused.output
