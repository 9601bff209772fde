"""Dal Bo & Frechette (2011): repeated prisoner's dilemmas with a known continuation probability, rematched."""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from bayescal.environments.repeated_dilemma import repeated_dilemma
from bayescal.errors import InputError
from bayescal.plain import Options
from bayescal.study.readers.base import Reader, Reading
from bayescal.study.readers.raw import numbers, raw_table, wholes

Rows = Int[np.ndarray, " rows"]
COLUMNS = ("match", "round", "date", "r", "delta", "coop", "group", "id")
LABELS = ("date",)


def read(path: Path, options: Options) -> Reading:
    """A session is a group. Rounds are numbered through all matches of a person, so that a person decides once a
    round; `match` and `match_round` say which match and which of its rounds that is. A player has seen the last round
    of the same match, from the rows of both players. Player 1 is the one with the lower number.
    """
    raw = raw_table(path, COLUMNS, filled=LABELS, tabs=True)
    match, within, pair, who = (wholes(raw, name, path) for name in ("match", "round", "group", "id"))
    delta, reward = numbers(raw, "delta", path), wholes(raw, "r", path)
    defects = 1 - wholes(raw, "coop", path)
    second, state = _seen(pair, within, who, defects, raw, path)
    order = np.lexsort([within, match, who])
    rounds = np.empty(len(raw), dtype=np.int64)
    rounds[order] = pd.Series(who[order]).groupby(who[order]).cumcount().to_numpy() + 1
    game = np.array([_name(r, d) for r, d in zip(reward.tolist(), delta.tolist(), strict=True)], dtype=object)
    table = pd.DataFrame(
        {
            "participant": who,
            "group": raw["date"],
            "game": game,
            "role": np.where(second, "player 2", "player 1"),
            "round": rounds,
            "action": defects,
            "state": state,
            "match": match,
            "match_round": within,
            "reward": reward,
            "delta": delta,
        },
        index=raw.index,
    )
    kinds = sorted(set(zip(reward.tolist(), delta.tolist(), strict=True)))
    games = {_name(r, d): repeated_dilemma(**({"reward": r, "discount": d, **options})) for r, d in kinds}
    return Reading(table, games)


def _name(reward: int, delta: float) -> str:
    return f"R {reward:g}, delta {delta:g}"


def _seen(
    pair: Rows, within: Rows, who: Rows, action: Rows, raw: pd.DataFrame, path: Path
) -> tuple[Bool[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """(whether a row is the second player's, the state before it: 0 in the first round of a match, then 1 + 2 a1 + a2;
    NaN if the round before is not recorded)."""
    order = np.lexsort([who, within, pair])
    first, other = order[::2], order[1::2]
    paired = len(order) % 2 == 0 and np.array_equal(
        np.stack([pair, within])[:, first], np.stack([pair, within])[:, other]
    )
    if not paired or (who[first] == who[other]).any():
        sizes = pd.Series(who).groupby([pair, within]).transform("nunique").to_numpy()
        at = int(np.flatnonzero(sizes != 2)[0]) if (sizes != 2).any() else 0
        raise InputError(
            f"{path.name}, column 'group', line {raw.index[at]}: a match is played by two, each with one row a round; "
            f"correct the rows of group {pair[at]}, round {within[at]}."
        )
    outcome = 1 + 2 * action[first] + action[other]
    follows = np.append(False, (pair[first][1:] == pair[first][:-1]) & (within[first][1:] == within[first][:-1] + 1))
    before = np.where(follows, np.append(0, outcome[:-1]), np.where(within[first] == 1, 0, np.nan))
    second, state = np.zeros(len(order), bool), np.empty(len(order))
    second[other] = True
    state[first] = state[other] = before
    return second, state


EXAMPLE = """\
* Dictionary *
match:\t\tmatch #

match\tround\tdate\tr\tdelta\tcoop\tgroup\tid
1\t1\t9.1\t40\t.75\t1\t51\t7
1\t1\t9.1\t40\t.75\t0\t51\t3
1\t2\t9.1\t40\t.75\t0\t51\t7
1\t2\t9.1\t40\t.75\t1\t51\t3
2\t1\t9.1\t40\t.75\t1\t52\t7
2\t1\t9.1\t40\t.75\t1\t52\t4
1\t1\t9.2\t32\t.5\t0\t61\t11
1\t1\t9.2\t32\t.5\t1\t61\t12
"""

READER = Reader(read, COLUMNS, decisions=("coop",), labels=LABELS, example=EXAMPLE)
