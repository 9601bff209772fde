"""Game trees for tests: Selten's horse, random trees with perfect recall, and a solver that walks them node by node.

The solver shares nothing with bayescal but the tree: it visits `Move`, `Chance` and `End` from the root, carries
everybody's chances of coming so far, and iterates damped replies.
"""

from collections import defaultdict

import numpy as np

from bayescal.environments.extensive import Chance, End, ExtensiveForm, Move

HORSE = ((3, 3, 2), (0, 0, 0), (1, 1, 1), (4, 4, 0), (0, 0, 1))  # payoffs of D L, D R, C c, C d L and C d R


def horse_root(u=HORSE) -> Move:
    """Selten's horse: the third player cannot tell a node at depth 1 from one at depth 2."""
    third = lambda left, right: Move(2, "third", {"L": End(tuple(left)), "R": End(tuple(right))})
    second = Move(1, "second", {"d": third(u[3], u[4]), "c": End(tuple(u[2]))})
    return Move(0, "first", {"D": third(u[0], u[1]), "C": second})


def horse() -> ExtensiveForm:
    return ExtensiveForm(horse_root(), name="horse", role_names=("first", "second", "third"))


def random_tree(seed: int, players: int = 3, deepest: int = 4) -> tuple[ExtensiveForm, Move]:
    """(a game, its root): a tree in which at least one information set has nodes at different depths."""
    rng = np.random.default_rng(seed)
    while True:
        sets: dict = defaultdict(list)  # own history and number of actions -> names of information sets
        depths: dict[str, set[int]] = defaultdict(set)

        def grow(depth, histories, sets=sets, depths=depths):
            if depth == deepest or (depth > 1 and rng.random() < 0.3):
                return End(tuple(np.round(rng.normal(size=players), 2)))
            mover = int(rng.integers(-1 if depth else 0, players))
            if mover < 0:
                odds = rng.dirichlet(np.ones(2)).round(2)
                odds = np.clip(odds, 0.1, 0.9) if odds.min() < 0.1 else odds
                first = round(float(odds[0]), 2)
                kids = [grow(depth + 1, histories) for _ in range(2)]
                return Chance(((first, kids[0]), (1 - first, kids[1])))
            count = int(rng.integers(2, 4)) if depth < 2 else 2
            known = sets[mover, histories[mover], count]
            if not known or rng.random() < 0.25:
                known.append(f"p{mover}s{sum(len(x) for x in sets.values())}")
            name = known[int(rng.integers(len(known)))]
            depths[name].add(depth)
            after = lambda a: (*histories[:mover], (*histories[mover], (name, a)), *histories[mover + 1 :])
            return Move(mover, name, {f"{name}a{a}": grow(depth + 1, after(a)) for a in range(count)})

        root = grow(0, ((),) * players)
        everybody = {name[:2] for name in depths} == {f"p{i}" for i in range(players)}
        if everybody and any(len(x) > 1 for x in depths.values()):
            game = ExtensiveForm(root, name=f"random-{seed}", role_names=[f"player {i}" for i in range(players)])
            return game, root


class Walk:
    """Replies to play in a tree. `play[player, situation]` is (types, actions)."""

    def __init__(self, root, players, costs, shares, concept, habit=None):
        self.root, self.players, self.concept = root, players, concept
        self.costs, self.shares = np.asarray(costs, float), np.asarray(shares, float)  # (players, types), (types,)
        self.habit = habit or {}
        self.sets: dict = {}
        self._collect(root)

    def _collect(self, node):
        if isinstance(node, Move):
            self.sets[node.player, node.situation] = tuple(node.actions)
        for kid in kids_of(node):
            self._collect(kid)

    def flat(self):
        types = len(self.shares)
        return {at: np.tile(self.log_q(at), (types, 1)) for at in self.sets}

    def log_q(self, at):
        n = len(self.sets[at])
        return np.log(self.habit.get(at, np.full(n, 1 / n)))

    def worth(self, node, i, k, reach, play):
        """What type k of player i gets from this node on, net of their own cost of information."""
        if isinstance(node, End):
            return node.payoffs[i]
        if isinstance(node, Chance):
            return sum(p * self.worth(kid, i, k, reach, play) for p, kid in node.branches)
        j, mix = node.player, play[node.player, node.situation]
        if j == i:
            p = mix[k]
        else:
            posterior = self.shares * reach[j]
            p = posterior @ mix / posterior.sum()
        total = 0.0
        for a, kid in enumerate(node.actions.values()):
            total += p[a] * self.worth(kid, i, k, self.moved(reach, j, mix[:, a]), play)
        if j == i and self.concept == "trajectory":
            total -= self.costs[i, k] * np.sum(p * (np.log(p) - self.log_q((j, node.situation))))
        return total

    def moved(self, reach, player, odds):
        out = reach.copy()
        out[player] = out[player] * odds
        return out

    def values(self, play):
        """Q of every action of every type: means over the nodes of an information set, wherever they are."""
        types = len(self.shares)
        top = {at: np.zeros((types, len(names))) for at, names in self.sets.items()}
        bottom = dict.fromkeys(self.sets, 0.0)

        def visit(node, nature, reach):
            if isinstance(node, End):
                return
            if isinstance(node, Chance):
                for p, kid in node.branches:
                    visit(kid, nature * p, reach)
                return
            i, at = node.player, (node.player, node.situation)
            others = nature * np.prod([self.shares @ reach[j] for j in range(self.players) if j != i])
            bottom[at] += others
            for a, kid in enumerate(node.actions.values()):
                there = self.moved(reach, i, play[at][:, a])
                for k in range(types):
                    top[at][k, a] += others * self.worth(kid, i, k, there, play)
                visit(kid, nature, there)

        visit(self.root, 1.0, np.ones((self.players, types)))
        return {at: top[at] / bottom[at] for at in self.sets}

    def reply(self, play):
        out = {}
        for at, q in self.values(play).items():
            x = self.log_q(at) + q / self.costs[at[0]][:, None]
            x = np.exp(x - x.max(axis=1, keepdims=True))
            out[at] = x / x.sum(axis=1, keepdims=True)
        return out

    def solve(self, damping=0.5, rounds=400):
        play = {at: np.exp(x) for at, x in self.flat().items()}
        for _ in range(rounds):
            new = self.reply(play)
            off = max(np.abs(new[at] - play[at]).max() for at in play)
            play = {at: (1 - damping) * play[at] + damping * new[at] for at in play}
            if off < 1e-12:
                return play
        raise AssertionError(f"replies do not settle: {off}")


def kids_of(node):
    if isinstance(node, End):
        return []
    return [n for _, n in node.branches] if isinstance(node, Chance) else list(node.actions.values())


def by_set(game: ExtensiveForm, strategies) -> dict:
    """(player, situation) -> the choices there, of padded arrays whose last axes are situations and actions."""
    out = {}
    for i in range(game.players):
        for s, (name, labels) in enumerate(game.situations_of(i)):
            out[i, name] = np.asarray(strategies)[i, ..., s, : len(labels)]
    return out
