"""`bayescal solve` of a small game tree in NumPy, against published concepts and closed forms."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bayescal.cli import main
from bayescal.cli.solve_small_tree import residual_of, small_tree, solve_small_tree
from bayescal.solvers.tree_system import TreeSystem

GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "sequential_concepts.json"
GAMES = json.loads(GOLDEN.read_text())["games"]
NAMES = {"kuhn-poker": "kuhn_poker", "centipede-4": "centipede4_mckp92"}
CONCEPTS = {"a": "agent", "b": "trajectory"}
TRUST = {
    "roles": ["sender", "receiver"],
    "tree": {
        "player": "sender",
        "situation": "begin",
        "actions": {"send": {"player": "receiver", "actions": {"share": [2, 2], "keep": [0, 4]}}, "keep": [1, 1]},
    },
}


def distance(strategies, policies):
    """From the golden policies, over all situations."""
    found = {name: list(row.values()) for rows in strategies.values() for name, row in rows.items()}
    assert set(found) == set(policies)
    return max(np.abs(np.subtract(found[name], want)).max() for name, want in policies.items())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("concept", CONCEPTS)
def test_trees_are_solved_as_published(name, concept):
    game, compared = small_tree(name), 0
    for precision, golden in GAMES[NAMES[name]].items():
        done = solve_small_tree(game, [1 / float(precision)], CONCEPTS[concept])
        if done is None:  # left to the other solver
            continue
        solution, strategies = done
        assert solution.stable and solution.residual < 1e-9
        assert distance(strategies, golden[concept]["policy"]) < 1e-6
        # The planted error: a cost that is off by a tenth.
        wrong = solve_small_tree(game, [1.1 / float(precision)], CONCEPTS[concept])
        compared += wrong is not None and distance(wrong[1], golden[concept]["policy"]) > 1e-4
    assert compared >= len(GAMES[NAMES[name]]) - 1


def test_costs_of_two_players_by_hand(tmp_path):
    path = tmp_path / "trust.json"
    path.write_text(json.dumps(TRUST))
    game = small_tree(str(path))
    share = 1 / (1 + np.exp((4 - 2) / 1.5))
    send = 1 / (1 + np.exp((1 - 2 * share) / 0.4))
    for concept in CONCEPTS.values():
        _, strategies = solve_small_tree(game, [0.4, 1.5], concept)
        assert strategies["receiver"]["after send"]["share"] == pytest.approx(share, abs=1e-12)
        assert strategies["sender"]["begin"]["send"] == pytest.approx(send, abs=1e-12)


def test_the_residual_notices_play_that_is_no_reply():
    game = small_tree("kuhn-poker")
    solution, _ = solve_small_tree(game, [0.3], "trajectory")
    system = TreeSystem(game.tree, np.array([0.3, 0.3]), "trajectory")
    play = {(i, s): solution.strategies[first : first + 2] for i in range(2) for s, first in enumerate(system.first[i])}
    assert residual_of(game.tree, play, system.costs, "trajectory") < 1e-12
    assert residual_of(game.tree, play, system.costs, "agent") > 1e-3
    moved = play | {(0, 0): play[0, 0] + np.array([0.01, -0.01])}
    assert residual_of(game.tree, moved, system.costs, "trajectory") > 5e-3


def test_derivatives_are_those_of_finite_differences():
    system = TreeSystem(small_tree("kuhn-poker").tree, np.array([0.5, 2.0]), "trajectory")
    v, t, h = np.random.default_rng(0).normal(size=system.unknowns), 0.7, 1e-6
    f = lambda v, t: v - system.reply(v[None], np.array([t]))[0]
    got, slope, in_t = system.along(v, t)
    np.testing.assert_allclose(got, f(v, t), atol=1e-12)
    columns = [(f(v + h * e, t) - f(v - h * e, t)) / (2 * h) for e in np.eye(len(v))]
    np.testing.assert_allclose(slope, np.array(columns).T, atol=1e-7)
    np.testing.assert_allclose(in_t, (f(v, t + h) - f(v, t - h)) / (2 * h), atol=1e-7)


def test_faults_are_left_to_the_reader_that_words_them(tmp_path):
    path = tmp_path / "tree.json"
    for change in ({"roles": ["a", "a"]}, {"roles": "ab"}, {"colour": "red"}, {"tree": [1]}, {"name": 3}):
        path.write_text(json.dumps(TRUST | change))
        assert small_tree(str(path)) is None
    assert small_tree("cournot-2") is None


def test_the_command_prints_it():
    run = lambda *words: CliRunner().invoke(main, ["solve", "kuhn-poker", "--cost", "0.2", *words])
    out = json.loads(run("--json").stdout)
    assert set(out) == {"status", "concept", "residual", "stable", "forked", "strategies"}
    assert out["status"] == "converged" and out["residual"] < 1e-9
    assert "kuhn-poker: converged (agent concept)." in run("--concept", "agent").stdout
