"""How large the games may be that options of a study or of the command line describe.

One digit too many must end in a sentence, not in a full memory. Games that are built from their classes in Python have
no such limits, and one's own named game may have others (`NamedGame.most`).
"""

from collections.abc import Mapping
from numbers import Real
from typing import Any

from bayescal._types import Number
from bayescal.environments.joint import LARGEST_TABLE
from bayescal.errors import InputError
from bayescal.plain import joined

ACTIONS = 10_000  # of a role, and entries of any list
PLAYERS_OF_TABLE = 60  # an array has at most 64 dimensions
NODES, DEPTH = 100_000, 1_000  # of a tree
CELLS = 5_000_000  # nodes of a tree times the most branches of one, or times players
MOST: Mapping[str, int] = {
    **dict.fromkeys(("players", "firms", "retailers"), 1_000),
    **dict.fromkeys(("rounds", "weeks", "horizon"), 100_000),
    **dict.fromkeys(("echelons", "moves", "window", "order_delay", "shipping_delay"), 100),
    "bins": 5_000,
}


def check_options(name: str, options: Mapping[str, Any], most: Mapping[str, int] | None = None) -> None:
    """An InputError that names every option that is too large.

    Args:
        most: limits that replace or add to the usual ones.

    Example:
        >>> from bayescal.environments.limits import check_options
        >>> try:
        ...     check_options("supply-chain", {"echelons": 100_000})
        ... except ValueError as error:
        ...     print(error)
        supply-chain: echelons is 100,000, and at most 100 are possible.
    """
    limits, faults = {**MOST, **(most or {})}, []
    for option, value in options.items():
        if isinstance(value, list | tuple | range) and len(value) > ACTIONS:
            faults.append(f"{option} has {len(value):,} entries, and at most {ACTIONS:,} are possible")
        elif isinstance(value, Real) and value > limits.get(option, value):
            faults.append(f"{option} is {_number(value)}, and at most {limits[option]:,} are possible")
    if faults:
        raise InputError(f"{name}: {joined(faults)}.")


def check_actions(name: str, actions: Number, most: int = ACTIONS) -> None:
    """An InputError if so many actions would make the game too large."""
    if not actions <= most:
        raise InputError(f"{name}: there would be {_number(actions)} actions, and at most {most:,} are possible.")


def check_tree(name: str, nodes: int, width: int, players: int) -> None:
    """An InputError if a tree has too many nodes, or too many branches or players for so many nodes.

    Args:
        width: the most branches of a node.
    """
    if nodes > NODES or nodes * max(width, players) > CELLS:
        raise InputError(
            f"{name}: the tree has {nodes:,} nodes or more, {players:,} players, and up to {width:,} branches at a "
            f"node; at most {NODES:,} nodes, and {CELLS:,} nodes times branches or players, are possible."
        )


def check_situations(name: str, players: int, situations: int, width: int) -> None:
    """An InputError if the strategies of all players would be too large a table."""
    if players * situations * width > CELLS:
        raise InputError(
            f"{name}: the tree has {players:,} players, {situations:,} situations and up to {width:,} actions in one; "
            f"their product can be at most {CELLS:,}."
        )


def check_depth(name: str, depth: int) -> None:
    """An InputError if so many moves follow each other that a tree would be too deep."""
    if depth > DEPTH:
        raise InputError(f"{name}: more than {DEPTH:,} moves follow each other in the tree, which is the limit.")


def most_against_each_other() -> int:
    """Actions of two players whose payoffs are one table."""
    return int(LARGEST_TABLE**0.5)


def _number(value: Real | Number) -> str:
    """With few characters, however large."""
    if not isinstance(value, int):
        return f"{float(value):,g}"
    return f"{value:,}" if value.bit_length() < 50 else f"about 2^{value.bit_length()}"
