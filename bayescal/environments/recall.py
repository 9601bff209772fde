"""Perfect recall: whoever moves at an information set remembers what they knew and did before.

Beliefs in a set are Bayes' rule over the others' moves only because one's own earlier moves are the same at all of its
nodes. Where they are not, the player has forgotten them, and neither of our concepts is defined.
"""

from collections.abc import Sequence

import numpy as np


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
    before: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}  # own moves before each (player, node)
    first: dict[tuple[int, int], tuple[tuple[int, int], ...]] = {}
    found: dict[tuple[int, int], str] = {}

    def told(player: int, moves: tuple[tuple[int, int], ...]) -> str:
        names = [f"{actions[player][s][b]!r} in {situations[player][s]!r}" for s, b in moves]
        return " and ".join(names) if names else "no own move"

    for h, i in enumerate(mover):
        at, here = (int(i), int(situation[h])), before.get((int(i), h), ())
        if i >= 0 and first.setdefault(at, here) != here and at not in found:
            found[at] = (
                f"player {i} does not remember their own moves in situation {situations[i][situation[h]]!r}: one of "
                f"its nodes comes after {told(at[0], first[at])}, another after {told(at[0], here)}; give nodes after "
                "different own moves different situations (games need perfect recall)"
            )
        for b, c in enumerate(children[h]):
            for player in range(len(situations)) if c >= 0 else ():
                own = before.get((player, h), ())
                before[player, int(c)] = (*own, (at[1], b)) if player == i else own
    return list(found.values())
