"""Gambit's files: 60 random normal forms and 60 random trees, written here, against what they were written from and
against pygambit; and what we write, read by pygambit."""

import io
import itertools
import re
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pygambit
import pytest
from trees import Walk, by_set, random_tree

import bayescal as bc
from bayescal.environments.extensive import Chance, End, ExtensiveForm, Move
from bayescal.environments.gambit import read_efg, read_nfg, to_efg, to_nfg

GAMES = 60


def spelled(rng, x: Fraction) -> str:
    """A number in one of the ways in which it can be written."""
    exact = [str(x), f"{x.numerator * 2}/{x.denominator * 2}"]
    return str(rng.choice([*exact, str(float(x)), f"{float(x) * 10:.17g}e-1"]))


def random_payoffs(seed: int):
    rng = np.random.default_rng(seed)
    players = int(rng.integers(1, 4))
    sizes = [2, *rng.integers(1, 4, size=players - 1)]
    return rng, rng.integers(-40, 40, size=(players, *sizes))  # in eighths


def normal_text(rng, payoffs, form: str) -> str:
    """The text of a .nfg file, by loops over the strategies of the players: the first player's fastest."""
    players, sizes = payoffs.shape[0], payoffs.shape[1:]
    separator = str(rng.choice([" ", "\n"]))
    labels = "\n".join("{ " + " ".join(f'"{i}{k}"' for k in range(n)) + " }" for i, n in enumerate(sizes))
    strategies = " ".join(map(str, sizes)) if form == "sizes" else labels
    names = " ".join(f'"player \\"{i}\\""' for i in range(players))
    head = f'NFG 1 R "a title" {{ {names} }}\n{{ {strategies} }}\n' + str(rng.choice(["", '"a\ncomment"\n']))
    cells = [c[::-1] for c in itertools.product(*(range(n) for n in sizes[::-1]))]
    rows = [[spelled(rng, Fraction(int(payoffs[(i, *c)]), 8)) for i in range(players)] for c in cells]
    if form != "outcomes":
        return head + separator.join(separator.join(row) for row in rows) + "\n"
    order = rng.permutation(len(cells))
    listed = "\n".join('{ "o" ' + ", ".join(rows[k]) + " }" for k in order)
    number = {int(k): n + 1 for n, k in enumerate(order)}
    zero = [not any(payoffs[(i, *c)] for i in range(players)) for c in cells]
    return f"{head}{{ {listed} }}\n" + " ".join(str(0 if zero[k] else number[k]) for k in range(len(cells)))


@pytest.mark.parametrize("form", ["sizes", "labels", "outcomes"])
def test_normal_forms(form):
    for seed in range(GAMES // 3):
        rng, payoffs = random_payoffs(seed)
        if form == "outcomes":
            payoffs[(slice(None), *(0 for _ in payoffs.shape[1:]))] = 0
        text = normal_text(rng, payoffs, form)
        game = read_nfg(text, "a file", "game")
        np.testing.assert_array_equal(game.default_payoffs, payoffs / 8)
        assert game.name == "a title" and game.role_names[0] == 'player "0"'
        if form == "labels":
            assert [row[-1] for row in game.action_labels] == [f"{i}{n - 1}" for i, n in enumerate(payoffs.shape[1:])]
        np.testing.assert_array_equal(as_array(text), payoffs / 8)
        np.testing.assert_array_equal(as_array(to_nfg(game)), payoffs / 8)


def as_array(text: str) -> np.ndarray:
    """The payoffs that pygambit reads."""
    return np.array(pygambit.read_nfg(io.StringIO(text)).to_arrays(dtype=float), float)


def test_a_game_of_totals_is_written_with_all_its_players():
    game = bc.Cournot(3, [0.0, 10.0, 20.0])
    payoffs = as_array(to_nfg(game))
    for q in itertools.product(range(3), repeat=3):
        quantity = np.array([0.0, 10.0, 20.0])[list(q)]
        expected = quantity * (max(100 - quantity.sum(), 0) - 1)
        np.testing.assert_allclose(payoffs[(slice(None), *q)], expected, rtol=1e-6)


class TreeText:
    """The text of an .efg file, with all that the format allows: lists at the first node of a set only, payoffs at
    inner nodes, outcomes that are defined once, branches of probability zero, numbers in all spellings."""

    def __init__(self, root, players, rng):
        self.rng, self.players = rng, players
        names = " ".join(f'"player {i}"' for i in range(players))
        self.listed: list[list[str]] = []
        self.lines, self.numbers, self.outcomes = (
            [f'EFG 2 R "random" {{ {names} }}', '"a comment, \\"quoted\\""'],
            {},
            [],
        )
        self.write(root, np.zeros(players, int))

    def write(self, node, paid):
        """`paid` eighths have been paid on the way to the node."""
        if isinstance(node, End):
            self.lines.append(f't "" {self.outcome(np.round(np.array(node.payoffs) * 8).astype(int) - paid)}')
            return
        here = self.rng.integers(-8, 8, size=self.players) * int(self.rng.random() < 0.3)
        below = [n for _, n in node.branches] if isinstance(node, Chance) else list(node.actions.values())
        if isinstance(node, Chance):
            odds = [Fraction(p).limit_denominator(100) for p, _ in node.branches]
            branches = " ".join(f'"b{k}" {p}' for k, p in enumerate(odds))
            never = self.rng.random() < 0.5
            lists = f'"" {{ {branches} {chr(34) * 2 + " 0" if never else ""} }}'
            self.lines.append(f'c "" {len(self.lines)} {lists} {self.outcome(here)}')
            below += [End((99.0,) * self.players)] * never
        else:
            key = (node.player, node.situation)
            first = key not in self.numbers
            number = self.numbers.setdefault(key, len(self.numbers) + 7)
            labels = " ".join(f'"{a}"' for a in node.actions)
            again = f'"{node.situation}" {{ {labels} }}' if first or self.rng.random() < 0.3 else ""
            self.lines.append(f'p "node {len(self.lines)}" {node.player + 1} {number} {again} {self.outcome(here)}')
        for child in below:
            self.write(child, paid + here)

    def outcome(self, payoffs):
        if not np.any(payoffs):
            return "0"
        values = tuple(map(int, payoffs))
        if values in self.outcomes and self.rng.random() < 0.7:
            return str(self.outcomes.index(values) + 1)
        if values not in self.outcomes:  # Gambit wants one spelling of an outcome
            self.outcomes.append(values)
            self.listed.append([spelled(self.rng, Fraction(v, 8)) for v in values])
        number = self.outcomes.index(values) + 1
        listed = str(self.rng.choice([" ", ", "])).join(self.listed[number - 1])
        return f'{number} "o{number}" {{ {listed} }}'

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"


def eighths(node):
    """The tree with payoffs that are whole eighths, which every spelling gives exactly."""
    if isinstance(node, End):
        return End(tuple(round(8 * u) / 8 for u in node.payoffs))
    if isinstance(node, Chance):
        return Chance(tuple((p, eighths(n)) for p, n in node.branches))
    return Move(node.player, node.situation, {a: eighths(n) for a, n in node.actions.items()})


def tree_and_text(seed: int):
    players = 2 + seed % 2
    root = eighths(random_tree(seed, players, deepest=3 + seed % 3)[1])
    names = [f"player {i}" for i in range(players)]
    expected = ExtensiveForm(root, name="random", role_names=names)
    return expected, root, TreeText(root, players, np.random.default_rng(seed)).text


def same(found, expected) -> bool:
    one, other = found.tree, expected.tree
    shape = all(np.array_equal(getattr(one, k), getattr(other, k)) for k in ("mover", "situation", "children", "end"))
    names = (one.situations, one.actions, found.role_names) == (other.situations, other.actions, expected.role_names)
    return shape and names and np.allclose(one.chances, other.chances, rtol=0, atol=1e-15)


def uniform_worth(node, players):
    """By player, what they get if all choose uniformly."""
    if isinstance(node, End):
        return np.array(node.payoffs, float)
    if isinstance(node, Chance):
        return sum(p * uniform_worth(n, players) for p, n in node.branches)
    return sum(uniform_worth(n, players) for n in node.actions.values()) / len(node.actions)


def worth_by_pygambit(text: str):
    """(what players get if all choose uniformly, the lists of actions of each player's situations)"""
    profile = pygambit.read_efg(io.StringIO(text)).mixed_behavior_profile()
    sets = [sorted(tuple(str(a) for a, _ in choices) for _, choices in of_player) for of_player in profile]
    return np.array([float(profile.payoffs[name]) for name in profile.game.players]), sets


def test_trees():
    for seed in range(GAMES):
        expected, root, text = tree_and_text(seed)
        found = read_efg(text, "a file", "game")
        assert same(found, expected), seed
        np.testing.assert_array_equal(found.default_payoffs, expected.default_payoffs)
        worth = uniform_worth(root, expected.players)
        sets = [sorted(a for _, a in expected.situations_of(i)) for i in range(expected.players)]
        for written in (text, to_efg(found)):
            by_gambit = worth_by_pygambit(written)
            np.testing.assert_allclose(by_gambit[0], worth, atol=1e-9)
            assert by_gambit[1] == sets
        again = read_efg(to_efg(found), "a file", "game")
        assert same(again, expected) and np.array_equal(again.default_payoffs, expected.default_payoffs)


def test_a_tree_that_differs_is_told_apart():
    """What the tests above rely on: one payoff, probability or situation that was misread is seen."""
    expected, root, text = tree_and_text(0)
    worth = uniform_worth(root, expected.players)
    wrong = re.sub(r"(t .*\{) \S+?(?=,? )", r"\1 77", text, count=1)
    found = read_efg(wrong, "a file", "game")
    assert not np.array_equal(found.default_payoffs, expected.default_payoffs)
    assert np.abs(worth_by_pygambit(wrong)[0] - worth).max() > 1e-3
    split = text.replace(expected.tree.situations[1][0], "another name")
    assert not same(read_efg(split, "a file", "game"), expected)


@pytest.mark.parametrize("seed", [1, *(pytest.param(s, marks=pytest.mark.slow) for s in (4, 9, 10))])
def test_solutions_answer_themselves_node_by_node(seed):
    """The strategies of the solver are replies to themselves, by a walk over the nodes that knows nothing of arrays."""
    _, root, text = tree_and_text(seed)
    game = read_efg(text, "a file", "game")
    with jax.enable_x64(True):
        solution = bc.ExactPolicy(game, concept="agent").solve(0.7)
        play = {at: x[None] for at, x in by_set(game, solution.strategies).items()}
    walk = Walk(root, game.players, np.full((game.players, 1), 0.7), [1.0], "agent")
    residual = lambda play: max(np.abs(x - play[at]).max() for at, x in walk.reply(play).items())
    assert bool(solution.converged) and residual(play) < 1e-8
    at = next(iter(play))
    assert residual(play | {at: play[at][:, ::-1] * 0.9 + 0.1 / play[at].shape[1]}) > 1e-3


def test_gambits_own_games_are_read_or_have_imperfect_recall():
    folder = Path(pygambit.__file__).parent / "catalog_data"
    files = [*sorted(folder.rglob("*.efg")), *sorted(folder.rglob("*.nfg"))]
    forgetful = 0
    for path in files:
        if path.suffix == ".nfg":
            np.testing.assert_allclose(bc.load_game_file(path).default_payoffs, as_array(path.read_text()), atol=1e-12)
            continue
        recall = pygambit.read_efg(path).is_perfect_recall
        forgetful += not recall
        if recall:
            game = bc.load_game_file(path)
            for text in (path.read_text(), to_efg(game)):
                np.testing.assert_allclose(worth_by_pygambit(text)[0], uniform_worth_of(game), atol=1e-9)
        else:
            with pytest.raises(bc.InputError, match="does not remember"):
                bc.load_game_file(path)
    assert len(files) >= 40 and 0 < forgetful < 10


def uniform_worth_of(game: ExtensiveForm):
    """By player, what they get if all choose uniformly, from the arrays of a tree."""
    tree, chance = game.tree, np.ones(len(game.tree.mover))
    total = np.zeros(game.players)
    for h, children in enumerate(tree.children):
        below = children[children >= 0]
        odds = tree.chances[h, : len(below)] if tree.mover[h] == -1 else np.full(len(below), 1 / max(len(below), 1))
        chance[below] = chance[h] * odds
        if not len(below):
            total += chance[h] * game.default_payoffs[tree.end[h]]
    return total
