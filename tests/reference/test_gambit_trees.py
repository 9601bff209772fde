"""Agent quantal response equilibria against Gambit 17, run here: Selten's horse, a random tree whose information sets
have nodes at different depths, and random normal forms. (Kuhn's poker is in test_sequential.py.)

Gambit may stop at another lambda than it was asked for, so each game is solved at the one that it reports.
"""

import io
from fractions import Fraction

import jax
import numpy as np
import pygambit
import pytest
from trees import horse, random_tree

import bayescal as bc
from bayescal.environments.extensive import CHANCE, END, ExtensiveForm

LAMBDAS = [1.0, 3.0, 10.0]
DRAWS = 30

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def as_efg(game: ExtensiveForm, payoffs) -> str:
    """The tree in Gambit's format. Actions are labelled by player, situation and number, to be found again."""
    tree = game.tree
    quoted = lambda names: "{ " + " ".join(f'"{n}"' for n in names) + " }"
    lines = [f'EFG 2 R "tree" {quoted(f"p{i}" for i in range(game.players))}', '""']

    def write(h):
        i, s = int(tree.mover[h]), int(tree.situation[h])
        kids = [int(c) for c in tree.children[h] if c >= 0]
        if i == END:
            lines.append(f't "" {tree.end[h] + 1} "" {{ {", ".join(repr(float(x)) for x in payoffs[tree.end[h]])} }}')
        elif i == CHANCE:
            odds = " ".join(
                f'"{b}" {Fraction(float(tree.chances[h, b])).limit_denominator(1000)}' for b in range(len(kids))
            )
            lines.append(f'c "" {h + 1} "" {{ {odds} }} 0')
        else:
            labels = quoted(f"{i}/{s}/{b}" for b in range(len(kids)))
            lines.append(f'p "" {i + 1} {s + 1} "{i}/{s}" {labels} 0')
        for c in kids:
            write(c)

    write(0)
    return "\n".join(lines) + "\n"


def gambit_tree(game, payoffs, lambdas):
    """[(lambda, strategies by player, situation and action)]"""
    out = []
    for found in pygambit.qre.logit_solve_lambda(pygambit.read_efg(io.StringIO(as_efg(game, payoffs))), lambdas):
        table = np.zeros(game.possible.shape)
        for by_set in found.profile:
            for _, choices in by_set:
                for label, p in choices:
                    table[tuple(map(int, str(label).split("/")))] = p
        out.append((found.lam, table))
    return out


def largest_difference(game, draws, lambdas=LAMBDAS) -> float:
    """Between Gambit's solutions and ours, over these payoffs, in one compiled program."""
    policy = bc.ExactPolicy(game, concept="agent")
    cells = [(u, lam, table) for u in draws for lam, table in gambit_tree(game, u, lambdas)]
    solve = lambda u, lam: policy.solve(1 / lam, params={"payoffs": u})
    solved = jax.jit(jax.vmap(solve))(np.array([c[0] for c in cells]), np.array([c[1] for c in cells]))
    assert len(cells) == len(draws) * len(lambdas) and np.all(np.asarray(solved.converged))
    ours = np.where(game.possible, np.asarray(solved.strategies), 0.0)
    return float(np.abs(ours - [c[2] for c in cells]).max())


def test_seltens_horse():
    game = horse()
    assert largest_difference(game, [np.asarray(game.tree.payoffs)], [0.5, 1.0, 2.5, 5.0, 10.0]) < 1e-6


def test_a_random_tree_whose_information_sets_span_depths():
    game, _ = random_tree(1)
    rng = np.random.default_rng(101)
    draws = [rng.normal(size=game.tree.payoffs.shape).round(2) for _ in range(DRAWS)]
    assert largest_difference(game, draws) < 1e-6


def test_random_normal_forms():
    sizes = (2, 2, 2)
    rng = np.random.default_rng(len(sizes))
    cells = []
    for _ in range(DRAWS):
        u = rng.normal(size=(len(sizes), *sizes)).round(2)
        game = pygambit.StrategicGame.from_arrays(*u)
        solved = pygambit.qre.logit_solve_lambda(game, LAMBDAS)
        cells += [(u, found.lam, [[p for _, p in row] for row in found.profile]) for found in solved]
    policy = bc.ExactPolicy(bc.NormalForm(cells[0][0]))
    solve = lambda u, lam: policy.solve(1 / lam, params={"payoffs": u})
    solved = jax.jit(jax.vmap(solve))(np.array([c[0] for c in cells]), np.array([c[1] for c in cells]))
    assert np.all(np.asarray(solved.converged))
    np.testing.assert_allclose(solved.strategies, np.array([c[2] for c in cells]), atol=1e-6)
