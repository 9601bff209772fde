"""Perfect recall: whoever moves at an information set remembers what they knew and did before.

Beliefs in a set are Bayes' rule over the others' moves only because one's own earlier moves are the same at all of its
nodes. Where they are not, the player has forgotten them, and neither of our concepts is defined.
"""

from collections.abc import Sequence

import numpy as np

from bayescal.plain import listed


def forgotten(
    mover: np.ndarray,
    situation: np.ndarray,
    children: np.ndarray,
    situations: Sequence[Sequence[str]],
    actions: Sequence[Sequence[Sequence[str]]],
) -> list[str]:
    """A sentence for each information set whose nodes differ in the own moves before them.

    Args:
        mover: by node, parents before their children; negative if nobody moves.
        situation: by node, the index of the mover's information set.
        children: (nodes, branches); -1 where there is none.
        situations, actions: names by player, labels by player and information set.
    """
    past = _Past()
    before = np.zeros((len(mover), len(situations)), int)  # what each player did before each node
    first: dict[tuple[int, int], int] = {}
    found: dict[tuple[int, int], str] = {}

    def described(player: int, number: int) -> str:
        names = [f"{actions[player][s][b]!r} in {situations[player][s]!r}" for s, b in past.moves(number)]
        return listed(names) if names else "no own move"

    for h, i in enumerate(map(int, mover)):
        at, here = (i, int(situation[h])), int(before[h, i]) if i >= 0 else 0
        if i >= 0 and first.setdefault(at, here) != here and at not in found:
            found[at] = (
                f"player {i + 1} does not remember their own moves in situation {situations[i][situation[h]]!r}: one "
                f"of its nodes comes after {described(i, first[at])}, another after {described(i, here)}; give nodes "
                "after different own moves different situations (games need perfect recall)"
            )
        for b, c in enumerate(children[h]):
            if c >= 0:
                before[c] = before[h]
            if c >= 0 and i >= 0:
                before[c, i] = past.after(here, at[1], b)
    return list(found.values())


class _Past:
    """Sequences of moves as numbers: 0 is the empty one, and each other one is one move longer than another."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[int, int, int], int] = {}
        self.rows: list[tuple[int, int, int]] = [(0, 0, 0)]

    def after(self, number: int, situation: int, branch: int) -> int:
        """The number of the sequence with this move added."""
        row = (number, situation, branch)
        if row not in self.numbers:
            self.numbers[row] = len(self.rows)
            self.rows.append(row)
        return self.numbers[row]

    def moves(self, number: int) -> list[tuple[int, int]]:
        """(situation, branch) of each move, the first one first."""
        out = []
        while number:
            number, situation, branch = self.rows[number]
            out.append((situation, branch))
        return out[::-1]
